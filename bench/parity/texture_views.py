"""Checks recorded cameras, views of a mesh and the pictures that networks are given of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.meshes.texturing.cameras import (
    STANDARD_VIEWS,
    OrthographicCamera,
    ParallelCamera,
    WeightedView,
)
from backend.meshes.texturing.fragments import Fragments, interpolate
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.texturing.view_maps import (
    NormalKind,
    face_normals,
    mean_normals,
    normal_picture,
    position_picture,
)
from backend.meshes.texturing.view_selection import EXTRA_VIEWS, select_views
from bench.parity.comparison import Comparison, compared, failed
from bench.parity.golden_folder import GoldenFile
from bench.parity.published_raster import FAR, NEAR, published_fragments

CAMERA_TOLERANCE = 1e-6
OTHER_FACES = 5  # pixels a view: faces of one depth
BARYCENTRIC_TOLERANCE = 1e-3  # recorded in half precision
MOST_VIEWS = 9
# The published programs look at (-x, z, -y).
PUBLISHED_AXES = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_VIEW = re.compile(
    r"view(\d+)\.(findices|bary|normal20_u8|normal21_u8|position_u8)(?:_every_(\d+)th_row)?"
)


def is_texture_views(file: GoldenFile) -> bool:
    """Whether a file holds a mesh and views of it."""
    return file.has("mesh.v") and file.has("mesh.uv") and file.has("cam.elev_azim")


@dataclass(frozen=True)
class RecordedScene:
    """A recorded mesh and the cameras that looked at it."""

    file: GoldenFile

    def array(self, name: str) -> NDArray[np.generic]:
        """Return a recorded tensor."""
        found: NDArray[np.generic] = self.file.tensors[name].numpy()
        return found

    @cached_property
    def vertices(self) -> NDArray[np.float64]:
        """Vertices in the unit frame, (n, 3)."""
        given = self.file.tensors["mesh.v"].numpy()
        return UnitFrame.of(given).to_unit(given)

    @cached_property
    def faces(self) -> NDArray[np.int64]:
        """Corners, (m, 3)."""
        return self.file.tensors["mesh.f"].numpy().astype(np.int64)

    @cached_property
    def views(self) -> list[WeightedView]:
        """Every camera; those that the product does not know count as little as extra ones."""
        known = {view.camera: view for view in (*STANDARD_VIEWS, *EXTRA_VIEWS)}
        found = []
        for elevation, azimuth in self.file.tensors["cam.elev_azim"].tolist():
            camera = OrthographicCamera(azimuth, elevation)
            found.append(known.get(camera, WeightedView(camera, EXTRA_VIEWS[0].weight)))
        return found

    @property
    def painted_views(self) -> list[WeightedView]:
        """Views of the pictures that are baked: the standard ones, and then the cameras."""
        return [*STANDARD_VIEWS, *self.views[len(STANDARD_VIEWS) :]]

    def fragments(self, camera: ParallelCamera, side_px: int) -> Fragments:
        """Rasterise as for the networks."""
        return published_fragments(camera.screen(self.vertices), self.faces, side_px)


def texture_view_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the frame, the cameras, every view and which views are chosen."""
    scene = RecordedScene(file)
    yield from _frames(scene)
    views = {int(found[1]) for name in file.recorded if (found := _VIEW.fullmatch(name))}
    for view in sorted(views):
        yield from _view(scene, view)
    if file.has("views_u8"):
        yield _painted(scene)
    if file.has("viewsel.elev_azim"):
        yield _selection(scene)


def _frames(scene: RecordedScene) -> Iterator[Comparison]:
    cameras = [view.camera for view in scene.views]
    made: dict[str, Callable[[], NDArray[np.float64]]] = {
        "norm.v": lambda: scene.vertices @ PUBLISHED_AXES.T,
        "cam.mv": lambda: np.stack([_published_look(one) for one in cameras]),
        "cam.proj": lambda: _published_projection(cameras[0]),
    }
    for name, make in made.items():
        if scene.file.has(name):
            expected = scene.file.tensors[name]
            line = f"{scene.file.name} {name}"
            yield compared(line, torch.from_numpy(make()), expected, CAMERA_TOLERANCE)


def _published_look(camera: object) -> NDArray[np.float64]:
    """Return the matrix from the published axes to those of a camera, (4, 4)."""
    if not isinstance(camera, OrthographicCamera):
        raise TypeError("only cameras that turn about the object are compared")
    look = np.eye(4)
    look[:3, :3] = np.stack([camera.right, -camera.up, camera.towards]) @ PUBLISHED_AXES.T
    look[2, 3] = -camera.distance
    return look


