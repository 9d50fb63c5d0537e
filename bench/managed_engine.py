"""What does it cost to host a program, in this process and in one of its own?

Calls are compared with calling the program directly, what passes between the processes with pickle
over ``multiprocessing.Pipe``, coming back to the device with loading anew: in turns, in one run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pickle
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from backend.residency.controls import release
from backend.residency.guest.weights import MovableWeights
from backend.residency.ledger_device import LedgerDevice
from backend.residency.managed.guest_host import GuestHost
from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.process import ProcessResidency
from backend.settings import Settings
from backend.units import MB
from bench.hosted_program.echo_program import Weighty
from bench.record import Figure, report

PROGRAM = Path(__file__).parent / "hosted_program"
RATE_HZ, RECORDING_S = 24_000, 10
TENSORS_MB = (1, 16, 256)
CALLS = 200
LEDGER_BYTES = 8192 * MB
DIRECT, HERE, APART = "direct", "in this process", "in its own process"
OURS, PIPE, ARRAY = "frames", "pickle over a pipe", "pickle of arrays over a pipe"
NOTES = (
    "'A call' takes no arguments and does nothing; the program is on the device before and after.",
    "'restore' on a CPU crosses no link: the process is asked and nothing is copied. 'copy to a "
    "block' is what a restore copies, from RAM to RAM; the file read again lies in the system's "
    "cache. None of it shows the rate of a GPU's link or of a disk.",
    "The other end of the pipe is this module in a process of its own; pickle's protocol 5.",
)

Samples = dict[str, list[float]]
Ways = dict[str, tuple[Callable[[], object], Callable[[], object]]]


@dataclass(frozen=True)
class Load:
    """Something to send: its name, and how many float32 numbers it has."""

    name: str
    count: int

    @property
    def size_mb(self) -> float:
        """Size in MB."""
        return self.count * 4 / MB


LOADS = (
    Load(f"{RECORDING_S} s of sound at {RATE_HZ // 1000} kHz", RATE_HZ * RECORDING_S),
    *(Load(f"tensor of {size} MB", size * MB // 4) for size in TENSORS_MB),
)


class PipeProgram:
    """The program behind ``multiprocessing.Pipe``; what is sent is pickled."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_answer_pipe, args=(theirs,), daemon=True)
        self._process.start()

    def call(self, method: str, argument: Any) -> Any:
        """Call a method with one argument."""
        self._pipe.send_bytes(pickle.dumps((method, argument), protocol=5))
        return pickle.loads(self._pipe.recv_bytes())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _answer_pipe(pipe: Connection) -> None:
    program = Weighty()
    while True:
        method, argument = pickle.loads(pipe.recv_bytes())
        pipe.send_bytes(pickle.dumps(getattr(program, method)(argument), protocol=5))


def elapsed_s(call: Callable[[], object]) -> float:
    """Time one call."""
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def open_residency(policy: str) -> ProcessResidency:
    """Open a residency on a ledger large enough for everything."""
    settings = Settings(residency=policy, vram_reserve_mb=0, pin_budget_mb=0)
    return ProcessResidency(settings, None, lambda _: LedgerDevice(LEDGER_BYTES, in_place=True))


def measure_calls(rounds: int) -> Samples:
    """Take the seconds of one call, of everybody in turns."""
    residency = open_residency("resident")
    program = Weighty()
    here = ManagedEngine("here", Weighty, ("nothing",), residency=residency)
    apart = ManagedEngine(
        "apart", "echo_program:Weighty", ("nothing",),
        venv=sys.executable, path=[PROGRAM], residency=residency,
    )  # fmt: skip
    samples: Samples = defaultdict(list)
    with here, apart:
        ways: dict[str, Callable[[], object]] = {
            DIRECT: program.nothing, HERE: here.nothing, APART: apart.nothing,
        }  # fmt: skip
        for number in range(rounds + 1):
            for name, call in ways.items():
                taken_s = elapsed_s(partial(_often, call))
                if number:  # the first round loads
                    samples[name].append(taken_s / CALLS)
    residency.close()
    return samples


def _often(call: Callable[[], object]) -> None:
    for _ in range(CALLS):
        call()


