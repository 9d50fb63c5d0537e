"""Secrets of 256 bits: made once, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import re
import secrets

KEY_PREFIX = "mk_"
SHOWN = 11  # of a key: enough to tell keys apart, and 208 of its 256 bits stay unknown
_KEY = re.compile(r"mk_[A-Za-z0-9_-]{43}")


def new_key() -> str:
    """Make an API key: ``mk_`` and 43 characters."""
    return KEY_PREFIX + new_token()


def new_token() -> str:
    """Make 256 random bits as 43 characters that need no escaping in an address."""
    return secrets.token_urlsafe(32)


def is_key(text: str) -> bool:
    """Whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def digest(secret: str) -> str:
    """Hash a secret for storing.

    Notes
    -----
    A plain SHA-256 is right here: slow hashes protect passwords, which people choose and others
    guess. Nobody can try 2 to the power of 256 keys, however fast the hash is.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
