"""A new attempt begins at nothing; whoever listens can tell it from progress that falls."""

from __future__ import annotations

from backend.jobs.job_sink import JobSink
from backend.jobs.states import EventType


class Told:
    """Notes what is published, and loses what an absent Redis would."""

    def __init__(self):
        self.events = []
        self.is_away = False

    def publish(self, job_id, kind, data):
        if not self.is_away:
            self.events.append((kind, data))

    def has_cancel_flag(self, job_id):
        return False


def test_an_attempt_is_told_although_its_beginning_was_lost(service, clock):
    new = service.prepare("image_to_3d", {"preset": "draft"}, "twice")
    service.submit(new, {"image.png": b"any"})
    told = Told()
    for number in (1, 2):
        (job,) = service.claims.claim("gpu", f"gone:{number}:1")
        told.is_away = number == 2
        sink = JobSink(job, service.claims, told, clock)
        sink.started()
        told.is_away = False
        sink.stage_started(job.stages[0])
        sink.stage_progress(job.stages[0], 1, 2)
        clock.forward(seconds=120)
        service.claims.release_lost()
    seen = [
        (data["attempt"], data["progress"])
        for kind, data in told.events
        if kind in (EventType.STAGE, EventType.PROGRESS)
    ]
    assert [attempt for attempt, _ in seen] == [1, 1, 2, 2]
    assert seen[1][1] > seen[2][1] == 0.0
