"""Seconds of each stage between a mesh and a textured file, beside the usual ways to do it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.meshes.export import write_glb
from backend.meshes.texturing import torch_rasteriser
from backend.meshes.texturing.cameras import STANDARD_VIEWS
from backend.meshes.texturing.charts.layout_quality import LayoutQuality, layout_quality
from backend.meshes.texturing.gutters import with_gutters
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.screen_faces import screen_faces
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_fill import fill_hidden
from backend.meshes.texturing.textured_surface import textured_surface
from backend.meshes.texturing.unwrapping import unwrap
from backend.meshes.texturing.view_baking import PaintedTexels
from backend.meshes.texturing.view_maps import NormalKind, render_maps
from backend.meshes.triangle_mesh import TriangleMesh
from bench.parity.published_inpaint import navier_stokes
from bench.record import Figure
from bench.texture.subjects import figure, true_colours
from bench.texture.views import LaidOutSurface, our_bake, published_bake, standard_pictures

VIEW_PX, MAP_PX = 2048, 512
PADDING_TEXELS = 2
THREADS = 2
Found = TypeVar("Found")


@dataclass(frozen=True)
class Seconds:
    """How long something took, each time.

    Parameters
    ----------
    elapsed_s : list of float
    processor_s : list of float
        Of all cores together; other programs do not lengthen it.
    """

    elapsed_s: list[float]
    processor_s: list[float]


def timed(rounds: int, work: Callable[[], Found]) -> tuple[Seconds, Found]:
    """Do something several times, at least once; also return what came last."""
    times = Seconds([], [])
    while True:
        elapsed, processor = perf_counter(), process_time()
        found = work()
        times.elapsed_s.append(perf_counter() - elapsed)
        times.processor_s.append(process_time() - processor)
        if len(times.elapsed_s) >= rounds:
            return times, found


class StageTimes:
    """Times of all stages for one mesh.

    Parameters
    ----------
    faces : int
    rounds : int
        How often ours are done; the others are done once.
    """

    def __init__(self, faces: int, rounds: int) -> None:
        self.mesh = figure(faces)
        self.rounds = rounds
        self._title = f"{len(self.mesh.faces)} faces"
        self.figures: list[Figure] = []
        self.rows: list[dict[str, Any]] = []

    def layouts(self) -> LaidOutSurface:
        """Time both ways to lay the mesh out and judge them."""
        ours_s, ours = timed(self.rounds, lambda: unwrap(self.mesh, padding=PADDING_TEXELS))
        theirs_s, theirs = timed(1, lambda: xatlas_layout(self.mesh))
        self.note("unwrap", ("xatlas, its own charts", theirs_s), ours_s)
        for way, layout in (("ours", ours), ("xatlas", theirs)):
            quality: LayoutQuality = layout_quality(self.mesh.vertices, layout)
            self.rows.append({"what": "layout", "mesh": self._title, "by": way, **asdict(quality)})
        return LaidOutSurface(self.mesh, ours)

    def drawing(self, surface: LaidOutSurface) -> None:
        """Time one view, and the maps of all six."""
        camera = STANDARD_VIEWS[0].camera
        screen = camera.screen(self.mesh.vertices)
        rays_s, _ = timed(
            self.rounds,
            lambda: rasterise(screen, self.mesh.faces, VIEW_PX, VIEW_PX, PixelRule.CENTRED),
        )
        shown = screen_faces(screen, self.mesh.faces, cull=False)
        pairs_s, _ = timed(
            1,
            lambda: torch_rasteriser.rasterise(shown, VIEW_PX, VIEW_PX, PixelRule.CENTRED, "cpu"),
        )
        self.note(f"one view at {VIEW_PX} px", ("torch on the processor", pairs_s), rays_s)
        cameras = [view.camera for view in STANDARD_VIEWS]
        maps_s, _ = timed(
            1,
            lambda: render_maps(
                surface.split, surface.layout.faces, cameras, NormalKind.FLAT, size_px=MAP_PX
            ),
        )
        self.note("maps of 6 views", None, maps_s)

    def textures(self, surface: LaidOutSurface, size_px: int) -> None:
        """Time baking, filling and writing a texture of a size."""
        title = f"{size_px} px"
        side = min(VIEW_PX, size_px)
        centred = standard_pictures(self.mesh, side, PixelRule.CENTRED)
        aligned = standard_pictures(self.mesh, side, PixelRule.CORNER_ALIGNED)

        def bake() -> tuple[Any, PaintedTexels]:
            texels = surface.texels(size_px)
            return texels, our_bake(surface, texels, centred)

        ours_s, (texels, painted) = timed(self.rounds, bake)
        published = surface.published(size_px)
        theirs_s, _ = timed(1, lambda: published_bake(published, aligned, NormalKind.FLAT))
        other = ("published rules, a view at a time", theirs_s)
        self.note(f"bake 6 views, {title}", other, ours_s)

        def fill() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            filled = fill_hidden(texels, painted, workers=THREADS)
            if filled is None:
                raise RuntimeError("no view shows the figure")
            return filled, with_gutters(texels, filled)

        fill_s, (filled, texture) = timed(self.rounds, fill)
        known = np.zeros((size_px, size_px), dtype=np.bool_)
        known[texels.rows, texels.columns] = painted.is_painted
        given = (texels.as_picture(painted.colours).clip(0, 1) * 255).astype(np.uint8)
        stokes_s, stokes = timed(1, lambda: navier_stokes(given, known))
        self.note(f"fill, {title}", ("OpenCV Navier-Stokes", stokes_s), fill_s)
        hidden = ~painted.is_painted
        truth = true_colours(texels.positions)[hidden]
        others = stokes[texels.rows, texels.columns][hidden].astype(np.float32) / 255
        for way, guess in (("ours", filled[hidden]), ("Navier-Stokes", others)):
            row = {"what": "fill", "mesh": self._title, "size_px": size_px, "by": way}
            error = float(np.abs(guess - truth).mean()) if len(truth) else None
            self.rows.append(
                row | {"hidden_share": float(hidden.mean()), "mean_absolute_error": error}
            )
        self._export(surface, texture, title)

    def _export(self, surface: LaidOutSurface, texture: NDArray[np.uint8], title: str) -> None:
        made = textured_surface(self.mesh, surface.layout, texture)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mesh.glb"
            export_s, _ = timed(self.rounds, lambda: write_glb(made, path))
        self.note(f"write GLB, {title}", None, export_s)

    def note(self, stage: str, other: tuple[str, Seconds] | None, own: Seconds) -> None:
        """Keep the times of a stage, ours beside another way if there is one."""
        base = None
        for way, times in (*((other,) if other else ()), ("ours", own)):
            name = f"{self._title}: {stage}, {way}"
            figure = Figure.of(name, "s", times.elapsed_s, base)
            base = figure.median
            self.figures.append(figure)
            row = {"what": "stages", "mesh": self._title, "stage": stage, "by": way}
            row["elapsed_s"] = figure.median
            row["processor_s"] = median(times.processor_s)
            self.rows.append(row)


def xatlas_layout(mesh: TriangleMesh) -> SurfaceLayout:
    """Lay a mesh out with the charts of xatlas, and with the same padding as ours."""
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices, mesh.faces.astype(np.uint32))
    options = xatlas.PackOptions()
    options.resolution, options.padding = 1024, PADDING_TEXELS
    atlas.generate(pack_options=options)
    sources, faces, uv = atlas.get_mesh(0)
    square = uv * np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height)
    return SurfaceLayout(
        sources.astype(np.int64), square.astype(np.float32), faces.astype(np.int32)
    )
