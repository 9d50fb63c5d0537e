"""How one request is followed from process to process: the ``traceparent`` of the W3C."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADER = "traceparent"
_PATTERN = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SPAN_BITS = 32


@dataclass(frozen=True)
class RemoteParent:
    """A span in another process.

    Parameters
    ----------
    trace_id : str
        32 hexadecimal digits.
    span_key : str
        16 hexadecimal digits.
    """

    trace_id: str
    span_key: str


def new_trace_id() -> str:
    """Make a trace identifier of 128 random bits, never all zero."""
    return f"{secrets.randbits(128) or 1:032x}"


def new_run_key() -> str:
    """Make the key of a run; its lower half is left for the numbers of its spans."""
    return f"{(secrets.randbits(32) or 1) << _SPAN_BITS:016x}"


def span_key(run_key: str, span_id: int | None) -> str:
    """Name a span among all processes; the run itself for None.

    >>> span_key("0000000100000000", 26)
    '000000010000001a'
    """
    return f"{int(run_key, 16) + (span_id or 0):016x}"


def write_headers(parent: RemoteParent) -> dict[str, str]:
    """Write the header for another process.

    Source
    ------
    W3C Trace Context, section 3.2: version 00, trace-id, parent-id, flags (01 = sampled).
    """
    return {HEADER: f"00-{parent.trace_id}-{parent.span_key}-01"}


def read_headers(headers: Mapping[str, Any]) -> RemoteParent | None:
    """Read the header; None if it is absent or malformed, as the W3C demands."""
    match = _PATTERN.fullmatch(str(headers.get(HEADER, "")))
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return RemoteParent(match[1], match[2])
