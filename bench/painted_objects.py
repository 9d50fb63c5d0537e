"""Objects whose whole colouring is known: made ones, painted by formula, and models from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.texturing.unseen_colour.picture_view import sampled
from backend.meshes.triangle_mesh import TriangleMesh

Values = NDArray[np.float64]
Look = Callable[[NDArray[np.int64], Values], Values]


@dataclass(frozen=True)
class PaintedObject:
    """A mesh and its true colours.

    Parameters
    ----------
    name : str
    mesh : TriangleMesh
        Welded; +Y is up, +Z the side that is shown.
    look : callable
        From faces (k,) and barycentric weights (k, 3) to colours (k, 3), 0 to 255.
    """

    name: str
    mesh: TriangleMesh
    look: Look

    def turned(self, azimuth_deg: float) -> PaintedObject:
        """Turn the object so that what faced ``azimuth_deg`` faces the front."""
        angle = np.radians(azimuth_deg)
        right, towards = (np.cos(angle), 0, -np.sin(angle)), (np.sin(angle), 0, np.cos(angle))
        turn = np.array([right, (0, 1, 0), towards])
        mesh = self.mesh.with_vertices(self.mesh.vertices.astype(np.float64) @ turn.T)
        return PaintedObject(f"{self.name} {azimuth_deg:.0f}", mesh, self.look)


def made_objects() -> Iterator[PaintedObject]:
    """Make objects of several kinds; the method was changed while looking at results on them."""
    figure = painted("figure", _figure(), _figure_colours)
    van = painted("van", _van(), _van_colours)
    fruit, bottle = (
        painted("fruit", _fruit(), _fruit_colours),
        painted("bottle", _bottle(), _bottle_colours),
    )
    mug = painted("mug", _mug(), _mug_colours)
    fish = painted("fish", _fish(), _fish_colours)
    house = painted("house", _house(), _house_colours)
    yield from (figure, figure.turned(40), van.turned(90), van.turned(50))
    yield from (fruit, bottle, mug.turned(20), fish.turned(90), house.turned(30))


def objects_of(folder: Path) -> Iterator[PaintedObject]:
    """Read the coloured models of a folder, each from its front and from between two sides."""
    for path in sorted(folder.glob("*.glb")):
        made = _read(path)
        if made is not None:
            yield from (made, made.turned(35))


def painted(
    name: str, bodies: list[trimesh.Trimesh], paint: Callable[[Values, NDArray[np.int64]], Values]
) -> PaintedObject:
    """Put bodies into one mesh; ``paint`` takes places and the number of the body of each."""
    starts = np.cumsum([0, *(len(one.vertices) for one in bodies[:-1])])
    faces = np.concatenate([one.faces + start for one, start in zip(bodies, starts, strict=True)])
    mesh = joined(np.concatenate([one.vertices for one in bodies]), faces)
    body = np.repeat(np.arange(len(bodies)), [len(one.faces) for one in bodies])
    corners = mesh.vertices.astype(np.float64)[mesh.faces]

    def look(faces: NDArray[np.int64], weights: Values) -> Values:
        points = np.einsum("ij,ijk->ik", weights, corners[faces])
        return paint(points, body[faces])

    return PaintedObject(name, mesh, look)


def _read(path: Path) -> PaintedObject | None:
    mesh = read_mesh(path)
    if not _is_coloured(mesh):
        return None
    welded = joined(mesh.vertices, mesh.faces)

    def look(faces: NDArray[np.int64], weights: Values) -> Values:
        return _texture_colours(mesh, faces, weights)

    return PaintedObject(path.stem, welded, look)


def joined(places: NDArray[np.floating], faces: NDArray[np.integer]) -> TriangleMesh:
    """Join vertices in one place; all faces stay, in their order."""
    unique, which = np.unique(np.asarray(places, np.float32), axis=0, return_inverse=True)
    return TriangleMesh(unique, which.reshape(-1)[faces].astype(np.int32))


def _is_coloured(mesh: SourceMesh) -> bool:
    has_picture = any(material.texture is not None for material in mesh.materials)
    return mesh.uvs is not None and has_picture


def _texture_colours(mesh: SourceMesh, faces: NDArray[np.int64], weights: Values) -> Values:
    colours = np.zeros((len(faces), 3))
    kinds = mesh.face_materials[faces]
    for number, material in enumerate(mesh.materials):
        asked = np.flatnonzero(kinds == number)
        factor = np.asarray(material.base_color[:3]) ** (1 / 2.2)
        colours[asked] = 255 * factor
        if material.texture is None or mesh.uvs is None or not len(asked):
            continue
        with Image.open(BytesIO(material.texture.data)) as image:
            picture = np.asarray(image.convert("RGB"))
        corners = mesh.uvs.astype(np.float64)[mesh.faces[faces[asked]]]
        uv = np.einsum("ij,ijk->ik", weights[asked], corners) % 1.0
        pixels = uv * np.array(picture.shape[1::-1]) - 0.5
        colours[asked] = factor * sampled(picture, pixels)
    return colours


def ball(
    radius: float, at: tuple[float, float, float], squash: tuple[float, float, float] = (1, 1, 1)
) -> trimesh.Trimesh:
    """Make a ball, stretched about its middle by ``squash``."""
    ball: trimesh.Trimesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    ball.vertices *= squash
    ball.apply_translation(at)
    return ball


def tube(
    radius: float, start: tuple[float, float, float], end: tuple[float, float, float]
) -> trimesh.Trimesh:
    """Make a closed cylinder between two places."""
    tube: trimesh.Trimesh = trimesh.creation.cylinder(
        radius=radius, segment=[start, end], sections=48
    )
    return tube


def turned_body(outline: list[tuple[float, float]]) -> trimesh.Trimesh:
    """Turn an outline of radii and heights about the upright axis."""
    body: trimesh.Trimesh = trimesh.creation.revolve(outline, sections=96)
    body.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))
    return body


def block(size: tuple[float, float, float], at: tuple[float, float, float]) -> trimesh.Trimesh:
    """Make a box by its size and the place of its middle."""
    block: trimesh.Trimesh = trimesh.creation.box(size)
    block.apply_translation(at)
    return block


def rows(count: int, colour: tuple[int, int, int]) -> Values:
    """Give every place one colour."""
    return np.tile(np.array(colour, dtype=np.float64), (count, 1))


def _figure() -> list[trimesh.Trimesh]:
    return [
        ball(0.2, (0, 1.45, 0)),
        ball(0.28, (0, 0.95, 0), (1, 1.25, 0.75)),
        tube(0.09, (-0.13, 0.65, 0), (-0.15, 0.05, 0)),
        tube(0.09, (0.13, 0.65, 0), (0.15, 0.05, 0)),
        tube(0.07, (-0.24, 1.15, 0), (-0.5, 0.8, 0.1)),
        tube(0.07, (0.24, 1.15, 0), (0.5, 0.8, 0.1)),
    ]


def _figure_colours(p: Values, body: NDArray[np.int64]) -> Values:
    c = rows(len(p), (232, 188, 150))
    x, y, z = p.T
    shirt = (body == 1) | ((body >= 4) & (np.abs(x) < 0.42))
    c[shirt] = (60, 130, 80)
    c[shirt & (body == 1) & ((y * 12).astype(int) % 3 == 0)] = (235, 232, 215)
    c[(body == 1) & (z > 0) & (np.hypot(x, y - 1.0) < 0.07)] = (220, 60, 40)
    c[(body == 1) & (y < 0.72)] = (70, 45, 30)
    legs = (body == 2) | (body == 3)
    c[legs] = (50, 60, 120)
    c[legs & (y < 0.14)] = (30, 30, 30)
    head = body == 0
    c[head & ((y > 1.53) | (z < -0.02))] = (95, 55, 25)
    face = head & (z > 0.1)
    c[face & (np.hypot(np.abs(x) - 0.07, y - 1.48) < 0.025)] = (25, 25, 35)
    c[face & (np.abs(x) < 0.06) & (np.abs(y - 1.36) < 0.012)] = (170, 50, 50)
    return c


def _van() -> list[trimesh.Trimesh]:
    wheels = [
        tube(0.18, (side * 0.34, 0.18, z), (side * 0.42, 0.18, z))
        for side in (-1, 1)
        for z in (-0.6, 0.6)
    ]
    return [
        block((0.8, 0.8, 2.0), (0, 0.65, 0)),
        block((0.7, 0.35, 0.4), (0, 0.45, 1.15)),
        *wheels,
    ]


def _van_colours(p: Values, body: NDArray[np.int64]) -> Values:
    c = rows(len(p), (215, 130, 30))
    x, y, z = p.T
    c[(body < 2) & (y < 0.55)] = (240, 235, 225)
    side = (body == 0) & (np.abs(x) > 0.39)
    c[side & (np.abs(y - 0.82) < 0.12) & ((z * 2.5).astype(int) != 0) & (np.abs(z) < 0.85)] = (
        90,
        140,
        170,
    )
    c[(body == 0) & (z > 0.99) & (y > 0.68) & (np.abs(x) < 0.32)] = (90, 140, 170)
    c[(body == 1) & (z > 1.34) & (np.abs(np.abs(x) - 0.24) < 0.07) & (y > 0.45)] = (250, 245, 170)
    c[(body == 0) & (z < -0.99) & (np.abs(np.abs(x) - 0.32) < 0.06) & (y < 0.5)] = (190, 20, 20)
    c[body >= 2] = (40, 40, 42)
    c[(body >= 2) & (np.hypot(y - 0.18, np.abs(z) - 0.6) < 0.09)] = (200, 200, 205)
    return c


def _fruit() -> list[trimesh.Trimesh]:
    return [ball(0.5, (0, 0.5, 0), (1, 0.9, 1)), tube(0.03, (0, 0.93, 0), (0.06, 1.1, 0))]


def _fruit_colours(p: Values, body: NDArray[np.int64]) -> Values:
    red = np.clip(0.5 + 0.6 * np.sin(2 * np.arctan2(p[:, 0], p[:, 2])) * p[:, 1], 0, 1)[:, None]
    c = red * (200, 40, 35) + (1 - red) * (205, 190, 70)
    streak = np.sin(14 * np.arctan2(p[:, 0], p[:, 2])) > 0.85
    c[streak] = 0.8 * c[streak] + 0.2 * np.array([240, 220, 120])
    c[body == 1] = (90, 60, 30)
    return np.asarray(c)


def _bottle() -> list[trimesh.Trimesh]:
    outline = [(0, 0), (0.3, 0), (0.32, 0.1), (0.32, 0.9), (0.12, 1.2), (0.12, 1.45), (0, 1.45)]
    return [turned_body(outline)]


def _bottle_colours(p: Values, body: NDArray[np.int64]) -> Values:
    c = rows(len(p), (30, 90, 50))
    x, y, z = p.T
    around = np.arctan2(x, z)
    label = (np.abs(y - 0.55) < 0.2) & (np.abs(around) < 2.3)
    c[label] = (240, 230, 200)
    c[label & (np.abs(np.abs(y - 0.55) - 0.17) < 0.012)] = (180, 150, 60)
    c[label & (np.hypot(around * 0.32, y - 0.58) < 0.09)] = (150, 30, 40)
    c[y > 1.25] = (190, 160, 70)
    return c


def _mug() -> list[trimesh.Trimesh]:
    outline = [(0, 0), (0.4, 0), (0.4, 0.9), (0.36, 0.9), (0.36, 0.06), (0, 0.06)]
    handle = trimesh.creation.torus(0.24, 0.05, 48, 24)
    handle.apply_translation((0.45, 0.45, 0))
    return [turned_body(outline), handle]


def _mug_colours(p: Values, body: NDArray[np.int64]) -> Values:
    c = rows(len(p), (235, 235, 230))
    x, y, z = p.T
    outside = (body == 0) & (np.hypot(x, z) > 0.38)
    c[outside & (np.abs(y - 0.2) < 0.06)] = (40, 80, 160)
    c[outside & (np.abs(y - 0.75) < 0.04)] = (40, 80, 160)
    dots = np.hypot((np.arctan2(x, z) * 4 % 1) - 0.5, (y * 5 % 1) - 0.5) < 0.25
    c[outside & (np.abs(y - 0.48) < 0.15) & dots] = (210, 80, 60)
    c[body == 1] = (40, 80, 160)
    return c


def _fish() -> list[trimesh.Trimesh]:
    return [
        ball(0.5, (0, 0.5, 0), (0.3, 0.6, 1)),
        ball(0.2, (0, 0.5, -0.62), (0.15, 1, 0.8)),
        ball(0.15, (0, 0.83, 0), (0.12, 1, 1.4)),
    ]


def _fish_colours(p: Values, body: NDArray[np.int64]) -> Values:
    c = rows(len(p), (230, 130, 40))
    _, y, z = p.T
    c[(body == 0) & (np.sin(11 * z) > 0.6)] = (245, 240, 235)
    c[(body == 0) & (y < 0.35)] = (245, 205, 150)
    c[(body == 0) & (np.hypot(z - 0.36, y - 0.56) < 0.04)] = (20, 20, 25)
    c[body > 0] = (200, 70, 30)
    return c


def _house() -> list[trimesh.Trimesh]:
    roof = trimesh.creation.cylinder(radius=0.75, height=1.3, sections=3)
    roof.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (0, 0, 1)))
    roof.apply_scale((1, 0.6, 1))
    roof.apply_translation((0, 1.0, 0))
    return [block((1.2, 0.8, 0.9), (0, 0.4, 0)), roof]


def _house_colours(p: Values, body: NDArray[np.int64]) -> Values:
    c = rows(len(p), (225, 210, 180))
    x, y, z = p.T
    c[(body == 0) & (y < 0.1)] = (130, 125, 120)
    along = np.where(np.abs(x) > 0.59, z, x)
    window = (np.abs(np.abs(along) - 0.3) < 0.1) & (np.abs(y - 0.5) < 0.12)
    c[(body == 0) & window] = (80, 110, 150)
    c[(body == 0) & (z > 0.44) & (np.abs(x) < 0.1) & (y < 0.5)] = (110, 65, 35)
    c[body == 1] = (160, 70, 50)
    c[(body == 1) & ((x * 10).astype(int) % 2 == 0)] = (140, 58, 42)
    return c
