"""A planted inefficiency is found, tried on real jobs, and kept or taken back as they tell."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import requests

from backend.jobs.proposal import Proposal
from backend.jobs.service import JobService
from backend.profiling.experiment import ExperimentState, RevertReason
from backend.profiling.history import RunFilter
from backend.profiling.run_summary import RunStatus
from backend.profiling.trial_interval import FEWEST_PAIRS
from backend.settings import Settings
from bench.running_server import running_server
from tests.jobs.conftest import wait_until

pytestmark = [pytest.mark.server, pytest.mark.measures]

SETTING = "export_compression"
UNDECIDED = (ExperimentState.NO_EFFECT, ExperimentState.NOT_CLEAR)
TRIALS = 3
# Half of such a job goes into compression when that is slow: no doubt remains on a busy machine.
JOB = {
    "pipeline": "image_to_3d",
    "preset": "draft",
    "texture": "false",
    "target_faces": "40000",
    "seed": "1",
}


class Shop:
    """A running server, its database, and a picture that is turned into models."""

    def __init__(self, server, png, level) -> None:
        self.url = server.url
        self.png = png
        settings = Settings.from_env({}, data_dir=server.data_dir, export_compression=level)
        self.service = JobService(settings)

    def make(self, n=1):
        """Make models and wait until all of them are on record."""
        jobs = [self.submit() for _ in range(n)]
        wait_until(lambda: {run.job_id for run in self.runs(limit=n)} == set(jobs), 10 + 5 * n)

    def submit(self):
        sent = requests.post(
            f"{self.url}/api/v1/jobs",
            data=JOB,
            files={"file": ("doll.png", self.png, "image/png")},
            timeout=10,
        )
        return sent.json()["id"]

    def runs(self, limit=1):
        return self.service.run_history.runs(RunFilter(status=RunStatus.OK, limit=limit))

    def work(self):
        (run,) = self.runs()
        return {"pipeline": run.pipeline, "shape_key": run.shape_key}

    def trial(self):
        return self.service.tuning.experiments()[0]

    def is_decided(self):
        """Wait until the last jobs have been reported; tells whether they have decided."""

        def reported():
            test = self.trial().experiment
            waited_for = [slot for slot in test.slots if slot.job_id and not slot.elapsed_s]
            return not waited_for or self.trial().decided_at

        wait_until(reported, 5)
        return self.trial().decided_at is not None

    def make_until_decided(self, proposal, old):
        """Run jobs until the trial has a verdict; noise may hide one effect, but not thrice."""
        for _ in range(TRIALS):
            self.make(FEWEST_PAIRS * 2)
            while not self.is_decided():
                self.make(2)
            decided = self.trial()
            if decided.experiment.state not in UNDECIDED:
                return decided
            self.service.tuning.apply(proposal, old=old, **self.work())
        return decided

    def advice(self):
        return requests.get(f"{self.url}/api/performance/recommendations", timeout=10).json()

    def post(self, advice_id, verb):
        url = f"{self.url}/api/performance/recommendations/{advice_id}/{verb}"
        return requests.post(url, json=self.work(), timeout=10)


@contextmanager
def shop_with(level, png):
    """A server that was started with a level of compression."""
    with running_server(MESHKILN_EXPORT_COMPRESSION=str(level)) as server:
        shop = Shop(server, png, level)
        try:
            yield shop
        finally:
            shop.service.close()


def test_slow_compression_is_found_tried_and_replaced(opaque_figure_png):
    with shop_with(9, opaque_figure_png) as shop:
        shop.make(6)
        found = wait_until(lambda: [i for i in shop.advice()["items"] if is_planted(i)])
        assert found[0]["action"]["from"] == 9
        applied = shop.post(found[0]["id"], "apply")
        assert applied.status_code == 200, applied.text
        new = applied.json()["experiment"]["to"]
        decided = shop.make_until_decided(Proposal.from_document(found[0]), old=9)
        assert decided.experiment.state is ExperimentState.CONFIRMED, decided.to_document()
        assert decided.to_document()["ci"][0] > 1
        shop.make()
        assert shop.runs()[0].settings[SETTING] == new
        assert {run.settings[SETTING] for run in shop.runs(limit=11)} == {9, new}
        assert shop.post(decided.id, "revert").status_code == 200
        shop.make()
        assert shop.runs()[0].settings[SETTING] == 9


def is_planted(item):
    return item["action"] and item["action"]["setting"] == SETTING


def test_a_slower_value_is_tried_and_taken_back(opaque_figure_png):
    with shop_with(1, opaque_figure_png) as shop:
        shop.make(2)
        worse = Proposal("slow_encoding.mesh_export", "Compress more", SETTING, 9, 0.5)
        shop.service.tuning.apply(worse, old=1, **shop.work())
        decided = shop.make_until_decided(worse, old=1)
        assert decided.experiment.state is ExperimentState.AUTO_REVERTED, decided.to_document()
        assert decided.experiment.reason is RevertReason.SLOWER
        assert decided.to_document()["ci"][1] < 1
        shop.make()
        assert shop.runs()[0].settings[SETTING] == 1
