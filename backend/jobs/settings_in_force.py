"""Which values the next job runs with, and whether an earlier run had the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.jobs.live_tuning import values_in_force
from backend.jobs.run_recording import settings_on_record
from backend.jobs.service import JobService
from backend.profiling.run_summary import RunSummary
from backend.runtime_settings import RUNTIME_SETTINGS, Value, started_with
from backend.settings import Settings

_DEFAULTS = started_with(Settings())


def settings_in_force(service: JobService, pipeline: str | None = None) -> dict[str, Value]:
    """Return the settings that bear on speed, as a job of a pipeline that starts now finds them."""
    return settings_on_record(service.settings) | values_in_force(service, pipeline)


def ran_with(run: RunSummary, in_force: Mapping[str, Value]) -> bool:
    """Whether a run had these settings, as far as its record tells.

    Before a setting existed the program worked as by its default. Settings of the GPU say
    nothing of a run without one.
    """
    return all(
        _recorded(run.settings, name, value) == value
        for name, value in in_force.items()
        if run.device is not None or not _needs_gpu(name)
    )


def _recorded(settings: Mapping[str, Any], name: str, unknown: Value) -> Any:
    return settings.get(name, _DEFAULTS.get(name, unknown))


def _needs_gpu(name: str) -> bool:
    setting = RUNTIME_SETTINGS.get(name)
    return setting is not None and setting.needs_gpu
