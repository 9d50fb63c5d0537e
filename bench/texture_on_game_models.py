"""How near do the colours of unseen sides come to the truth on real models?

As ``bench.texture_projection``, on the half of a game's models that was held out while the method
was made (``bench/game_models.py`` says where they come from). ``--tuning`` takes the other half.
Seconds are not told: objects are measured side by side.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from bench.game_models import game_models
from bench.painted_objects import PaintedObject
from bench.record import report
from bench.texture_projection import (
    HELD_OUT,
    KNOWN,
    Measured,
    figures_of,
    measure,
    shows_colours,
    table_of,
)

Job = tuple[Path, bool, int, int]


def _measured(job: Job) -> Measured | None:
    """Measure one object; None where it has one colour, or nothing of it is hidden."""
    folder, held_out, number, size_px = job
    thing = _things(folder, held_out)[number]
    if not shows_colours(thing):
        return None
    found = measure(thing, size_px, HELD_OUT if held_out else KNOWN)
    return found if any(found.errors["projection"]) else None


_read: dict[tuple[Path, bool], list[PaintedObject]] = {}


def _things(folder: Path, held_out: bool) -> list[PaintedObject]:
    """Give the objects, read once in each process."""
    key = (folder, held_out)
    if key not in _read:
        _read[key] = list(game_models(folder, held_out=held_out))
    return _read[key]


def main() -> None:
    """Measure, print, and write the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the package was unpacked")
    parser.add_argument("--tuning", action="store_true", help="the half that may be looked at")
    parser.add_argument("--size", type=int, default=1024, help="side of the textures")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    held_out = not args.tuning
    count = len(_things(args.folder, held_out))
    jobs = [(args.folder, held_out, number, args.size) for number in range(count)]
    with multiprocessing.get_context("fork").Pool() as pool:
        results = [one for one in pool.imap(_measured, jobs) if one is not None]
    Console(width=110).print(table_of(results))
    if args.sheet:
        Image.fromarray(np.concatenate([one.sheet for one in results])).save(args.sheet)
    if args.json:
        settings = {"size_px": args.size, "objects": len(results)}
        report("texture_on_game_models", figures_of(results), settings, args.json)


if __name__ == "__main__":
    main()
