"""The process in which ``compile_trial`` compiles; run with the folder of its task."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.engines.bare_network import load_bare
from backend.engines.compile_trial import JOB, RESULT, CompiledTimes
from backend.engines.forward_timing import (
    FEWEST_ROUNDS,
    ForwardTimer,
    computing,
    forward,
    rounds_within,
)
from backend.engines.probed_model import Arguments
from backend.gpu.compilation import CompiledModel
from backend.runtime_settings import in_force
from backend.units import SystemClock

if TYPE_CHECKING:
    import torch
    from torch import nn

COMPARED_S = 2.0
# Jobs of other queues go on meanwhile.
NICENESS = 10


@dataclass
class _Given:
    """The network of the worker, with weights made up."""

    name: str
    module: nn.Module
    stage: str | None
    autocast_dtype: torch.dtype | None
    arguments: Arguments

    def example(self) -> Arguments | None:
        """Return the arguments that came along."""
        return self.arguments


def main() -> None:
    """Compile, time, and write what was found."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    os.nice(NICENESS)
    try:
        told: dict[str, Any] = asdict(_times(load_bare(folder / JOB)))
    except Exception as error:  # noqa: BLE001  the worker writes it into its log
        told = {"failed": f"{type(error).__name__}: {error}".partition("\n")[0]}
    (folder / RESULT).write_text(json.dumps(told))


def _times(job: dict[str, Any]) -> CompiledTimes:
    import torch

    torch.set_num_threads(job["threads"])
    given = _Given("network", job["module"], None, job["dtype"], job["example"])
    with in_force(job["values"]):
        _follow_settings(given.module)
        return _in_turns(given, job["backend"])


def _in_turns(given: _Given, backend: str) -> CompiledTimes:
    """Time it plain and compiled; raises RuntimeError if it does not compile."""
    clock = SystemClock()
    timer = ForwardTimer(clock, lambda: False)
    example, dtype = given.arguments, given.autocast_dtype
    plain = forward(given, example, dtype)
    timer.time(plain)
    compiled = CompiledModel(
        given.module, resident=False, enabled=True, clock=clock, backend=backend
    )
    args, kwargs = example
    with computing(given, example, dtype):
        compile_s = compiled.warm_up(*args, **kwargs)
    if compiled.reason is not None:
        raise RuntimeError(compiled.reason)
    ways = {"plain": plain, "compiled": forward(given, example, dtype, run=compiled)}
    rounds = rounds_within(COMPARED_S, 2 * timer.time(plain)) or FEWEST_ROUNDS
    middle_s = timer.in_turns(ways, rounds)
    return CompiledTimes(middle_s["plain"], middle_s["compiled"], compile_s)


def _follow_settings(module: nn.Module) -> None:
    """Tell the attentions what compiled code is to use, as ``HostedModel`` does before a call."""
    from backend.engines.chosen_attention import ChosenAttention

    for part in module.modules():
        if isinstance(part, ChosenAttention):
            part.follow_settings()


def _end_with_the_worker() -> None:
    """Wait for the pipe to the worker to close, which it does however the worker ends."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
