"""What does counting the operations of a model cost, beside torch's counter on the live call?

Every round runs the same forward pass plain, noted on a stage, and under torch's counter, in an
order that changes. The counts are compared with the formula of the model.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from backend.engines.counted_module import CountedModule
from backend.gpu.flops import Work, count_work, forget_work
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.work import note_work
from bench.record import Figure, report

ROUNDS, SEED, NOTES = 30, 1, 1000
WIDTH, LAYERS, TOKENS = 192, 6, 128
LARGE_WIDTH, LARGE_LAYERS, LARGE_TOKENS = 2048, 24, 4096
PLAIN, NOTED, LIVE = "forward pass, nothing counted", "noted on its stage", "torch's counter, live"


class Layer(nn.Module):
    """Self-attention and feed-forward, without sums."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, width) to the same."""
        heads = (
            part.unflatten(-1, (-1, 64)).transpose(1, 2)
            for part in self.qkv(self.norm(x)).chunk(3, dim=-1)
        )
        attended = functional.scaled_dot_product_attention(*heads)
        x = x + self.out(attended.transpose(1, 2).flatten(-2))
        result: torch.Tensor = x + self.down(functional.gelu(self.up(self.norm(x))))
        return result


def stack(width: int, layers: int, device: str = "cpu") -> nn.Module:
    """Build a model of such layers."""
    with torch.device(device):
        return nn.Sequential(*(Layer(width) for _ in range(layers))).eval()


def formula(width: int, layers: int, tokens: int) -> int:
    """Operations of one forward pass with a batch of one: two per multiply-add."""
    return layers * 2 * (tokens * 12 * width * width + 2 * tokens * tokens * width)


def live_count(model: nn.Module, x: torch.Tensor) -> int:
    """Run the model under torch's counter."""
    with FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops())


def elapsed_ms(call: Callable[[], Any]) -> float:
    """Time one call."""
    started_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started_ns) / 1e6


def measure_calls(rounds: int) -> dict[str, list[float]]:
    """Time one forward pass each way in every round, in milliseconds."""
    model, x = stack(WIDTH, LAYERS), torch.rand(1, TOKENS, WIDTH)
    counted = CountedModule(model)
    ways: dict[str, Callable[[], Any]] = {
        PLAIN: lambda: model(x),
        NOTED: lambda: counted(x),
        LIVE: lambda: live_count(model, x),
    }
    order = random.Random(SEED)
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    with record_pipeline("bench"), profile_stage("forward"):
        for way in ways.values():
            way()
        for _ in range(rounds):
            for name in order.sample(list(ways), len(ways)):
                times_ms[name].append(elapsed_ms(ways[name]))
    return times_ms


def measure_first_counts(model: nn.Module, x: torch.Tensor, rounds: int) -> list[float]:
    """Time the first count of a shape, in milliseconds."""
    times_ms = []
    for _ in range(rounds):
        forget_work(model)
        times_ms.append(elapsed_ms(lambda: count_work(model, x)))
    return times_ms


def measure_notes(rounds: int) -> list[float]:
    """Time one note, in nanoseconds."""
    times_ns = []
    with record_pipeline("bench"), profile_stage("stage"):
        for _ in range(rounds):
            started_ns = time.perf_counter_ns()
            for _ in range(NOTES):
                note_work(1, 1, "bf16")
            times_ns.append((time.perf_counter_ns() - started_ns) / NOTES)
    return times_ns


def compared(large: nn.Module, large_x: torch.Tensor) -> list[dict[str, Any]]:
    """Compare the counts with the formula."""
    model, x = stack(WIDTH, LAYERS), torch.rand(1, TOKENS, WIDTH)
    small_flop = formula(WIDTH, LAYERS, TOKENS)
    large_flop = formula(LARGE_WIDTH, LARGE_LAYERS, LARGE_TOKENS)
    ways = [
        ("meta device", small_flop, _flop(count_work(model, x))),
        ("torch's counter, live on a processor", small_flop, live_count(model, x)),
        ("meta device, large model", large_flop, _flop(count_work(large, large_x))),
    ]
    return [
        {"way": way, "formula_flop": exact, "flop": found, "ratio": found / exact}
        for way, exact, found in ways
    ]


def _flop(work: Work | None) -> int:
    if work is None:
        raise RuntimeError("the model could not be counted")
    return work.flop


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    torch.set_num_threads(1)  # more would wait for each other where cores are shared
    large = stack(LARGE_WIDTH, LARGE_LAYERS, "meta")
    large_x = torch.zeros(1, LARGE_TOKENS, LARGE_WIDTH, device="meta")
    with torch.inference_mode():
        times_ms = measure_calls(args.rounds)
        rows = compared(large, large_x)
        small = stack(WIDTH, LAYERS), torch.rand(1, TOKENS, WIDTH)
        first_ms = measure_first_counts(*small, args.rounds)
        large_ms = measure_first_counts(large, large_x, args.rounds)
    base = Figure.of(PLAIN, "ms", times_ms[PLAIN])
    figures = [
        base,
        *(Figure.of(name, "ms", times_ms[name], base.median) for name in (NOTED, LIVE)),
        Figure.of("first count of a shape", "ms", first_ms, base.median),
        Figure.of("first count, 24 layers of width 2048", "ms", large_ms),
        Figure.of("one note on a stage", "ns", measure_notes(args.rounds)),
    ]
    for row in rows:
        print(f"{row['way']}: {row['ratio']:.4f} of the formula's {row['formula_flop']:.4g} FLOP")
    settings = {
        "rounds": args.rounds,
        "model": {"width": WIDTH, "layers": LAYERS, "tokens": TOKENS},
        "large": {"width": LARGE_WIDTH, "layers": LARGE_LAYERS, "tokens": LARGE_TOKENS},
        "torch": importlib.metadata.version("torch"),
        "seed": SEED,
    }
    report("flop_count", figures, settings, args.json, rows)


if __name__ == "__main__":
    main()
