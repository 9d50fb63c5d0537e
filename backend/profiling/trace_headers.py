"""How one request is followed from process to process: the ``traceparent`` of the W3C."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Protocol

HEADER = "traceparent"
_PATTERN = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SPAN_BITS = 32


class Headers(Protocol):
    """Headers of a message or a request, by name; a mapping of any kind."""

    def get(self, key: str, default: str, /) -> Any:
        """Return the value of a header, or the default."""


@dataclass(frozen=True)
class RemoteParent:
    """A span in another process, or only the trace that a run belongs to.

    Parameters
    ----------
    trace_id : str
        32 hexadecimal digits.
    span_key : str or None
        16 hexadecimal digits; None while the trace has no span that could be the parent.
    """

    trace_id: str
    span_key: str | None


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
    """Write the header for another process; it must name a span, so a trace without gets one.

    Source
    ------
    W3C Trace Context, section 3.2: version 00, trace-id, parent-id, flags (01 = sampled).
    """
    return {HEADER: f"00-{parent.trace_id}-{parent.span_key or new_run_key()}-01"}


def read_headers(headers: Headers) -> RemoteParent | None:
    """Read the header; None if it is absent or malformed, as the W3C demands."""
    match = _PATTERN.fullmatch(str(headers.get(HEADER, "")))
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return RemoteParent(match[1], match[2])
