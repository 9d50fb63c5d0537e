"""How long do models take to leave the device, to come back, and to change places?

The residency manager is compared with ``module.to()``, with accelerate's hooks and with diffusers'
group offload: the same networks, the same run, in turns.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backend.units import MB
from bench.record import Figure, report
from bench.residency_contenders import OURS, Contender, contenders, missing_packages
from bench.residency_copies import CopyCounter, CopyingLink, keep_freed_memory
from bench.residency_models import CONTEXT, VOCABULARY, random_transformer, weight_bytes

A, B = 0, 1
HOLDS = 200
WARM_UP_ROUNDS = 3
CPU_NOTES = (
    "No link is crossed on a CPU. What `.to()` does between two devices is stood in for by a copy "
    "from RAM to RAM, for everybody alike; 'hooks alone' is measured without it.",
    "So these figures show the bytes each way copies and what it does beside copying. They do not "
    "show the rate of a link, page-locking, copies that overlap with work on the GPU (diffusers' "
    "streams), or the cost of taking and freeing device memory.",
    "Malloc keeps freed memory, for everybody alike: else page faults, of which a GPU has none, "
    "would hit only large blocks, that is ours, and outweigh its copy (--fresh-memory shows that). "
    "Our offload reads its block once to find weights that were written to: at the rate of RAM "
    "here, of the card's own memory on a GPU. The server copies nothing on a CPU; the copying "
    "block is there for this comparison and for tests.",
)
NOTES = (
    "'cold' is a request to an offloaded model up to its output, 'warm' one to the model that ran "
    "last, 'switch' one to B while A is on the device.",
    "Layer-wise ways (group offload, cpu_offload) never hold a whole model: each of their requests "
    "brings all weights again, in exchange they need less device memory, which is not timed.",
)


class Step(StrEnum):
    """What is timed."""

    COLD = "cold"
    OFFLOAD = "offload"
    RESTORE = "restore"
    WARM = "warm"
    SWITCH = "switch"
    HOLD = "hold a resident model"
    HOOKS = "hooks alone"


Samples = dict[tuple[Step, str], list[float]]


@dataclass(frozen=True)
class Setting:
    """What every contender is given.

    Parameters
    ----------
    networks : sequence of Module
        The two models on the CPU; nobody moves these.
    tokens : Tensor
        Input on the device, shape (1, 16), int64.
    expected : sequence of Tensor
        Output of each model when it simply lies on the device, kept on the CPU.
    """

    device: torch.device
    networks: Sequence[nn.Module]
    tokens: Tensor
    expected: Sequence[Tensor]

    def link(self) -> AbstractContextManager[Any]:
        """Stand in for the link where there is none."""
        return nullcontext() if self.device.type == "cuda" else CopyingLink()


@dataclass(frozen=True)
class Check:
    """What one contender copies and whether it gives the right answer.

    Parameters
    ----------
    offloaded_equal : bool or None
        Every weight is bit-equal after the model has left the device; None where the model holds
        no weights then.
    restored_equal, switched_equal : bool
        The output is bit-equal after offload and restore, and after a switch to the other model.
    restore_mb, offload_mb : float or None
        Copied by each; None where they cannot be told apart.
    cycle_mb : float
        Copied by one cold request and the departure after it.
    peak_mb : float or None
        Most device memory in a cold request; None without a GPU.
    """

    contender: str
    offloaded_equal: bool | None
    restored_equal: bool
    switched_equal: bool
    restore_mb: float | None
    offload_mb: float | None
    cycle_mb: float
    peak_mb: float | None


def prepare(device: torch.device, size_mb: int) -> Setting:
    """Build the two networks and note what they answer."""
    on_gpu = device.type == "cuda"
    width, dtype = (2048, torch.float16) if on_gpu else (512, torch.float32)
    networks = [
        random_transformer(size_mb * MB, width=width, dtype=dtype, seed=seed) for seed in (A, B)
    ]
    tokens = (torch.arange(CONTEXT, device=device) * 7 % VOCABULARY).reshape(1, CONTEXT)
    expected = []
    for network in networks:
        expected.append(network.to(device)(tokens).cpu())
        network.to("cpu")
    return Setting(device, networks, tokens, expected)


def elapsed_s(device: torch.device, call: Callable[[], object]) -> float:
    """Time one call, with everything it queued on the GPU."""
    _finish(device)
    started_s = time.perf_counter()
    call()
    _finish(device)
    return time.perf_counter() - started_s


def run_round(setting: Setting, one: Contender, samples: Samples) -> None:
    """Take one sample of every step; the contender starts and ends with both models offloaded."""

    def note(step: Step, call: Callable[[], object], times: int = 1) -> None:
        samples[step, one.name].append(elapsed_s(setting.device, call) / times)

    tokens = setting.tokens
    with setting.link():
        note(Step.COLD, lambda: one.cold(A, tokens))
        note(Step.WARM, lambda: one.request(A, tokens))
        if one.is_separate:
            note(Step.OFFLOAD, lambda: one.offload(A))
            note(Step.RESTORE, lambda: one.restore(A))
        note(Step.SWITCH, lambda: one.switch(A, B, tokens))
    if one.is_separate:
        note(Step.HOLD, lambda: _hold_often(one), HOLDS)
    if setting.device.type == "cpu":
        note(Step.HOOKS, lambda: one.request(B, tokens))
    if one.is_separate:
        one.offload(B)


def measure(setting: Setting, everybody: Sequence[Contender], rounds: int) -> Samples:
    """Let everybody take turns, in another order each round; the first rounds warm up."""
    for _ in range(WARM_UP_ROUNDS):
        run_all(setting, everybody, defaultdict(list))
    samples: Samples = defaultdict(list)
    for number in range(rounds):
        first = number % len(everybody)
        run_all(setting, [*everybody[first:], *everybody[:first]], samples)
    return samples


def run_all(setting: Setting, everybody: Sequence[Contender], samples: Samples) -> None:
    """Take one round of everybody."""
    for one in everybody:
        run_round(setting, one, samples)


def check(setting: Setting, one: Contender) -> Check:
    """Count copies and compare bits, apart from the timing."""
    tokens = setting.tokens
    restore_mb = offload_mb = None
    with setting.link():
        if one.is_separate:
            restore_mb = copied_mb(setting, lambda: one.restore(A))
            offload_mb = copied_mb(setting, lambda: one.offload(A))
        cycle_mb = copied_mb(setting, lambda: _cycle(one, tokens))
        offloaded_equal = _same_weights(setting.networks[A], one.host_weights(A))
        peak_mb = _peak_mb(setting.device, lambda: one.cold(A, tokens))
        restored = one.request(A, tokens).cpu()
        switched = one.switch(A, B, tokens).cpu()
    if one.is_separate:
        one.offload(B)
    return Check(
        contender=one.name,
        offloaded_equal=offloaded_equal,
        restored_equal=torch.equal(restored, setting.expected[A]),
        switched_equal=torch.equal(switched, setting.expected[B]),
        restore_mb=restore_mb,
        offload_mb=offload_mb,
        cycle_mb=cycle_mb,
        peak_mb=peak_mb,
    )


def copied_mb(setting: Setting, call: Callable[[], object]) -> float:
    """Megabytes of weights that a call copies; on a GPU only those that cross the link."""
    with CopyCounter(crossing=setting.device.type == "cuda") as counter:
        call()
    return float(counter.copied_bytes / MB)


def figures_of(samples: Samples) -> list[Figure]:
    """Summarise: times of everybody, and ours over each other one, paired by round."""
    figures = []
    for step in Step:
        taken = {name: samples[of, name] for of, name in sorted(samples) if of is step}
        unit, scale = ("us", 1e6) if step is Step.HOLD else ("ms", 1e3)
        for name, values in sorted(taken.items(), key=lambda item: item[0] != OURS):
            figures.append(Figure.of(f"{step}: {name}", unit, [scale * v for v in values]))
        for name in [name for name in taken if name != OURS]:
            pairs = zip(taken[OURS], taken[name], strict=True)
            figures.append(Figure.of(f"{step}: ours / {name}", "x", [a / b for a, b in pairs]))
    return figures


def print_notes(device: torch.device, checks: Sequence[Check]) -> None:
    """Say what was checked, and what the figures cannot show."""
    for one in checks:
        print(", ".join(f"{key}: {_plain(value)}" for key, value in asdict(one).items()))
    for note in (*NOTES, *(CPU_NOTES if device.type == "cpu" else ())):
        print(f"- {note}")


def main() -> None:
    """Measure and report."""
    args = _arguments()
    device = torch.device("cuda", 0) if args.device == "cuda" else torch.device("cpu")
    size_mb = args.size_mb or (4000 if device.type == "cuda" else 200)
    keeps_memory = device.type == "cpu" and not args.fresh_memory and keep_freed_memory()
    if device.type == "cpu":
        torch.set_num_threads(args.threads)
    if missing := missing_packages():
        print(f"Not compared: pip install {' '.join(missing)}")
    with torch.no_grad():
        setting = prepare(device, size_mb)
        everybody = contenders(setting.networks, device)
        samples = measure(setting, everybody, args.rounds)
        checks = [check(setting, one) for one in everybody]
    settings = {"malloc_keeps_memory": keeps_memory, **_settings(setting, args.rounds, missing)}
    report("residency", figures_of(samples), settings, args.json, [asdict(one) for one in checks])
    print_notes(device, checks)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--size-mb", type=int)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="more suffer from a busy machine")
    parser.add_argument("--fresh-memory", action="store_true", help="leave malloc as it is")
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=found)
    args = parser.parse_args()
    if args.device == "cuda" and found == "cpu":
        parser.error("torch sees no CUDA device here")
    return args


def _settings(setting: Setting, rounds: int, missing: Sequence[str]) -> dict[str, Any]:
    network = setting.networks[A]
    packages = [name for name in ("torch", "accelerate", "diffusers") if name not in missing]
    return {
        "device": str(setting.device),
        "model_mb": weight_bytes(network) / MB,
        "tensors": len(list(network.parameters())),
        "dtype": str(next(network.parameters()).dtype),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "compared": {name: version(name) for name in packages},
        "notes": [*NOTES, *(CPU_NOTES if setting.device.type == "cpu" else ())],
    }


def _plain(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _cycle(one: Contender, tokens: Tensor) -> None:
    one.cold(A, tokens)
    if one.is_separate:
        one.offload(A)


def _hold_often(one: Contender) -> None:
    for _ in range(HOLDS):
        one.hold(B)


def _same_weights(network: nn.Module, weights: dict[str, Tensor] | None) -> bool | None:
    if weights is None:
        return None
    expected = network.state_dict()
    return expected.keys() == weights.keys() and all(
        torch.equal(tensor, weights[name]) for name, tensor in expected.items()
    )


def _peak_mb(device: torch.device, call: Callable[[], object]) -> float | None:
    if device.type != "cuda":
        call()
        return None
    torch.cuda.reset_peak_memory_stats(device)
    call()
    return float(torch.cuda.max_memory_allocated(device)) / MB


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
