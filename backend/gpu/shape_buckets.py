"""Rounding token counts up to a few sizes, so that compiled code and graphs are used again."""

from __future__ import annotations

from backend.errors import InvalidParameter

MOST_PADDING = 0.125


def bucket_of(tokens: int, most_padding: float = MOST_PADDING) -> int:
    """Round a token count up to its bucket.

    From one power of two to the next the buckets lie a fixed power of two apart, small enough
    that no bucket holds more than ``most_padding`` of padding. A bucket is its own bucket.

    Parameters
    ----------
    tokens : int
        At least 1.
    most_padding : float
        Largest share of the bucket that may be padding, in [0, 1). Whoever pads also masks:
        padding that attention can see changes the result.

    Returns
    -------
    int
        At least ``tokens``.

    Raises
    ------
    InvalidParameter
        A parameter is out of its range.

    Examples
    --------
    >>> [bucket_of(n) for n in (1, 7, 100, 128, 129, 4000)]
    [1, 7, 104, 128, 144, 4096]
    >>> bucket_of(4000, most_padding=0.0)
    4000
    """
    if tokens < 1:
        raise InvalidParameter(f"There is no bucket for {tokens} tokens.")
    if not 0 <= most_padding < 1:
        raise InvalidParameter(f"A share of padding of {most_padding} is not in [0, 1).")
    octave = 1 << (tokens.bit_length() - 1)
    step = _power_of_two_within(most_padding * octave)
    return -(-tokens // step) * step


def padding_share(tokens: int, bucket: int) -> float:
    """Return which share of a bucket is padding.

    >>> padding_share(96, 128)
    0.25
    """
    return (bucket - tokens) / bucket


def buckets_between(least: int, most: int, most_padding: float = MOST_PADDING) -> list[int]:
    """Return the buckets that token counts from ``least`` to ``most`` fall into, ascending.

    >>> buckets_between(60, 100)
    [60, 64, 72, 80, 88, 96, 104]
    """
    buckets = [bucket_of(least, most_padding)]
    while buckets[-1] < most:
        buckets.append(bucket_of(buckets[-1] + 1, most_padding))
    return buckets


def _power_of_two_within(limit: float) -> int:
    """Return the largest power of two that is not above a limit, at least 1."""
    return 1 << max(0, int(limit).bit_length() - 1)
