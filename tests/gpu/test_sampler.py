from __future__ import annotations

import threading

from backend.gpu.sampler import FINE_READINGS, Sampler
from tests.residency.conftest import StandingClock


def card(used_mb=100, throttle=(), **more):
    return {
        "devices": [
            {"vram_used_mb": used_mb, "throttle": {"active": list(throttle)}, "power_w": 50.0}
            | more
        ]
    }


class Script:
    """Returns, or raises, one item per reading."""

    def __init__(self, *items):
        self.items = list(items)
        self.slow = []

    def __call__(self, slow):
        self.slow.append(slow)
        item = self.items.pop(0) if len(self.items) > 1 else self.items[0]
        if isinstance(item, Exception):
            raise item
        return item


def test_latest_carries_its_age_and_a_failure_is_not_the_last_good_figure():
    clock = StandingClock()
    sampler = Sampler(Script(card(), RuntimeError("GPU is lost"), card(300)), clock)
    assert sampler.latest() is None
    assert sampler.age_s() is None
    sampler.sample_once()
    clock.forward(3)
    assert sampler.latest()["devices"][0]["vram_used_mb"] == 100
    assert sampler.age_s() == 3
    sampler.sample_once()
    assert sampler.latest() is None
    assert sampler.age_s() is None
    sampler.sample_once()
    assert sampler.latest()["devices"][0]["vram_used_mb"] == 300


def test_history_is_bounded_and_older_readings_become_means():
    clock = StandingClock()
    script = Script(card())
    sampler = Sampler(script, clock)
    for second in range(FINE_READINGS + 600):
        script.items = [card(used_mb=second)]
        sampler.sample_once()
        clock.forward(1)
    assert len(sampler._fine) == FINE_READINGS
    everything = sampler.history(10**6)
    assert len(everything) < FINE_READINGS + 80
    assert everything[0].at_s < everything[-1].at_s - FINE_READINGS
    assert [r.values["vram_used_mb"] for r in sampler.history(3.5)] == [4197, 4198, 4199]


def test_throttling_is_a_share_of_the_last_minute():
    clock = StandingClock()
    script = Script(card())
    sampler = Sampler(script, clock)
    for second in range(120):
        script.items = [card(throttle=("thermal",) if second >= 105 else ())]
        sampler.sample_once()
        clock.forward(1)
    assert sampler.throttle_pct(60.5) == 25.0
    assert sampler.latest()["devices"][0]["throttle"]["pct_last_60s"] > 0


def test_throttling_that_the_driver_does_not_tell_is_unknown():
    sampler = Sampler(Script({"devices": [{"throttle": {"active": None}}]}), StandingClock())
    sampler.sample_once()
    assert sampler.throttle_pct() is None


def test_slow_figures_are_read_seldom_and_shown_in_between():
    clock = StandingClock()
    script = Script(card())
    sampler = Sampler(script, clock)
    for _ in range(6):
        slow = not script.slow or clock.elapsed_s - 1000 >= 5
        traffic = {"rx_mb_s": 7.0} if slow else {"rx_mb_s": None}
        script.items = [card(pcie={"gen": 4, "tx_mb_s": None} | traffic)]
        sampler.sample_once()
        assert sampler.latest()["devices"][0]["pcie"]["rx_mb_s"] == 7.0
        clock.forward(1)
    assert script.slow == [True, False, False, False, False, True]


def test_the_thread_lives_on_though_nobody_knows_whether_a_job_runs():
    reads = threading.Semaphore(0)

    def reading(_slow):
        reads.release()
        return card()

    sampler = Sampler(reading, is_active=lambda: 1 / 0, active_s=0.01)
    sampler.start()
    for _ in range(3):
        assert reads.acquire(timeout=5)
    sampler.stop()


def test_the_thread_reads_by_itself_and_sooner_when_woken():
    read = threading.Event()

    def reading(_slow):
        read.set()
        return card()

    sampler = Sampler(reading, is_active=lambda: False, idle_s=60)
    sampler.start()
    assert read.wait(5)
    read.clear()
    sampler.wake()
    assert read.wait(5)
    sampler.stop()
    assert not sampler._thread.is_alive()
