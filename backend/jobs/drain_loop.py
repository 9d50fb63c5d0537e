"""Claims and runs jobs until none waits: alone or as batches, the next claim beside this one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backend.jobs.claim_plan import ClaimPlan, ClaimPlanner, size_class
from backend.jobs.claims import ClaimedJob
from backend.jobs.held_jobs import HeldJob, HeldJobs
from backend.jobs.job_sink import JobSink
from backend.units import Clock

if TYPE_CHECKING:
    from backend.batch_processor import BatchMember, BatchProcessor, DeviceTurn

LOOK_S = 0.25
CONTENDED_S = 0.02

log = logging.getLogger(__name__)


@dataclass(eq=False)
class RunningClaim:
    """A claim whose jobs run in threads of their own; others may join it while it is open.

    Parameters
    ----------
    plan : ClaimPlan
        What it was made by.
    member : BatchMember
        One of its batch.
    started_s : float
        When it was made, on the worker's monotonic clock.
    jobs : list of HeldJob
        All of them, those that have ended too.
    """

    plan: ClaimPlan
    member: BatchMember
    started_s: float
    jobs: list[HeldJob] = field(default_factory=list)

    def add(self, jobs: Sequence[HeldJob]) -> None:
        """Let jobs belong to it; each of them may take as long as all."""
        self.jobs += jobs
        for held in self.jobs:
            held.batch_size = len(self.jobs)


class DrainLoop:
    """Runs what waits.

    A job that takes no part in a batch and may not overlap runs in the calling thread. All
    others have a thread each. While one claim computes on the device, a second one may be held,
    whose work on the CPU goes on meanwhile; never a third. That one is open until its first call
    begins: jobs of its kind that come in meanwhile join it, if it is their turn.

    Parameters
    ----------
    planner : ClaimPlanner
        Plans claims.
    claim : callable
        Claims what was planned; [] when others were faster.
    run : callable
        Runs a held job to its end; what it raises ends that job's thread only.
    make_sink : callable
        Makes the sink of a job.
    held : HeldJobs
        Told of every job.
    processor : callable
        Returns what makes batches; asked only when one is formed.
    """

    def __init__(
        self,
        planner: ClaimPlanner,
        claim: Callable[[ClaimPlan], list[ClaimedJob]],
        run: Callable[[HeldJob], None],
        make_sink: Callable[[ClaimedJob], JobSink],
        held: HeldJobs,
        processor: Callable[[], BatchProcessor],
        clock: Clock,
    ) -> None:
        self._planner = planner
        self._claim = claim
        self._run = run
        self._make_sink = make_sink
        self._held = held
        self._processor = processor
        self._clock = clock
        self._changed = threading.Event()
        self._running: list[RunningClaim] = []
        self._turn: DeviceTurn | None = None

    def unwanted_call(self) -> object | None:
        """Return what stands for the call on the device, if no job waits for it any more."""
        return None if self._turn is None else self._turn.unwanted()

    def drain(self) -> tuple[int, ClaimedJob | None]:
        """Run until nothing waits; returns how many jobs ran, and the last one claimed."""
        done, last = 0, None
        while True:
            self._changed.clear()
            self._drop_done()
            claimed, has_looked = self._next_jobs()
            if claimed:
                done, last = done + len(claimed), claimed[-1]
            elif self._running:
                self._changed.wait(LOOK_S)
            elif has_looked:
                return done, last
            else:  # others hold what waits; they need a moment
                self._changed.wait(CONTENDED_S)

    def _next_jobs(self) -> tuple[list[ClaimedJob], bool]:
        """Take what is next; also tells whether nothing that may run now waits."""
        late = self._take_late()
        if late:
            return late, False
        return self._take() if self._may_take() else ([], False)

    def _take_late(self) -> list[ClaimedJob]:
        """Claim and start what may still join a claim that runs."""
        # Of two of one kind the later one has room: it was made because the other one had none.
        open_ones = {
            claim.plan.kind.batch_key: claim for claim in self._running if claim.member.is_open
        }
        if not open_ones:
            return []
        sizes = {key: len(claim.jobs) for key, claim in open_ones.items()}
        plan = self._planner.plan_late(sizes)
        claimed = self._claim(plan) if plan else []
        if plan and claimed:
            self._planner.turns.took(plan.kind, self._clock.now())
            claim = open_ones[plan.kind.batch_key]
            self._begin(claim, claimed, claim.member.late(len(claimed)))
        return claimed

    def _take(self) -> tuple[list[ClaimedJob], bool]:
        """Claim and start what is next; also tells whether nothing that may run now waits."""
        plan = self._planner.plan(beside_another=bool(self._running))
        if plan is None:
            return [], True
        claimed = self._claim(plan)
        if not claimed:  # others were faster: plan anew
            return [], False
        self._planner.turns.took(plan.kind, self._clock.now())
        if len(claimed) == 1 and not plan.may_overlap:
            self._run_here(claimed[0])
        else:
            self._start(claimed, plan)
        return claimed, True

    def _may_take(self) -> bool:
        """Whether a claim may be made: the first, or a second while the device computes."""
        if not self._running:
            return True
        only = self._running[0]
        return len(self._running) == 1 and only.plan.may_overlap and self._processor().turn.is_taken

    def _run_here(self, job: ClaimedJob) -> None:
        started_s = self._clock.monotonic_s()
        held = HeldJob(job, self._make_sink(job), started_s)
        self._held.add([held])
        try:
            self._run(held)
        finally:
            self._held.remove(held)
            self._planner.turns.lasted(self._clock.monotonic_s() - started_s)

    def _start(self, claimed: Sequence[ClaimedJob], plan: ClaimPlan) -> None:
        processor = self._processor()
        self._turn = processor.turn
        self._turn.on_taken = self._changed.set
        members = processor.members(
            len(claimed), claimed[0].stages, size_class(plan.kind), is_open=bool(self._running)
        )
        claim = RunningClaim(plan, members[0], self._clock.monotonic_s())
        self._begin(claim, claimed, members)
        self._running.append(claim)

    def _begin(
        self, claim: RunningClaim, claimed: Sequence[ClaimedJob], members: Sequence[BatchMember]
    ) -> None:
        started_s = self._clock.monotonic_s()
        jobs = [
            HeldJob(job, self._make_sink(job), started_s, member=member)
            for job, member in zip(claimed, members, strict=True)
        ]
        claim.add(jobs)
        self._held.add(jobs)
        for held in jobs:
            self._start_job(held)

    def _start_job(self, held: HeldJob) -> None:
        thread = threading.Thread(
            target=self._run_apart, args=(held,), name=f"job-{held.job.id}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: its lease runs out, and it is run alone
            log.exception("no thread for job %s", held.job.id)
            self._end(held)

    def _run_apart(self, held: HeldJob) -> None:
        try:
            self._run(held)
        except Exception:  # such as a database that is away: the lease runs out
            log.exception("job %s ended without an end", held.job.id)
        finally:
            self._end(held)

    def _end(self, held: HeldJob) -> None:
        if held.member is not None:
            held.member.leave()
        self._held.remove(held)
        self._changed.set()

    def _drop_done(self) -> None:
        for claim in tuple(self._running):
            if any(held in self._held for held in claim.jobs):
                continue
            self._running.remove(claim)
            self._planner.turns.lasted(self._clock.monotonic_s() - claim.started_s)
