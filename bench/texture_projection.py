"""How near does a texture made from the front alone come to the truth on the sides not shown?

Renders a front picture of objects whose colours are known, textures them from it with today's
method, with the soft fill used before, and with the picture simply shown through, and compares
views that were never shown. Only pixels that the front picture does not show count.

``--meshes DIR`` adds the coloured GLB models of a folder to the objects made here. Objects that
were held out while the method was made have a mean of their own. Figures are in CIE Lab units:
``mae`` mean absolute error, ``layout`` the same after a blur, ``palette`` the sum of the distances
between the distributions of each channel (Wasserstein).
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.stats import wasserstein_distance

from backend.catalog import BackSide
from backend.engines.projection_texture import ProjectionTexture
from backend.engines.texture_task import ReferencePicture, TextureResult, TextureTask
from backend.meshes.frame import PictureFrame
from backend.meshes.picture import Picture
from backend.meshes.texturing.fragments import Fragments
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.outward_colours import push_outwards, sure_inside
from backend.meshes.texturing.unseen_colour.picture_view import sampled
from backend.progress import SilentSink, StageProgress
from bench.held_out_objects import held_out_objects
from bench.painted_objects import PaintedObject, made_objects, objects_of
from bench.record import Figure, report
from bench.ring_blur import blurred_back
from bench.tuning_objects import tuning_objects
from bench.tuning_prints import tuning_prints

FRONT_PX, VIEW_PX = 768, 256
ZOOM = 1.1
VIEWS = ((90.0, 0.0), (135.0, 0.0), (180.0, 0.0), (225.0, 0.0), (270.0, 0.0), (180.0, 60.0))
BACK = 2
BLUR_PX = 8.0
SEEN_SLACK = 0.01
LEAST_SPREAD = 3.0
PALETTE_SAMPLES = 20_000
SHEET_VIEWS = (0, 2, 4)
METHODS = ("ring_blur", "mirror", "projection")
KNOWN, HELD_OUT = "known", "held out"
HEADINGS = ("mae", "layout", "palette", "back mae", "back layout", "back palette")

Values = NDArray[np.float64]
Picker = Callable[[NDArray[np.int64], Values], Values]


@dataclass(frozen=True)
class Shot:
    """A view of an object: faces, places on them, and which pixels the front does not show."""

    fragments: Fragments
    hidden: NDArray[np.bool_]

    def painted(self, pick: Picker) -> NDArray[np.float32]:
        """Colours of the view by a look, (h, w, 3) from 0 to 255; white beside the object."""
        covered = self.fragments.covered
        picture = np.full((*covered.shape, 3), 255, dtype=np.float32)
        faces = self.fragments.face_ids[covered].astype(np.int64) - 1
        picture[covered] = pick(faces, self.fragments.barycentric[covered].astype(np.float64))
        return picture


@dataclass(frozen=True)
class Errors:
    """Errors of one view; None where the front shows all of it."""

    mae: float
    layout: float
    palette: float


class Stage:
    """An object on its turntable."""

    def __init__(self, thing: PaintedObject) -> None:
        self.thing = thing
        places = thing.mesh.vertices.astype(np.float64)
        self.middle = (places.min(axis=0) + places.max(axis=0)) / 2
        self.reach = float(np.linalg.norm(places - self.middle, axis=1).max()) * ZOOM
        corners = places[thing.mesh.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self._normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        self._corners = corners
        self._front = self._fragments(0.0, 0.0, FRONT_PX)

    def front(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_], PictureFrame]:
        """Give the front picture, the object in it, and where that is."""
        shot = Shot(self._front, self._front.covered)
        rgb = np.round(shot.painted(self.thing.look)).astype(np.uint8)
        scale = 2 * self.reach / FRONT_PX
        centre = FRONT_PX / 2 - 0.5
        frame = PictureFrame(
            centre - self.middle[0] / scale, centre + self.middle[1] / scale, scale
        )
        return rgb, self._front.covered, frame

    def shot(self, azimuth_deg: float, elevation_deg: float) -> Shot:
        """Look at the object from somewhere."""
        fragments = self._fragments(azimuth_deg, elevation_deg, VIEW_PX)
        covered = fragments.covered
        faces = fragments.face_ids[covered] - 1
        weights = fragments.barycentric[covered]
        points = np.einsum("ij,ijk->ik", weights, self._corners[faces])
        hidden = np.zeros(covered.shape, dtype=np.bool_)
        hidden[covered] = ~self._shown_in_front(points, self._normals[faces])
        return Shot(fragments, hidden)

    def _shown_in_front(self, points: Values, normals: Values) -> NDArray[np.bool_]:
        covered = self._front.covered
        depth = np.full(covered.shape, np.inf)
        faces = self._front.face_ids[covered] - 1
        depth[covered] = np.einsum(
            "ij,ij->i", self._front.barycentric[covered], self._corners[faces][..., 2]
        )
        seen = (points - self.middle) / self.reach
        column = np.clip(((seen[:, 0] + 1) / 2 * FRONT_PX).astype(int), 0, FRONT_PX - 1)
        row = np.clip(((1 - seen[:, 1]) / 2 * FRONT_PX).astype(int), 0, FRONT_PX - 1)
        near = np.abs(depth[row, column] - points[:, 2]) < SEEN_SLACK * 2 * self.reach
        return np.asarray(near & (normals[:, 2] > 0))

    def _fragments(self, azimuth_deg: float, elevation_deg: float, size_px: int) -> Fragments:
        azimuth, up = np.radians([azimuth_deg, elevation_deg])
        towards = np.array([np.sin(azimuth) * np.cos(up), np.sin(up), np.cos(azimuth) * np.cos(up)])
        right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
        relative = (self.thing.mesh.vertices.astype(np.float64) - self.middle) / self.reach
        axes = np.stack([right, -np.cross(towards, right), -towards], axis=1)
        return rasterise(
            relative @ axes, self.thing.mesh.faces, size_px, size_px, PixelRule.CENTRED
        )


def texel_picker(made: TextureResult) -> Picker:
    """Look colours up in the texture of a result."""
    mesh = made.mesh
    size = np.array(mesh.texture.shape[1::-1])

    def pick(faces: NDArray[np.int64], weights: Values) -> Values:
        uv = np.einsum("ij,ijk->ik", weights, mesh.uv[mesh.faces[faces]].astype(np.float64))
        places = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * size - 0.5
        return sampled(mesh.texture, places).astype(np.float64)

    return pick


def picture_picker(stage: Stage, front: NDArray[np.uint8], back: NDArray[np.uint8],
                   frame: PictureFrame) -> Picker:  # fmt: skip
    """Show one picture on all that faces the front, another on all that does not."""
    places = stage.thing.mesh.vertices.astype(np.float64)[stage.thing.mesh.faces]
    across = np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0])
    faces_front = across[:, 2] > 0

    def pick(faces: NDArray[np.int64], weights: Values) -> Values:
        pixels = frame.to_pixels(np.einsum("ij,ijk->ik", weights, places[faces]))
        is_front = faces_front[faces][:, None]
        return np.where(is_front, sampled(front, pixels), sampled(back, pixels)).astype(np.float64)

    return pick


def textured(stage: Stage, size_px: int) -> tuple[TextureResult, float]:
    """Texture an object from its front picture; also the seconds this takes."""
    rgb, mask, frame = stage.front()
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    reference = ReferencePicture(Picture(np.dstack([rgb, alpha])), mask, frame)
    task = TextureTask(stage.thing.mesh, (reference,), size_px, BackSide.AUTO)
    started_s = time.perf_counter()
    (made,) = ProjectionTexture().run([task], StageProgress(SilentSink(), "texture_synthesis"))
    return made, time.perf_counter() - started_s


def errors(shot: Shot, truth: NDArray[np.float32], guess: NDArray[np.float32]) -> Errors | None:
    """Compare a view where the front does not show it."""
    hidden = shot.hidden
    if np.count_nonzero(hidden) < 50:
        return None
    true_lab, guess_lab = (lab(picture[hidden]) for picture in (truth, guess))
    palette = sum(
        wasserstein_distance(true_lab[::step, channel], guess_lab[::step, channel])
        for channel in range(3)
        for step in [max(1, len(true_lab) // PALETTE_SAMPLES)]
    )
    soft = [_blurred(lab_rows, hidden) for lab_rows in (true_lab, guess_lab)]
    return Errors(
        float(np.linalg.norm(true_lab - guess_lab, axis=1).mean()),
        float(np.linalg.norm(soft[0] - soft[1], axis=1).mean()),
        float(palette),
    )


def _blurred(rows: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    picture = np.zeros((*where.shape, 3), dtype=np.float32)
    picture[where] = rows
    weight = cv2.GaussianBlur(where.astype(np.float32), (0, 0), BLUR_PX)
    soft = cv2.GaussianBlur(picture, (0, 0), BLUR_PX)
    return np.asarray((soft / np.maximum(weight, 1e-6)[..., None])[where])


def shows_colours(thing: PaintedObject) -> bool:
    """Whether there is anything to guess: models of one colour say nothing."""
    rgb, mask, _ = Stage(thing).front()
    return float(rgb[mask].std(axis=0).max()) > LEAST_SPREAD


@dataclass(frozen=True)
class Measured:
    """What one object gave: errors by method and view, seconds, and pictures."""

    name: str
    group: str
    errors: dict[str, list[Errors | None]]
    elapsed_s: float
    facts: dict[str, object]
    sheet: NDArray[np.uint8]


def measure(thing: PaintedObject, size_px: int, group: str = KNOWN) -> Measured:
    """Texture one object by every method and compare all views."""
    stage = Stage(thing)
    rgb, mask, frame = stage.front()
    made, elapsed_s = textured(stage, size_px)
    front = push_outwards(rgb, sure_inside(mask))
    pickers = {
        "ring_blur": picture_picker(stage, front, blurred_back(front, mask), frame),
        "mirror": picture_picker(stage, front, front, frame),
        "projection": texel_picker(made),
    }
    shots = [stage.shot(*view) for view in VIEWS]
    truths = [shot.painted(thing.look) for shot in shots]
    found: dict[str, list[Errors | None]] = {}
    rows = [[_tile(rgb)] + [_tile(truths[view]) for view in SHEET_VIEWS]]
    for name, pick in pickers.items():
        guesses = [shot.painted(pick) for shot in shots]
        found[name] = [errors(*one) for one in zip(shots, truths, guesses, strict=True)]
        shown = stage.shot(0.0, 0.0).painted(pick)
        rows.append([_tile(shown)] + [_tile(guesses[view]) for view in SHEET_VIEWS])
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=1)
    return Measured(thing.name, group, found, elapsed_s, made.facts, sheet)


def _tile(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    small = cv2.resize(picture.astype(np.float32), (128, 128), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(np.round(small), 0, 255), dtype=np.uint8)


def mean_of(found: Iterable[Errors | None], name: str) -> float | None:
    """Mean of one error over views that have any."""
    return _mean(getattr(one, name) for one in found if one is not None)


def table_of(results: list[Measured]) -> Table:
    """Errors of every object and method; all views, then the back alone."""
    table = Table(title="Views not shown, pixels not shown; CIE Lab units")
    table.add_column("object")
    table.add_column("method")
    for heading in (*HEADINGS, "s"):
        table.add_column(heading, justify="right")
    for one in results:
        for method in METHODS:
            seconds = f"{one.elapsed_s:.2f}" if method == "projection" else ""
            table.add_row(one.name, method, *_cells(one.errors[method]), seconds)
    for group in (KNOWN, HELD_OUT):
        chosen = [one for one in results if one.group == group]
        for method in METHODS if chosen else ():
            rows = [_numbers(one.errors[method]) for one in chosen]
            mean = [_mean(column) for column in zip(*rows, strict=True)]
            table.add_row(f"mean, {group}", method, *map(_cell, mean), "")
    return table


def figures_of(results: list[Measured]) -> list[Figure]:
    """Errors by group and method over their objects, compared with those of the ring blur."""
    figures = []
    for group, method in itertools.product((KNOWN, HELD_OUT), METHODS):
        chosen = [one for one in results if one.group == group]
        for place, heading in enumerate(HEADINGS):
            values = [_numbers(one.errors[method])[place] for one in chosen]
            before = [_numbers(one.errors[METHODS[0]])[place] for one in chosen]
            known = [value for value in values if value is not None]
            if known:
                name = f"{group}, {method}: {heading}, mean over objects"
                figures.append(Figure.of(name, "Lab", [float(np.mean(known))], _mean(before)))
    return figures


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _numbers(found: list[Errors | None]) -> list[float | None]:
    names = ("mae", "layout", "palette")
    return [mean_of(views, name) for views in (found, [found[BACK]]) for name in names]


def _cells(found: list[Errors | None]) -> list[str]:
    return [_cell(value) for value in _numbers(found)]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def main() -> None:
    """Measure, print, and write the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meshes", type=Path, help="folder of coloured GLB files")
    parser.add_argument("--size", type=int, default=1024, help="side of the textures")
    parser.add_argument("--known-only", action="store_true", help="leave out those held out")
    parser.add_argument("--sheet", type=Path, default=Path("texture_projection.png"))
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    known = [*made_objects(), *tuning_objects(), *tuning_prints()]
    known += objects_of(args.meshes) if args.meshes else ()
    grouped = [(KNOWN, thing) for thing in known]
    grouped += [(HELD_OUT, thing) for thing in held_out_objects()] * (not args.known_only)
    results = [measure(thing, args.size, group) for group, thing in grouped if shows_colours(thing)]
    Console(width=110).print(table_of(results))
    Image.fromarray(np.concatenate([one.sheet for one in results])).save(args.sheet)
    if args.json:
        settings = {"size_px": args.size, "with_files": args.meshes is not None}
        report("texture_projection", figures_of(results), settings, args.json)


if __name__ == "__main__":
    main()
