"""Signs messages, so that receivers can tell who sent them.

Source
------
Standard Webhooks 1.0.0: the base64 of HMAC-SHA256 over ``id.timestamp.body``, marked ``v1``; the
key is the base64 part of ``whsec_…``; several signatures are separated by spaces.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105  the mark of the standard


def signature_headers(
    secrets: Sequence[str], webhook_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Return the headers of a message, signed with each secret.

    Parameters
    ----------
    secrets : sequence of str
        Newest first, ``whsec_…``.
    webhook_id : str
        The same at every attempt.
    timestamp_s : int
        Seconds since 1970 at this attempt.
    body : bytes
        Exactly what is sent.
    """
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
