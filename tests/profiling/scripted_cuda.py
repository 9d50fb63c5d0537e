"""A stand-in for ``torch.cuda``: a GPU that works off its queue when it is told to."""

from __future__ import annotations


class ScriptedEvent:
    def __init__(self, cuda, enable_timing):
        assert enable_timing
        self._cuda = cuda
        self.queued_ms = None

    def record(self):
        self._cuda.check()
        self._cuda.records += 1
        self.queued_ms = self._cuda.queued_ms

    def query(self):
        self._cuda.check()
        return self.queued_ms <= self._cuda.done_ms

    def elapsed_time(self, other):
        return other.queued_ms - self.queued_ms


class ScriptedCuda:
    """``work`` queues work, ``catch_up`` lets the GPU finish it; no call here waits."""

    def __init__(self):
        self.queued_ms = self.done_ms = 0.0
        self.capturing = self.broken = False
        self.device = 0
        self.events = self.records = 0
        self.allocated = {0: 0, 1: 0}
        self.peak = {0: 0, 1: 0}
        self.retries = 0
        self.synchronisations = 0

    # what torch.cuda offers

    def is_initialized(self):
        return True

    def is_current_stream_capturing(self):
        self.check()
        return self.capturing

    def current_device(self):
        self.check()
        return self.device

    def get_device_name(self):
        self.check()
        return f"Scripted Card {self.device}"

    def Event(self, enable_timing=False):  # noqa: N802  torch's name
        self.events += 1
        return ScriptedEvent(self, enable_timing)

    def synchronize(self):
        self.synchronisations += 1

    def memory_stats_as_nested_dict(self, device):
        self.check()
        peak = self.peak[device]
        return {"allocated_bytes": {"all": {"peak": peak}},
                "reserved_bytes": {"all": {"peak": 2 * peak}}}  # fmt: skip

    def reset_peak_memory_stats(self, device):
        self.check()
        self.peak[device] = self.allocated[device]

    def memory_stats(self):
        self.check()
        return {
            "num_alloc_retries": self.retries,
            "num_ooms": 0,
            "allocated_bytes.all.current": self.allocated[self.device],
            "reserved_bytes.all.current": 2 * self.allocated[self.device],
            "inactive_split_bytes.all.current": 7,
        }

    # what the test scripts

    def check(self):
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def work(self, ms):
        self.queued_ms += ms

    def catch_up(self):
        self.done_ms = self.queued_ms

    def allocate(self, size):
        self.allocated[self.device] += size
        self.peak[self.device] = max(self.peak[self.device], self.allocated[self.device])

    def free(self, size):
        self.allocated[self.device] -= size