def _published_projection(camera: object) -> NDArray[np.float64]:
    if not isinstance(camera, OrthographicCamera):
        raise TypeError("only cameras that turn about the object are compared")
    scale = 1 / camera.half_width
    projection = np.diag([scale, scale, -2 / (FAR - NEAR), 1.0])
    projection[2, 3] = -(FAR + NEAR) / (FAR - NEAR)
    return projection


def _view(scene: RecordedScene, view: int) -> Iterator[Comparison]:
    """Compare faces first, then the rest wherever they are the same."""
    names = {
        name: found
        for name in sorted(scene.file.recorded)
        if (found := _VIEW.fullmatch(name)) and int(found[1]) == view
    }
    side = max(scene.file.tensors[name].shape[1] for name in names)
    fragments = scene.fragments(scene.views[view].camera, side)
    agrees = np.ones((side, side), dtype=np.bool_)
    ids = f"view{view}.findices"
    if ids in names:
        recorded = scene.array(ids)
        agrees = fragments.face_ids.astype(recorded.dtype) == recorded
        yield _counted(f"{scene.file.name} {ids}", int((~agrees).sum()), "of another face")
    for name, found in names.items():
        step = int(found[3] or 1)
        if found[2] != "findices":
            made = _made(scene, fragments, found[2])[::step]
            yield _beside(scene, name, made, agrees[::step], is_sure=ids in names)


def _counted(line: str, pixels: int, what: str) -> Comparison:
    return Comparison(line, float(pixels), float(OTHER_FACES), f"pixels {what}")


def _made(scene: RecordedScene, fragments: Fragments, what: str) -> NDArray[np.generic]:
    if what == "bary":
        return fragments.barycentric
    if what == "position_u8":
        return position_picture(fragments, scene.vertices, scene.faces)
    directions = face_normals(scene.vertices, scene.faces)
    if what == "normal21_u8":
        return normal_picture(fragments, directions, scene.faces, NormalKind.FLAT)
    smooth = mean_normals(directions, scene.faces, len(scene.vertices))
    return normal_picture(fragments, smooth, scene.faces, NormalKind.SMOOTH)


def _beside(
    scene: RecordedScene,
    name: str,
    made: NDArray[np.generic],
    agrees: NDArray[np.bool_],
    *,
    is_sure: bool,
) -> Comparison:
    """Compare where the faces are the same; if they were not recorded, nearly everywhere."""
    line, expected = f"{scene.file.name} {name}", scene.array(name)
    if made.shape != expected.shape:
        return failed(line, f"shape {made.shape}, not {expected.shape}")
    apart = np.abs(made.astype(np.float64) - expected.astype(np.float64)).max(axis=2)
    limit = BARYCENTRIC_TOLERANCE if expected.dtype.kind == "f" else 1.0
    if not is_sure:
        return _counted(line, int((apart > limit).sum()), f"more than {limit:g} off")
    return Comparison(
        line, float(apart[agrees].max(initial=0.0)), limit, "where faces are the same"
    )


def _painted(scene: RecordedScene) -> Comparison:
    """Compare pictures of the known colours, on white."""
    expected = scene.array("views_u8")
    colours = scene.file.tensors["mesh.color"].numpy()
    most = 0
    for view, picture in zip(scene.painted_views, expected, strict=False):
        fragments = scene.fragments(view.camera, picture.shape[0])
        made = interpolate(colours, scene.faces, fragments)
        made[~fragments.covered] = 1
        apart = np.abs((made * 255).astype(np.uint8).astype(int) - picture.astype(int))
        most = max(most, int((apart.max(axis=2) > 1).sum()))
    return _counted(f"{scene.file.name} views_u8", most, "more than 1 off, in the worst view")


def _selection(scene: RecordedScene) -> Comparison:
    line, name = f"{scene.file.name} viewsel.elev_azim", "viewsel.elev_azim"
    expected: Tensor = scene.file.tensors[name]
    chosen = select_views(scene.vertices, scene.faces, max(MOST_VIEWS, len(expected)))
    found = [
        (view.camera.elevation_deg, view.camera.azimuth_deg)
        for view in chosen
        if isinstance(view.camera, OrthographicCamera)
    ]
    return compared(line, torch.tensor(found), expected, 0.0, f"{len(found)} views")
