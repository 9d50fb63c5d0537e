from __future__ import annotations

import threading

import pytest

from backend.errors import JobCanceled
from backend.progress import SilentSink, StageProgress, heeding, stop_if_asked


class Sink(SilentSink):
    stopped = False

    def is_canceled(self):
        return self.stopped


@pytest.fixture
def asked_to_stop():
    sink = Sink()
    sink.stopped = True
    return StageProgress(sink, "shape_generation")


def test_work_that_nobody_can_stop_goes_on():
    stop_if_asked()


def test_work_below_an_engine_stops_when_its_job_was_canceled(asked_to_stop):
    with heeding(asked_to_stop), pytest.raises(JobCanceled):
        stop_if_asked()
    stop_if_asked()  # what comes after is no longer that job's


def test_it_goes_on_while_the_job_does():
    sink = Sink()
    with heeding(StageProgress(sink, "shape_generation")):
        stop_if_asked()
        sink.stopped = True
        with pytest.raises(JobCanceled):
            stop_if_asked()


def test_the_innermost_counts_and_the_outer_comes_back(asked_to_stop):
    with heeding(asked_to_stop):
        with heeding(StageProgress(Sink(), "texture_synthesis")):
            stop_if_asked()
        with pytest.raises(JobCanceled):
            stop_if_asked()


def test_other_threads_are_not_stopped(asked_to_stop):
    met = []

    def work():
        stop_if_asked()
        met.append(True)

    with heeding(asked_to_stop):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
    assert met == [True]
