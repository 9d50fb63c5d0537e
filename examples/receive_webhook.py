"""Receive webhooks of Meshkiln and check that they are genuine.

    python examples/receive_webhook.py whsec_… 8000

The secret is what ``python -m backend webhook-secret`` prints on the server. A receiver in your own
network must be allowed there: ``MESHKILN_WEBHOOK_HOSTS=name:8000``. Needs only Python.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
MAX_BODY_BYTES = 4 << 20


def is_genuine(secret: str, headers: Message, body: bytes, now_s: float) -> bool:
    """Tell whether a message was signed with the secret, within the last five minutes.

    Parameters
    ----------
    secret : str
        ``whsec_…``.
    headers : Message
        Of the request; it finds names in any case.
    body : bytes
        Exactly as received.
    now_s : float
        Seconds since 1970.
    """
    webhook_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdecimal() or abs(now_s - int(sent)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{sent}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected, one) for one in given)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to genuine messages, and 401 to all others."""

    secret = ""
    seen: set[str]  # a message may come more than once; keep this in a database

    def do_POST(self) -> None:
        """Take one message."""
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(min(length, MAX_BODY_BYTES))
        if not is_genuine(self.secret, self.headers, body, time.time()):  # noqa: TID251
            self.send_error(401)
            return
        self.send_response(204)
        self.end_headers()
        if self.headers["webhook-id"] not in self.seen:
            self.seen.add(self.headers["webhook-id"])
            message = json.loads(body)
            print(message["type"], message["data"]["id"], flush=True)


def main(secret: str, port: int) -> None:
    """Serve until interrupted."""
    Receiver.secret, Receiver.seen = secret, set()
    ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
