"""A model hub on this machine: as much of its protocol as getting files takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

COMMIT = "c" * 40
LARGE_BYTES = 100_000


class LocalHub(ThreadingHTTPServer):
    """Holds the files of one repository.

    Attributes
    ----------
    files : dict of str to bytes
        By path in the repository. Files above ``LARGE_BYTES`` have a SHA-256, as large ones do.
    sent : list of (str, int)
        Path and first byte of every file that was sent.
    cut_at : int or None
        End the next answer for a large file after so many bytes.
    said : dict of str to bytes
        What checksums are computed of, where that is not what is sent.
    """

    daemon_threads = True

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository = repository
        self.files = files
        self.sent: list[tuple[str, int]] = []
        self.cut_at: int | None = None
        self.said: dict[str, bytes] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def described(self, path: str) -> dict[str, object]:
        content = self.said.get(path, self.files[path])
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        row: dict[str, object] = {"size": len(content), "blobId": git, "oid": git}
        if len(content) > LARGE_BYTES:
            sha256 = hashlib.sha256(content).hexdigest()
            row["lfs"] = {"sha256": sha256, "oid": sha256, "size": len(content), "pointerSize": 1}
        return row


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._file(with_content=False)

    def do_GET(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        if path.startswith(f"/api/models/{hub.repository}/tree/"):
            rows = [{"type": "file", "path": name} | hub.described(name) for name in hub.files]
            self._json(rows)
        elif path.startswith("/api/models/"):
            if not path.startswith(f"/api/models/{hub.repository}"):
                self.send_error(404)
                return
            siblings = [{"rfilename": name} | hub.described(name) for name in hub.files]
            self._json({"id": hub.repository, "sha": COMMIT, "siblings": siblings})
        else:
            self._file(with_content=True)

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, *, with_content: bool) -> None:
        hub = self.server
        name = unquote(self.path.partition(f"/resolve/{COMMIT}/")[2])
        if name not in hub.files:
            self.send_error(404)
            return
        content, row = hub.files[name], hub.described(name)
        wanted = self.headers.get("Range", "")
        first = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        etag = row["lfs"]["sha256"] if "lfs" in row else row["oid"]  # type: ignore[index]
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        if with_content:
            self._send(name, content, first)

    def _send(self, name: str, content: bytes, first: int) -> None:
        hub = self.server
        hub.sent.append((name, first))
        if hub.cut_at is not None and len(content) > LARGE_BYTES:
            content, hub.cut_at = content[: hub.cut_at], None
            self.close_connection = True
        self.wfile.write(content[first:])


@contextmanager
def local_hub(repository: str, files: dict[str, bytes]) -> Iterator[LocalHub]:
    """Serve a repository while the block runs."""
    hub = LocalHub(repository, files)
    thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
