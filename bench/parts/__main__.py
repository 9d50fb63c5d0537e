"""How much faster are parts found and completed than the published way, with equal results?

``python -m bench.parts``: every stage of P3-SAM and X-Part on the same random weights and inputs:
``ours``, and ``reference``, a plain implementation of the published way that we wrote from its
description (``bench/parts/reference_*.py``); ``python -m bench.parity`` and the tests hold both
against tensors that the original has made. The ways take turns, and their results are compared.
Only ``--scale full`` has the published sizes; on a CPU its denoiser takes more than 30 GB, and its
heads are asked of a few prompts only. On a CPU each way is run once more in a process of its own to
see what memory it takes; what the published sizes take on a GPU is counted without one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bench.parts.memory import peaks_of_ways
from bench.parts.sizes import SIZES, Scale
from bench.parts.stage import measured
from bench.parts.stages import stages_of
from bench.record import Figure, report

ONLY = "stages that have this in their name; 'memory' and 'estimate' are what is said of memory"


def main() -> int:
    """Measure and report; returns 1 if a result is not equal."""
    args = _arguments()
    console = Console(soft_wrap=True, highlight=False)
    torch.set_num_threads(args.threads)
    device = torch.device("cuda", 0) if args.device == "cuda" else torch.device("cpu")
    sizes = SIZES[Scale(args.scale)]
    figures: list[Figure] = []
    rows: list[dict[str, Any]] = []
    with_memory = device.type == "cpu" and _is_wanted("memory", args.only)
    for name, make in stages_of(sizes).items():
        if not _is_wanted(name, args.only):
            continue
        done = measured(make(device, getattr(torch, args.dtype)), args.rounds, device, console)
        figures += done.figures
        rows.append(done.row)
        if with_memory:
            rows += _told(peaks_of_ways(name, args.scale), console)
    if _is_wanted("estimate", args.only):
        from bench.parts.full_size import estimates

        rows += _told(estimates(), console)
    report("parts", figures, _settings(args), args.json, rows)
    return 0 if all(row.get("holds", True) for row in rows) else 1


def _is_wanted(name: str, only: Sequence[str] | None) -> bool:
    return not only or any(part in name for part in only)


def _told(rows: list[dict[str, Any]], console: Console) -> list[dict[str, Any]]:
    for row in rows:
        console.print(", ".join(f"{key} {value}" for key, value in row.items()))
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=[*Scale], default=Scale.SMALL)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=found)
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="on a CPU")
    parser.add_argument("--only", nargs="+", metavar="PART", help=ONLY)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.device == "cuda" and found == "cpu":
        parser.error("torch sees no CUDA device here")
    args.dtype = args.dtype or ("bfloat16" if args.device == "cuda" else "float32")
    return args


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "scale": args.scale,
        "device": args.device,
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "rounds": args.rounds,
        "torch": torch.__version__,
        "sizes": vars(SIZES[Scale(args.scale)]),
        "compared_with": "our own plain implementation of the published way",
        "seconds": "of one GPU call" if args.device == "cuda" else "of CPU time",
    }


if __name__ == "__main__":
    sys.exit(main())
