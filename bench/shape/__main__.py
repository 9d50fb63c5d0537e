"""How much faster are shapes with all savings than without, and than with the authors' package?

Stage by stage on the same random weights: ``ours`` with all savings, ``plain`` with the same
networks and none of them (dense decode in calls of 8000 points, skimage for the surface), and with
``--hy3dgen PYTHON`` the package hy3dgen under an interpreter that has it. All take turns in one
run, and their results are compared. Only ``--scale full`` has the published sizes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from backend.models.hunyuan3d.picture import prepared_picture
from bench.record import Figure, report
from bench.shape.hy3dgen_way import Hy3dgen, Hy3dgenFailed
from bench.shape.memory import peaks_of_ways
from bench.shape.outcome import Outcome, deviation
from bench.shape.random_weights import random_networks
from bench.shape.restoring import restores
from bench.shape.roofline import rooflines
from bench.shape.sizes import ModelName, Scale, Sizes, sizes_of
from bench.shape.ways import Given, Ours, Plain, Way, given_for

PICTURE_PX = 512
FEW, MANY = 5, 30


@dataclass(frozen=True)
class Stage:
    """What is timed.

    Parameters
    ----------
    name : str
    call : callable
        Takes a way.
    rounds : int
    leaves_out : str
        A way that this is not asked of.
    """

    name: str
    call: Callable[[Way], Outcome]
    rounds: int
    leaves_out: str = ""


def stages_of(sizes: Sizes, rounds: int, *, is_gpu: bool) -> list[Stage]:
    """List the stages; those that take long are timed once on a CPU."""
    long = rounds if is_gpu else 1
    whole = sizes.whole_cells
    found = [
        Stage("encode", lambda way: way.encode(), rounds, "plain"),
        Stage("pair", lambda way: way.pair(), rounds),
        Stage(f"trajectory {FEW}", lambda way: way.trajectory(FEW), rounds if is_gpu else 2),
        Stage(f"trajectory {MANY}", lambda way: way.trajectory(MANY), long, _if(is_gpu)),
        Stage("tokens", lambda way: way.tokens(), rounds, "plain"),
        Stage(f"decode {whole}", _decode(whole), long),
    ]
    for cells in sizes.cells:
        if cells != whole:
            found.append(Stage(f"decode {cells}", _decode(cells), long, _if(is_gpu)))
        found.append(Stage(f"surface {cells}", _surface(cells), rounds, "hy3dgen"))
    name = f"whole {FEW} steps {whole} cells"
    return [*found, Stage(name, lambda way: way.whole(FEW, whole), long)]


def _if(is_gpu: bool) -> str:
    """Name whom a stage would take too long on a CPU."""
    return "" if is_gpu else "hy3dgen"


def _decode(cells: int) -> Callable[[Way], Outcome]:
    return lambda way: way.decode(cells)


def _surface(cells: int) -> Callable[[Way], Outcome]:
    return lambda way: way.surface(cells)


@torch.inference_mode()
def measured(
    stage: Stage, ways: Sequence[Way], console: Console
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Let the ways take turns at a stage, each time in another order."""
    asked = [way for way in ways if way.name != stage.leaves_out]
    taken: dict[str, list[float]] = {way.name: [] for way in asked}
    last: dict[str, Outcome] = {}
    failed: dict[str, str] = {}
    if stage.rounds > 1:
        for way in asked:  # the first call chooses kernels
            with suppress(Hy3dgenFailed):
                stage.call(way)
    for number in range(stage.rounds):
        first = number % len(asked)
        for way in [*asked[first:], *asked[:first]]:
            try:
                one = stage.call(way)
            except Hy3dgenFailed as error:
                failed[way.name] = str(error)
                continue
            taken[way.name].append(one.taken_s)
            last[way.name] = one
    rows = [_row(stage, way, one, last) for way, one in last.items()]
    rows += [{"stage": stage.name, "way": way, "failed": why} for way, why in failed.items()]
    for row in rows:
        console.print(", ".join(f"{key} {value}" for key, value in row.items()))
    return _figures(stage, taken), rows


def _figures(stage: Stage, taken: dict[str, list[float]]) -> list[Figure]:
    """Seconds of each way, and how many times as long as ours each other one takes."""
    figures = [
        Figure.of(f"{stage.name}: {way}", "s", times) for way, times in taken.items() if times
    ]
    for way, times in taken.items():
        if way != "ours" and times:
            ratios = [b / a for a, b in zip(taken["ours"], times, strict=False)]
            figures.append(Figure.of(f"{stage.name}: {way} / ours", "x", ratios))
    return figures


