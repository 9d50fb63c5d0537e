"""Times a network compiled beside plain, in a process of its own that gives way at once.

Compiling takes from seconds to minutes and cannot be interrupted, so a worker that did it itself
would keep the next job waiting. The child gets the network without its weights: how fast a forward
is does not depend on their values, so it makes up new ones. Nothing of the worker's own network,
its random numbers or its memory is touched.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from backend.engines.bare_network import dump_bare
from backend.engines.probed_model import Arguments, ProbedModel, device_of
from backend.gpu.compilation import INDUCTOR
from backend.runtime_settings import Value
from backend.units import Clock

if TYPE_CHECKING:
    import torch

CHILD = "backend.engines.compile_trial_child"
JOB, RESULT = "network.pickle", "times.json"
LIMIT_S = 600.0
LOOK_S = 0.1
# The child's own weights and what its forwards need, beside its context on the card.
TIMES_WEIGHTS, CONTEXT_BYTES = 2, 2 * 2**30

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompiledTimes:
    """Medians of one forward plain and compiled in turns, and what compiling took; in seconds."""

    eager_s: float
    compiled_s: float
    compile_s: float


def compiled_times(
    model: ProbedModel,
    values: Mapping[str, Value],
    clock: Clock,
    stop: Callable[[], bool],
    backend: str = INDUCTOR,
) -> CompiledTimes | None:
    """Compile a network in a child process and time it there.

    Parameters
    ----------
    values : mapping
        The runtime settings that the network is to follow.
    stop : callable
        Asked ten times a second; True ends the child at once.
    backend : str
        A backend of torch.compile.

    Returns
    -------
    CompiledTimes or None
        None where that does not work, takes more than ten minutes, has no room, or was stopped.
    """
    import torch

    example = model.example()
    if example is None or not _has_room(model, example):
        return None
    job = {
        "module": model.module,
        "example": example,
        "dtype": model.autocast_dtype,
        "values": dict(values),
        "backend": backend,
        "threads": torch.get_num_threads(),
    }
    with tempfile.TemporaryDirectory(prefix="meshkiln-compile-") as folder:
        try:
            dump_bare(job, Path(folder, JOB))
        except Exception as error:  # noqa: BLE001  a class that cannot be sent is simply not tried
            log.info("%s cannot be compiled elsewhere: %s", model.name, error)
            return None
        told = _told_by_child(Path(folder), clock, stop)
    return CompiledTimes(**told) if told is not None else None


def _told_by_child(folder: Path, clock: Clock, stop: Callable[[], bool]) -> dict[str, float] | None:
    """Run the child until it ends, is stopped or takes too long; returns its figures."""
    child = subprocess.Popen(
        [sys.executable, "-m", CHILD, str(folder)],
        stdin=subprocess.PIPE,  # it ends itself when this closes, as it does if the worker dies
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    pause, deadline_s = threading.Event(), clock.monotonic_s() + LIMIT_S
    try:
        while child.poll() is None:
            if stop() or clock.monotonic_s() > deadline_s:
                return None
            pause.wait(LOOK_S)
    finally:
        _end(child)
    return _read(folder / RESULT)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and the compilers that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has ended by itself, with all it started
        log.debug("the process %d that compiled has ended", child.pid)
    child.communicate()


def _read(result: Path) -> dict[str, float] | None:
    if not result.is_file():
        log.info("a network was not compiled: the process that tried it ended without a word")
        return None
    told: dict[str, Any] = json.loads(result.read_text())
    if "failed" in told:
        log.info("a network was not compiled: %s", told["failed"])
        return None
    return told


def _has_room(model: ProbedModel, example: Arguments) -> bool:
    """Whether a second copy of the network fits beside all that is there."""
    import torch

    weights = [*model.module.parameters(), *model.module.buffers()]
    wanted = TIMES_WEIGHTS * sum(_bytes_of(one) for one in weights) + CONTEXT_BYTES
    device = device_of(model, example)
    on_card = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_card else psutil.virtual_memory().available
    if free < wanted:
        log.info("%s is not compiled: that takes %.1f GB more", model.name, wanted / 1e9)
    return free >= wanted


def _bytes_of(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
