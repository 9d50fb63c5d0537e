"""What does bringing pictures to one exposure save: ``python -m bench.texture_exposures``.

Objects whose colours are known are textured from four pictures, of which three were brightened or
darkened or tinted, as photos taken one after the other are. Errors are in CIE Lab, over all that
six views show, with the pictures as they are and brought to the exposure of the front.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from backend.engines.projection_texture import ProjectionTexture
from backend.engines.texture_task import ReferencePicture, TextureResult, TextureTask
from backend.meshes.picture import Picture
from backend.meshes.texturing.unseen_colour import painting
from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.picture_view import PictureView
from backend.progress import SilentSink, StageProgress
from bench.painted_objects import PaintedObject, made_objects
from bench.record import Figure, report
from bench.texture_projection import VIEWS, Shot, Stage, texel_picker
from bench.tuning_objects import tuning_objects

SIDES_DEG = (0.0, 90.0, 180.0, 270.0)
DIFFERENCES = {
    "none": np.ones((4, 3)),
    "exposure, up to a fifth": np.array([[1.0] * 3, [0.8] * 3, [1.1] * 3, [0.9] * 3]),
    "white balance": np.array([[1, 1, 1], [1.0, 0.9, 0.8], [0.85, 0.9, 1.0], [0.95, 1.0, 0.9]]),
}

Values = NDArray[np.float64]


def reference(stage: Stage, azimuth_deg: float, gain: Values) -> ReferencePicture:
    """Take a picture from a side, in another exposure."""
    turned = Stage(stage.thing.turned(azimuth_deg) if azimuth_deg else stage.thing)
    rgb, mask, frame = turned.front()
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    lit = np.clip(np.rint(rgb * gain), 0, 255).astype(np.uint8)
    return ReferencePicture(Picture(np.dstack([lit, alpha])), mask, frame, azimuth_deg)


def textured(stage: Stage, gains: Values, size_px: int) -> TextureResult:
    """Texture an object from four pictures of it."""
    pictures = tuple(
        reference(stage, side, gain) for side, gain in zip(SIDES_DEG, gains, strict=True)
    )
    task = TextureTask(stage.thing.mesh, pictures, size_px)
    (made,) = ProjectionTexture().run([task], StageProgress(SilentSink(), "texture_synthesis"))
    return made


def error(stage: Stage, made: TextureResult) -> float:
    """Mean difference from the truth over all that six views show, in CIE Lab."""
    found = []
    for azimuth_deg, elevation_deg in VIEWS:
        shot: Shot = stage.shot(azimuth_deg, elevation_deg)
        covered = shot.fragments.covered
        truth, guess = (
            lab(shot.painted(pick)[covered]) for pick in (stage.thing.look, texel_picker(made))
        )
        found.append(float(np.linalg.norm(truth - guess, axis=1).mean()))
    return float(np.mean(found))


def untouched(views: list[PictureView], *_: object) -> Values:
    """Leave all pictures as they are."""
    return np.ones((len(views), 3))


def compared(
    things: list[PaintedObject], size_px: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Errors of every object as they are and brought together, by kind of difference."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name, gains in DIFFERENCES.items():
        as_they_are: list[float] = []
        together: list[float] = []
        for thing in things:
            stage = Stage(thing)
            together.append(error(stage, textured(stage, gains, size_px)))
            with patch.object(painting, "exposure_gains", untouched):
                as_they_are.append(error(stage, textured(stage, gains, size_px)))
        found[name] = (as_they_are, together)
    return found


def figures_of(found: dict[str, tuple[list[float], list[float]]]) -> list[Figure]:
    """Errors by kind of difference, compared with those of the pictures as they are."""
    figures = []
    for name, (as_they_are, together) in found.items():
        before = Figure.of(f"{name}: as they are", "Lab", as_they_are)
        after = Figure.of(f"{name}: brought together", "Lab", together, before.median)
        figures += [before, after]
    return figures


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    things = [*made_objects(), *tuning_objects()][: args.objects]
    figures = figures_of(compared(things, args.size))
    settings = {"objects": len(things), "size_px": args.size}
    report("texture_exposures", figures, settings, args.json)


if __name__ == "__main__":
    main()