def _row(stage: Stage, way: str, one: Outcome, last: dict[str, Outcome]) -> dict[str, Any]:
    compared = {} if way == "ours" else deviation(last["ours"], one)
    peak = {} if one.peak_mb is None else {"peak_mb": round(one.peak_mb)}
    note = {"note": one.note} if one.note else {}
    return {"stage": stage.name, "way": way, **compared, **peak, **note}


def pear() -> NDArray[np.uint8]:
    """Draw two discs that overlap, (h, w, 4) uint8."""
    y, x = np.mgrid[:PICTURE_PX, :PICTURE_PX] / PICTURE_PX
    low, high = (np.hypot(x - 0.5, y - at) < radius for at, radius in ((0.62, 0.28), (0.3, 0.16)))
    alpha = (low | high).astype(np.uint8) * 255
    shade = cv2.resize(np.array([[90, 200], [160, 240]], np.uint8), (PICTURE_PX, PICTURE_PX))
    return np.dstack([shade, shade // 2, 255 - shade, alpha])


@contextmanager
def _other_package(args: argparse.Namespace, networks: Any, given: Given) -> Iterator[list[Way]]:
    """Start the package where it is asked for, and say so where it cannot be."""
    if not args.hy3dgen:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="bench_shape_") as folder:
        try:
            other = Hy3dgen(args.hy3dgen, Path(folder), networks, given, pear())
        except (Hy3dgenFailed, OSError) as error:
            raise SystemExit(f"hy3dgen cannot be compared: {error}") from error
        try:
            yield [other]
        finally:
            other.close()


def main() -> None:
    """Measure and report."""
    args = _arguments()
    console = Console(soft_wrap=True, highlight=False)
    device = torch.device("cuda", 0) if args.device == "cuda" else torch.device("cpu")
    torch.set_num_threads(args.threads)
    sizes = sizes_of(ModelName(args.model), Scale(args.scale))
    networks = random_networks(sizes, device, getattr(torch, args.dtype))
    pixels = torch.from_numpy(prepared_picture(pear()).pixels)[None]
    figures: list[Figure] = []
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack, torch.inference_mode():
        given = given_for(networks, pixels)
        ours = Ours(networks, given, joint=args.joint)
        plain = Plain(networks, given, None if device.type == "cuda" else sizes.whole_cells)
        ways: list[Way] = [ours, plain]
        ways += stack.enter_context(_other_package(args, networks, given))
        for stage in stages_of(sizes, args.rounds, is_gpu=device.type == "cuda"):
            if not _is_wanted(stage.name, args.only):
                continue
            if stage.name.startswith("surface"):
                cells = int(stage.name.split()[1])
                given.grids[cells] = ours.filled(cells)
            found, told = measured(stage, ways, console)
            given.grids.clear()
            figures += found
            rows += told
        if _is_wanted("roofline", args.only):
            rows += rooflines(networks, given)
    if device.type == "cpu" and _is_wanted("memory", args.only):
        rows += peaks_of_ways(args.model, args.scale, args.dtype)
    if _is_wanted("restore", args.only):
        rows += restores(sizes, device, getattr(torch, args.dtype))
    report("shape", figures, _settings(args, sizes), args.json, rows)


def _is_wanted(name: str, only: Sequence[str] | None) -> bool:
    return not only or any(part in name for part in only)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[*ModelName], default=ModelName.MINI)
    parser.add_argument("--scale", choices=[*Scale], default=Scale.SMALL)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=found)
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="on a CPU")
    parser.add_argument("--joint", action="store_true", help="ours: both passes in one call")
    parser.add_argument("--only", nargs="+", metavar="PART", help="what has this in its name")
    parser.add_argument("--hy3dgen", metavar="PYTHON", help="an interpreter that has hy3dgen")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.device == "cuda" and found == "cpu":
        parser.error("torch sees no CUDA device here")
    if args.hy3dgen and args.model == ModelName.V21:
        parser.error("hy3dgen 2.0.2 has the networks of the 2.0 family only")
    args.dtype = args.dtype or ("float16" if args.device == "cuda" else "float32")
    return args


def _settings(args: argparse.Namespace, sizes: Sizes) -> dict[str, Any]:
    return {
        "model": args.model,
        "scale": args.scale,
        "device": args.device,
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "rounds": args.rounds,
        "joint": args.joint,
        "torch": torch.__version__,
        "sizes": vars(sizes),
        "compared_with": "hy3dgen 2.0.2" if args.hy3dgen else None,
        "seconds": "of one GPU call" if args.device == "cuda" else "of CPU time",
    }


if __name__ == "__main__":
    main()