def measure_transfers(rounds: int) -> Samples:
    """Take the seconds that each load takes to the program and back from it."""
    host = GuestHost("echo", "echo_program:Weighty", python=sys.executable, path=[PROGRAM])
    loaded, pipe = host.load(), PipeProgram()
    samples: Samples = defaultdict(list)
    try:
        for load in LOADS:
            data = torch.randn(load.count)
            array = data.numpy()
            ways: Ways = {
                OURS: (partial(_call, host, loaded, "take", data),
                       partial(_call, host, loaded, "give", load.count)),
                PIPE: (partial(pipe.call, "take", data), partial(pipe.call, "give", load.count)),
                ARRAY: (partial(pipe.call, "take", array),
                        partial(pipe.call, "give_array", load.count)),
            }  # fmt: skip
            for number in range(rounds + 1):
                for name, (there, back) in ways.items():
                    there_s, back_s = elapsed_s(there), elapsed_s(back)
                    if number:
                        samples[f"{load.name} to it: {name}"].append(there_s)
                        samples[f"{load.name} from it: {name}"].append(back_s)
    finally:
        pipe.close()
        host.close()
    return samples


def _call(host: GuestHost, loaded: Any, method: str, argument: Any) -> Any:
    return host.call(loaded, method, [argument], {})


def measure_starts(rounds: int, size_mb: int) -> Samples:
    """Take the seconds of cold starts, and of restoring against loading anew."""
    samples: Samples = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="mk-bench-") as folder:
        file = Path(folder) / "weights.pt"
        torch.save({str(n): torch.randn(MB // 4) for n in range(size_mb)}, file)
        for _ in range(rounds):
            for name, factory, arguments in (
                ("cold start without torch", "echo_program:Plain", {}),
                ("cold start with torch", "echo_program:Weighty", {}),
                ("cold start with weights", "echo_program:Weighty", {"weights": str(file)}),
            ):
                host = GuestHost(
                    "cold", factory, python=sys.executable, path=[PROGRAM], arguments=arguments
                )
                samples[name].append(elapsed_s(host.load))
                host.close()
        _measure_restores(rounds, file, samples)
    return samples


def _measure_restores(rounds: int, file: Path, samples: Samples) -> None:
    residency = open_residency("offload_after_use")
    engine = ManagedEngine(
        "weighty", "echo_program:Weighty", ("nothing",),
        venv=sys.executable, path=[PROGRAM], arguments={"weights": str(file)}, residency=residency,
    )  # fmt: skip
    weights = MovableWeights(torch, [Weighty(str(file)).network])
    with engine:
        for _ in range(rounds):
            samples["first call after a release"].append(elapsed_s(engine.nothing))
            samples["first call after an offload"].append(elapsed_s(engine.nothing))
            release(residency.manager(), "weighty", drain=True)
            samples["copy to a block"].append(
                elapsed_s(lambda: weights.to_device(torch.device("cpu")))
            )
            weights.to_host()
            samples["read the file again"].append(elapsed_s(lambda: Weighty(str(file))))
    residency.close()


def figures_of(calls: Samples, transfers: Samples, starts: Samples) -> list[Figure]:
    """Summarise: times, ratios paired by round, and rates."""
    figures = [
        Figure.of(f"a call: {name}", "us", [1e6 * s for s in calls[name]])
        for name in (DIRECT, HERE, APART)
    ]
    figures += [
        _ratio(f"a call: {name} / {DIRECT}", calls[name], calls[DIRECT]) for name in (HERE, APART)
    ]
    for load in LOADS:
        for way in ("to it", "from it"):
            taken = {name: transfers[f"{load.name} {way}: {name}"] for name in (OURS, PIPE, ARRAY)}
            for name, seconds in taken.items():
                rates = [load.size_mb / s for s in seconds]
                figures.append(Figure.of(f"{load.name} {way}: {name}", "MB/s", rates))
            figures += [
                _ratio(f"{load.name} {way}: time of {OURS} / {name}", taken[OURS], taken[name])
                for name in (PIPE, ARRAY)
            ]
    figures += [Figure.of(name, "ms", [1e3 * s for s in some]) for name, some in starts.items()]
    pairs = (
        ("first call after an offload", "first call after a release"),
        ("copy to a block", "read the file again"),
    )
    return figures + [_ratio(f"{a} / {b}", starts[a], starts[b]) for a, b in pairs]


def _ratio(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    return Figure.of(name, "x", [a / b for a, b in zip(ours, theirs, strict=True)])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size-mb", type=int, default=256, help="of the weights that are loaded")
    args = parser.parse_args()
    torch.set_num_threads(1)
    calls = measure_calls(args.rounds)
    transfers = measure_transfers(args.rounds)
    starts = measure_starts(args.rounds, args.size_mb)
    settings = {
        "rounds": args.rounds, "calls_per_round": CALLS, "weights_mb": args.size_mb,
        "torch": torch.__version__, "notes": list(NOTES),
    }  # fmt: skip
    report("managed_engine", figures_of(calls, transfers, starts), settings, args.json)
    for note in NOTES:
        print(f"- {note}")


if __name__ == "__main__":
    main()
