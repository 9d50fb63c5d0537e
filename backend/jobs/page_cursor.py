"""Where the next page of a list begins: opaque to clients, safe against what they make of it."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime

from backend.errors import InvalidParameter


def write_cursor(created_at: datetime, row_id: str) -> str:
    """Name the last row of a page."""
    text = json.dumps([created_at.timestamp(), row_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """Read creation time and identifier of that row; raises InvalidParameter."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        stamp, row_id = json.loads(base64.urlsafe_b64decode(padded))
        return datetime.fromtimestamp(float(stamp), UTC), str(row_id)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise InvalidParameter("cursor: not one of ours") from error
