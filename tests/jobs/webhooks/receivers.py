"""Receivers in the local network, with scripted answers."""

from __future__ import annotations

from email.message import Message

from tests.outbound.peers import Peer, answer

OK, BROKEN, GONE = (
    answer(status="204 No Content"),
    answer(status="500 Oops"),
    answer(status="410 Gone"),
)


class Receiver(Peer):
    """A receiver in the local network; its answers come one after the other, the last for good."""

    def __init__(self, *answers: bytes) -> None:
        left = list(answers)
        super().__init__(lambda c: c.sendall(left.pop(0) if len(left) > 1 else left[0]))

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/hook"

    def message(self, number: int = -1) -> tuple[Message, bytes]:
        head, _, body = self.requests[number].partition(b"\r\n\r\n")
        headers = Message()
        for line in head.decode().split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            headers[name] = value
        return headers, body
