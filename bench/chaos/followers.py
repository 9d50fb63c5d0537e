"""Socket clients that come back with the last event they have seen."""

from __future__ import annotations

import json
import queue
import threading

import requests
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from bench.chaos.log import ClientLog, Followed, Seen

RECONNECT_S = 0.3
QUIET_S = 30.0


class Follower(threading.Thread):
    """Follows one job after the other, each to its end; None in the queue is the end of all."""

    def __init__(
        self,
        url: str,
        to_follow: queue.Queue[str | None],
        log: ClientLog,
        stop: threading.Event,
    ) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._to_follow = to_follow
        self._log = log
        self._stopping = stop

    def run(self) -> None:
        """Follow until told that no more come."""
        while (job_id := self._to_follow.get()) is not None:
            followed = Followed(job_id)
            with self._log.lock:
                self._log.followed.append(followed)
            self._follow(followed)
            if followed.ended:
                self._look(job_id)

    def _follow(self, followed: Followed) -> None:
        last_id: str | None = None
        while followed.ended is None and not self._stopping.is_set():
            query = f"?last_event_id={last_id}" if last_id else ""
            address = f"{self._url.replace('http', 'ws')}/ws/jobs/{followed.job_id}{query}"
            try:
                with connect(address, open_timeout=5, close_timeout=1, max_size=None) as socket:
                    followed.connections += 1
                    while followed.ended is None:
                        event = json.loads(socket.recv(timeout=QUIET_S))
                        last_id = event["id"]
                        followed.events.append(
                            Seen(last_id, event["seq"], event["type"], event["data"])
                        )
                        if event["type"] == "end":
                            followed.ended = event["data"]["status"]
            except (WebSocketException, OSError):
                self._stopping.wait(RECONNECT_S)

    def _look(self, job_id: str) -> None:
        """Ask the API as well, once the socket has told the end."""
        try:
            answer = requests.get(f"{self._url}/api/v1/jobs/{job_id}", timeout=5)
        except requests.RequestException:
            return
        if answer.ok:
            self._log.saw(answer.json())
