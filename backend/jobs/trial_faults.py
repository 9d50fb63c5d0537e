"""Which errors a setting on trial can have caused."""

from __future__ import annotations

from backend.errors import DeviceLost, InternalError, JobTimedOut, OutOfMemory, WorkerLost

# A full disk, a missing engine or a poor picture would have met the other value as well.
_BLAMED = frozenset(
    error.code for error in (OutOfMemory, DeviceLost, JobTimedOut, WorkerLost, InternalError)
)


def may_blame(code: str | None) -> bool:
    """Whether a setting can be the cause of an error.

    Parameters
    ----------
    code : str or None
        The code of the error, see ``backend.errors``.

    Examples
    --------
    >>> may_blame("job-timed-out"), may_blame("storage-full")
    (True, False)
    """
    return code in _BLAMED
