"""Settings that may change from job to job while the server runs, and what they may become.

None of them changes what a result is; those marked so may change its last digits. Advice may put
them to the test and auto-tune may climb over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from backend.errors import InvalidParameter
from backend.settings import ATTENTION_BACKENDS, DECODE_WAYS, RESIDENCY_POLICIES, Settings

Value = str | int | float | bool | None


class SettingName(StrEnum):
    """Their names, the same as the fields of ``Settings``."""

    EXPORT_COMPRESSION = "export_compression"
    EXPORT_THREADS = "export_threads"
    RESIDENCY = "residency"
    IDLE_OFFLOAD_S = "idle_offload_s"
    IDLE_RELEASE_S = "idle_release_s"
    ATTENTION = "attention"
    COMPILE_MODELS = "compile_models"
    DECODE = "decode"
    DECODE_CHUNK = "decode_chunk"
    CFG_BATCH = "cfg_batch"
    MAX_BATCH = "max_batch"


@dataclass(frozen=True)
class RuntimeSetting:
    """One of them.

    Parameters
    ----------
    title : str
        What it is, for people.
    choices : tuple
        The values that are worth a try; for a name they are the only ones.
    low, high : float or None
        Bounds of a number.
    needs_gpu : bool
        Whether it means nothing to jobs that use no GPU.
    acts_between_jobs : bool
        Whether what one job runs with shows in the next one, so that no pair of jobs judges it.
    changes_rounding : bool
        Whether the same job may give results that differ in their last digits.
    needs_warm_up : bool
        Whether the first job after a change pays for it, so that it says nothing of the others.
    settles_in_runs : int
        Jobs after which a change shows that acts between them.
    """

    name: SettingName
    title: str
    choices: tuple[Value, ...]
    low: float | None = None
    high: float | None = None
    needs_gpu: bool = False
    acts_between_jobs: bool = False
    changes_rounding: bool = False
    needs_warm_up: bool = False
    settles_in_runs: int = 0

    def check(self, value: Value) -> Value:
        """Return the value; raises InvalidParameter if it cannot be set."""
        if self.low is None or self.high is None:
            # 1 equals True, but says something else
            is_bool = isinstance(value, bool)
            if value not in [one for one in self.choices if isinstance(one, bool) is is_bool]:
                known = ", ".join(map(str, self.choices))
                raise InvalidParameter(f"{self.name}: {value!r} is none of {known}.")
            return value
        whole = all(isinstance(choice, int) for choice in self.choices)
        kinds = (int,) if whole else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_number or not self.low <= float(value or 0) <= self.high:
            raise InvalidParameter(f"{self.name}: {value!r} is not from {self.low} to {self.high}.")
        return value


RUNTIME_SETTINGS: Mapping[str, RuntimeSetting] = {
    setting.name.value: setting
    for setting in (
        RuntimeSetting(
            SettingName.EXPORT_COMPRESSION,
            "Compression of OBJ archives and PNG files",
            (1, 3, 6, 9),
            0,
            9,
        ),
        RuntimeSetting(
            SettingName.EXPORT_THREADS, "Threads that write a job's files", (1, 2, 4), 1, 16
        ),
        RuntimeSetting(
            SettingName.RESIDENCY,
            "Which models stay on the GPU",
            RESIDENCY_POLICIES,
            needs_gpu=True,
            acts_between_jobs=True,
            settles_in_runs=1,
        ),
        RuntimeSetting(
            SettingName.IDLE_OFFLOAD_S,
            "Seconds after which an idle model leaves the GPU",
            (-1.0, 60.0, 300.0, 900.0),
            -1,
            86_400,
            needs_gpu=True,
            acts_between_jobs=True,
        ),
        RuntimeSetting(
            SettingName.IDLE_RELEASE_S,
            "Seconds after which an idle model leaves host memory",
            (-1.0, 600.0, 3600.0),
            -1,
            86_400,
            needs_gpu=True,
            acts_between_jobs=True,
        ),
        RuntimeSetting(
            SettingName.ATTENTION,
            "How networks compute attention",
            ATTENTION_BACKENDS,
            changes_rounding=True,
        ),
        RuntimeSetting(
            SettingName.COMPILE_MODELS,
            "Networks are compiled",
            (False, True),
            changes_rounding=True,
            needs_warm_up=True,
        ),
        RuntimeSetting(
            SettingName.DECODE,
            "Where a shape's field is asked: near its surface, or everywhere",
            DECODE_WAYS,
            changes_rounding=True,
        ),
        RuntimeSetting(
            SettingName.DECODE_CHUNK,
            "Points of a shape's field asked in one call, 0 for as many as memory allows",
            (0, 8192, 32_768, 131_072),
            0,
            16_777_216,
            changes_rounding=True,
        ),
        RuntimeSetting(
            SettingName.CFG_BATCH,
            "Guidance asks its network once per step with a batch of two",
            (False, True),
            changes_rounding=True,
        ),
        RuntimeSetting(
            SettingName.MAX_BATCH,
            "Most jobs that run as one batch",
            (1, 2, 4, 8),
            1,
            64,
            acts_between_jobs=True,
            changes_rounding=True,
        ),
    )
}

_in_force: ContextVar[Mapping[str, Value] | None] = ContextVar("runtime_settings", default=None)
_read: ContextVar[tuple[set[str], ...]] = ContextVar("settings_read", default=())
_DEFAULTS = Settings()


def started_with(settings: Settings) -> dict[str, Value]:
    """Return the values that the server was started with."""
    return {name: getattr(settings, name) for name in RUNTIME_SETTINGS}


def value_of(name: SettingName) -> Value:
    """Return the value in force for the job at hand, or the default outside of any."""
    for names in _read.get():
        names.add(name.value)
    return (_in_force.get() or {}).get(name, getattr(_DEFAULTS, name))


def number_of(name: SettingName) -> int:
    """Return the value of a setting that counts something."""
    return int(value_of(name) or 0)


@contextmanager
def recorded_reads() -> Iterator[set[str]]:
    """Learn which settings the block reads, in the threads too that carry its context.

    Yields
    ------
    set of str
        Names, filled while the block runs. Blocks may be inside each other: all learn of it.

    Examples
    --------
    >>> with recorded_reads() as names:
    ...     _ = value_of(SettingName.RESIDENCY)
    >>> names
    {'residency'}
    """
    names: set[str] = set()
    token = _read.set((*_read.get(), names))
    try:
        yield names
    finally:
        _read.reset(token)


@contextmanager
def in_force(values: Mapping[str, Value]) -> Iterator[None]:
    """Put values in force inside the block; what it does not name stays as it is.

    Raises
    ------
    InvalidParameter
        There is no such setting, or it cannot have that value.
    """
    checked = {name: known(name).check(value) for name, value in values.items()}
    token = _in_force.set({**(_in_force.get() or {}), **checked})
    try:
        yield
    finally:
        _in_force.reset(token)


def known(name: str) -> RuntimeSetting:
    """Find a setting by name; raises InvalidParameter if there is none."""
    found = RUNTIME_SETTINGS.get(name)
    if found is None:
        raise InvalidParameter(f"{name}: there is no such setting to change while the server runs.")
    return found
