"""Checks recorded textures against the published way of baking, as it is written down here."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import OrthographicCamera
from backend.meshes.texturing.view_maps import NormalKind
from bench.parity.comparison import Comparison, compared_exactly
from bench.parity.golden_folder import GoldenFile
from bench.parity.published_bake import (
    BakedTexture,
    PublishedSurface,
    Values,
    looked_up,
    merged,
    seen_view,
    splatted,
)
from bench.parity.published_inpaint import navier_stokes, with_vertices
from bench.parity.texture_views import RecordedScene

EROSION_PX = 1
COSINE_OFF, COSINE_SHARE = 1e-3, 1e-4
COLOUR_MEAN, MASK_SHARE, VERTEX_COLOUR = 2e-4, 2e-4, 5e-4
WAYS = {"b20": NormalKind.SMOOTH, "b21": NormalKind.FLAT}
_ONE_VIEW = re.compile(r"b2[01]\.(tex|cosw)(\d+)")
_OF_TEXELS = "share of texels"


def bake_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare views baked one by one, what is made of all, and how the rest is filled."""
    scene = RecordedScene(file)
    for way, kind in WAYS.items():
        if not any(name.startswith(f"{way}.") for name in file.recorded):
            continue
        surface = _surface(scene, way)
        baked = [_baked(scene, surface, view, kind) for view in range(_pictures(file))]
        yield from _single(file, way, baked)
        colours, is_painted = merged(baked)
        yield from _merged(file, way, colours, is_painted)
        yield from _filled(scene, surface, way, colours, is_painted)


def _pictures(file: GoldenFile) -> int:
    return len(file.tensors["views_u8"])


def _surface(scene: RecordedScene, way: str) -> PublishedSurface:
    """Return the mesh with the size of the textures of this way."""
    sizes = {
        len(tensor) for name, tensor in scene.file.tensors.items() if name.startswith(f"{way}.")
    }
    uv = scene.file.tensors["mesh.uv"].numpy()
    return PublishedSurface(scene.vertices, scene.faces, uv, max(sizes))


def _baked(
    scene: RecordedScene, surface: PublishedSurface, number: int, kind: NormalKind
) -> BakedTexture:
    view = scene.painted_views[number]
    recorded = scene.file.tensors["views_u8"][number].numpy()
    picture = np.asarray(recorded / np.float32(255), dtype=np.float32)
    if not isinstance(view.camera, OrthographicCamera):
        raise TypeError("only cameras that turn about the object bake")
    seen = seen_view(surface, view.camera, picture.shape[0], kind, EROSION_PX)
    if kind is NormalKind.SMOOTH:
        return splatted(surface, seen, picture, view.weight)
    return looked_up(surface, view.camera, seen, picture, view.weight)


def _single(file: GoldenFile, way: str, baked: list[BakedTexture]) -> Iterator[Comparison]:
    for name in sorted(file.recorded):
        found = _ONE_VIEW.fullmatch(name)
        if found is None or not name.startswith(way):
            continue
        one, expected = baked[int(found[2])], file.tensors[name].float().numpy()
        line = f"{file.name} {name}"
        if found[1] == "tex":
            yield _mean(line, one.colours, expected)
        else:
            share = float((np.abs(one.weights - expected) > COSINE_OFF).mean())
            yield Comparison(line, share, COSINE_SHARE, f"{_OF_TEXELS} off by {COSINE_OFF:g}")


def _mean(line: str, colours: Values, expected: NDArray[np.floating]) -> Comparison:
    return Comparison(line, float(np.abs(colours - expected).mean()), COLOUR_MEAN, "mean")


def _merged(
    file: GoldenFile, way: str, colours: Values, is_painted: NDArray[np.bool_]
) -> Iterator[Comparison]:
    if file.has(f"{way}.merged"):
        expected = file.tensors[f"{way}.merged"].float().numpy()
        yield _mean(f"{file.name} {way}.merged", colours, expected)
    if file.has(f"{way}.mask"):
        share = float((is_painted != (file.tensors[f"{way}.mask"].numpy() > 0)).mean())
        yield Comparison(f"{file.name} {way}.mask", share, MASK_SHARE, _OF_TEXELS)


def _filled(
    scene: RecordedScene,
    surface: PublishedSurface,
    way: str,
    colours: Values,
    is_painted: NDArray[np.bool_],
) -> Iterator[Comparison]:
    """Compare the filling of what was recorded before it, as far as that is there."""
    file = scene.file
    if file.has(f"{way}.merged") and file.has(f"{way}.mask"):
        colours = file.tensors[f"{way}.merged"].float().numpy()
        is_painted = file.tensors[f"{way}.mask"].numpy() > 0
    names = {short: f"{way}.{short}" for short in ("vinp_mask", "vinp_tex", "ns_u8")}
    if not any(file.has(name) for name in names.values()):
        return
    made = with_vertices(surface, colours, is_painted)
    painted = made.is_painted
    if file.has(names["vinp_mask"]):
        expected = file.tensors[names["vinp_mask"]] > 0
        line = f"{file.name} {names['vinp_mask']}"
        yield compared_exactly(line, torch.from_numpy(painted), expected)
        painted = expected.numpy()
    if file.has(names["vinp_tex"]):
        apart = np.abs(made.colours - file.tensors[names["vinp_tex"]].float().numpy())
        yield Comparison(f"{file.name} {names['vinp_tex']}", float(apart.max()), VERTEX_COLOUR)
    if file.has(names["ns_u8"]):
        yield from _navier_stokes(file, names["ns_u8"], made.colours, painted)


def _navier_stokes(
    file: GoldenFile, name: str, colours: Values, is_painted: NDArray[np.bool_]
) -> Iterator[Comparison]:
    """Compare what OpenCV makes of the recorded painted texels, and these with ours.

    One step of 8 bits in a painted texel changes texels far from it, so it is not given ours.
    """
    expected = file.tensors[name].numpy()
    own = (np.clip(colours, 0, 1) * 255).astype(np.uint8)
    apart = np.abs(own.astype(int) - expected)[is_painted]
    yield Comparison(f"{file.name} {name}, painted", float(apart.max(initial=0)), 1.0)
    given = np.where(is_painted[..., None], expected, 0).astype(np.uint8)
    made = torch.from_numpy(navier_stokes(given, is_painted))
    line = f"{file.name} {name}, the rest"
    yield compared_exactly(line, made, file.tensors[name], "OpenCV, given the recorded texels")
