"""The app on a real socket, and hands that finish its jobs; for clients of batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from backend.errors import OutOfMemory
from tests.web.conftest import Server, serving


class Quiet(WSGIRequestHandler):
    def log(self, *_args) -> None:
        pass


class Hands:
    """Finish every job that waits; one whose name begins with 'fail' fails."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.done: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        service = self._server.service
        while not self._stop.is_set():
            for job in service.claims.claim("gpu", "test:1:1"):
                name = service.store.get(job.id).name
                self.done.append(name)
                if name.startswith("fail"):
                    service.claims.fail(job, OutOfMemory("Too much for this machine."))
                else:
                    self._server.finish(job, {"model.glb": f"model of {name}".encode()})
            self._stop.wait(0.02)


@contextmanager
def served(folder: Path, **values) -> Iterator[tuple[str, Server, Hands]]:
    """Address, server and hands; the hands rest until they are started."""
    with serving(folder, **values) as server:
        web = make_server("127.0.0.1", 0, server.app, threaded=True, request_handler=Quiet)
        thread = threading.Thread(target=web.serve_forever, args=[0.02])
        thread.start()
        hands = Hands(server)
        try:
            yield f"http://127.0.0.1:{web.server_port}", server, hands
        finally:
            hands.stop()
            web.shutdown()
            thread.join()
            web.server_close()
