"""Jobs that run too long: who is failed, who goes back, and whether the process has to end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from sqlalchemy.exc import SQLAlchemyError

from backend.errors import JobTimedOut
from backend.jobs.claims import Claims, Released
from backend.jobs.events import EventLog
from backend.jobs.held_jobs import HeldJob, HeldJobs
from backend.jobs.lost_jobs import publish_released
from backend.jobs.states import JobState

log = logging.getLogger(__name__)


def over_time(held: Sequence[HeldJob], now_s: float, limit_s: float) -> list[HeldJob]:
    """Return the jobs that have worked for too long.

    A batch shares the device, so each of its jobs may take as long as all of them one by one.
    """
    return [
        one for one in held if not one.is_waiting and one.worked_s(now_s) > limit_s * one.batch_size
    ]


def give_up(
    claims: Claims, events: EventLog, held: HeldJobs, over: Sequence[HeldJob], limit_s: float
) -> bool:
    """Mark jobs that run too long, before this process ends; nothing else stops them for sure.

    A single one is failed. Of several that work in the same call nobody knows which one is
    stuck: they go back and run alone, with the attempt, like those that only waited for them.

    Returns
    -------
    bool
        Whether the process has to end; False if the job has just ended by itself.
    """
    error = JobTimedOut(f"The job ran longer than {limit_s:.0f} s.")
    guilty = over[0] if len(over) == 1 else None
    released: list[Released] = []
    try:
        if guilty and claims.fail(guilty.job, error):
            released.append(Released(guilty.job.id, JobState.FAILED, guilty.job.attempt))
        elif guilty and guilty not in held:
            return False
        released += _hand_back(claims, [one for one in held.all() if one is not guilty])
    except SQLAlchemyError:
        log.exception("jobs could not be marked; their leases will run out")
    for job in released:
        publish_released(events, job)
    return True


class UnwantedCalls:
    """Notices a call on the device that nobody waits for and that does not end.

    Its jobs were canceled and have left, so no cancel is overdue and no job is over its time;
    yet the next ones would wait for the device for ever.

    Parameters
    ----------
    grace_s : float
        How long such a call may go on, in seconds.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._call: object | None = None
        self._since_s = 0.0

    def lasts(self, call: object | None, now_s: float) -> bool:
        """Tell whether the same call has been unwanted for longer than the grace.

        Parameters
        ----------
        call : object or None
            The one that is unwanted now.
        """
        if call is not self._call:
            self._call, self._since_s = call, now_s
        return call is not None and now_s - self._since_s >= self._grace_s


def hand_all_back(claims: Claims, events: EventLog, held: HeldJobs) -> None:
    """Put all jobs back, with their attempts, before this process ends."""
    released: list[Released] = []
    try:
        released += _hand_back(claims, held.all())
    except SQLAlchemyError:
        log.exception("jobs could not be put back; their leases will run out")
    for job in released:
        publish_released(events, job)


def _hand_back(claims: Claims, jobs: Sequence[HeldJob]) -> Iterator[Released]:
    """Put jobs back and name those that were still ours, one by one."""
    for one in jobs:
        released = claims.hand_back(one.job)
        if released is not None:
            yield released
