"""What a GPU worker's child has beside its jobs: the card, the models on it, and commands."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import redis

from backend.errors import InvalidParameter
from backend.gpu.allocator import allocator_settings
from backend.gpu.choice import CPU
from backend.gpu.memory_trend import MemoryTrend, memory_trend
from backend.gpu.sampler import Sampler
from backend.gpu.telemetry import VISIBLE, has_cuda_device
from backend.jobs.gpu_command_handler import CommandHandler, rules_of
from backend.jobs.gpu_failures import failure_reason, note_failure
from backend.jobs.gpu_ownership import GpuOwnership
from backend.jobs.gpu_settings import RULE_NAMES, kept_settings
from backend.jobs.gpu_share import open_share, share_address
from backend.jobs.redis_url import connect
from backend.jobs.shelf_writer import ShelfWriter
from backend.residency.process import open_residency
from backend.settings import Settings
from backend.units import Clock

COMMAND_SOCKET_S = 5.0
TREND_WINDOW_S = 60.0

log = logging.getLogger(__name__)


class GpuSide:
    """The card of one child: owned, its models managed, commands on them carried out.

    Parameters
    ----------
    settings : Settings
        Of the server.
    worker : str
        The child's name.
    on_move : callable
        Called at every change of a model's state.

    Raises
    ------
    StartFailed
        Another child still holds the card, or the address to share it by is none.
    """

    def __init__(
        self, settings: Settings, worker: str, clock: Clock, on_move: Callable[[], None]
    ) -> None:
        self._client = connect(settings.redis_url, socket_timeout=COMMAND_SOCKET_S)
        self._gpu = os.environ.get(VISIBLE) or "0"
        left_alone = failure_reason(self._client, self._gpu) if has_cuda_device() else None
        if left_alone:
            os.environ[VISIBLE] = ""
            settings = replace(settings, gpu=CPU)
        elif settings.gpu != CPU and has_cuda_device():
            self._ownership = GpuOwnership(settings.data_dir / "gpu", self._gpu, clock)
            self._ownership.take()
        self.residency = open_residency(settings)
        self.residency.on_move = on_move
        if share_address(settings)[0]:
            self.residency.open_share = lambda device: open_share(settings, device)
        self.residency.degraded_reason = left_alone or self.residency.degraded_reason
        self._left_alone = left_alone is not None
        self.follow_kept_settings()
        CommandHandler(
            self.residency,
            lambda: connect(settings.redis_url, socket_timeout=COMMAND_SOCKET_S),
            worker,
            self._end_process,
        ).start()
        ShelfWriter(self._client, settings, clock).start()

    def follow_kept_settings(self) -> None:
        """Follow what was set while the server ran; not without GPU management."""
        if not self.residency.enabled:
            return
        try:
            self.residency.change_rules(**rules_of(kept_settings(self._client)))
        except (InvalidParameter, TypeError) as error:  # kept by another version
            log.warning("the settings that were kept are not followed: %s", error)

    def follow_settings(self, values: Mapping[str, Any]) -> None:
        """Follow values of residency settings, by the names of settings."""
        if not self.residency.enabled:
            return
        rules = {RULE_NAMES.get(name, name): value for name, value in values.items()}
        try:
            self.residency.change_rules(**rules_of(rules))
        except (InvalidParameter, TypeError) as error:  # kept by another version
            log.warning("the residency settings are not followed: %s", error)

    def may_try_again(self) -> bool:
        """Whether a card that was left alone may be used again, by a fresh process."""
        return self._left_alone and failure_reason(self._client, self._gpu) is None

    def _end_process(self) -> None:
        self.note_device_loss("a preload")
        os.kill(os.getpid(), signal.SIGKILL)

    @property
    def degraded_reason(self) -> str | None:
        """Why a card that is there is not used."""
        return self.residency.degraded_reason

    def status(self, sampler: Sampler) -> dict[str, Any]:
        """Describe models, memory and its trend for the heartbeat."""
        trend = _trend(sampler)
        return self._residency_status() | {
            "allocator": asdict(allocator_settings(os.environ)),
            "trends": None if trend is None else asdict(trend) | {"stable": trend.is_stable},
        }

    def _residency_status(self) -> dict[str, Any]:
        """Describe the models; a device that does not answer must not silence the heartbeat."""
        try:
            return self.residency.status()
        except Exception as error:  # whatever the driver raises
            log.exception("the models cannot be described")
            reason = f"the device does not answer: {error}"
            return {"models": [], "residency": None, "degraded": True, "degraded_reason": reason}

    def note_device_loss(self, job_id: str) -> None:
        """Remember the loss of the card's context."""
        try:
            note_failure(self._client, self._gpu, job_id)
        except redis.RedisError:
            log.warning("the loss of the GPU could not be counted")


def _trend(sampler: Sampler) -> MemoryTrend | None:
    """Summarise how full the card was in the last minute."""
    devices = (sampler.latest() or {}).get("devices") or [{}]
    total_mb = devices[0].get("vram_total_mb")
    used_mb = [r.values["vram_used_mb"] for r in sampler.history(TREND_WINDOW_S)]
    if not total_mb:
        return None
    return memory_trend([100 * used / total_mb for used in used_mb if used is not None])
