from __future__ import annotations

from backend.jobs.claims import ClaimedJob
from backend.jobs.held_jobs import HeldJob, HeldJobs


def held_job(name="a"):
    return HeldJob(ClaimedJob(name, "image_to_3d", {}, (), (), "me", 1), None, started_s=0.0)


def test_the_first_is_the_one_held_for_longest():
    held, (a, b) = HeldJobs(), (held_job("a"), held_job("b"))
    assert held.first is None
    held.add([a])
    held.add([b])
    assert held.first is a
    held.remove(a)
    held.remove(a)
    assert held.all() == (b,)
    assert b in held
    assert a not in held


def test_jobs_of_two_claims_overlap_and_jobs_of_one_do_not():
    held, batch, other = HeldJobs(), [held_job("a"), held_job("b")], held_job("c")
    held.add(batch)
    assert not any(job.has_overlapped for job in batch)
    held.remove(batch[0])
    held.add([other])
    assert [job.has_overlapped for job in (*batch, other)] == [False, True, True]


def test_energy_is_shared_alike_and_unknown_where_claims_overlapped():
    alone, paired = held_job(), held_job()
    paired.batch_size = 2
    assert (alone.share_of(3.0), paired.share_of(3.0), alone.share_of(None)) == (3.0, 1.5, None)
    paired.has_overlapped = True
    assert paired.share_of(3.0) is None
