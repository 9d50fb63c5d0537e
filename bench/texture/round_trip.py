"""How well known colours survive being rendered, baked and looked at again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import OrthographicCamera
from backend.meshes.texturing.fragments import interpolate_covered
from backend.meshes.texturing.gutters import with_gutters
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.sampling import sample
from backend.meshes.texturing.texel_fill import fill_hidden
from backend.meshes.texturing.view_maps import NormalKind
from bench.parity.published_bake import PublishedSurface, Values
from bench.texture.subjects import true_colours
from bench.texture.views import LaidOutSurface, our_bake, published_bake, standard_pictures

HELD_OUT = OrthographicCamera(35, 15)
THREADS = 2
PUBLISHED = {"published, splatted (2.0)": NormalKind.SMOOTH,
             "published, looked up (2.1)": NormalKind.FLAT}  # fmt: skip


def round_trips(surface: LaidOutSurface, size_px: int) -> list[dict[str, Any]]:
    """Compare the texels that six views of the same size paint, and a view from elsewhere."""
    rows = [_ours(surface, size_px)]
    pictures = standard_pictures(surface.mesh, size_px, PixelRule.CORNER_ALIGNED)
    published = surface.published(size_px)
    for way, kind in PUBLISHED.items():
        rows.append(_theirs(surface, published, pictures, kind) | {"by": way})
    title = {"what": "round trip", "mesh": f"{len(surface.mesh.faces)} faces", "size_px": size_px}
    return [title | row for row in rows]


def _ours(surface: LaidOutSurface, size_px: int) -> dict[str, Any]:
    texels = surface.texels(size_px)
    pictures = standard_pictures(surface.mesh, size_px, PixelRule.CENTRED)
    painted = our_bake(surface, texels, pictures)
    known = painted.is_painted
    apart = np.abs(painted.colours - true_colours(texels.positions))[known]
    filled = fill_hidden(texels, painted, workers=THREADS)
    if filled is None:
        raise RuntimeError("no view shows the figure")
    seen = np.zeros((size_px, size_px), dtype=np.bool_)
    seen[texels.rows, texels.columns] = known
    texture = np.asarray(with_gutters(texels, filled) / np.float32(255), dtype=np.float32)
    return {"by": "ours"} | _errors(apart) | {
        "painted_share": float(known.mean()),
        "view_mean_error": _seen_again(surface, texture, seen, PixelRule.CENTRED),
    }  # fmt: skip


def _theirs(
    surface: LaidOutSurface, published: PublishedSurface, pictures: list[Values], kind: NormalKind
) -> dict[str, Any]:
    colours, known = published_bake(published, pictures, kind)
    covered = published.texels.covered
    both = known & covered
    apart = np.abs(colours - true_colours(published.texel_places))[both]
    return _errors(apart) | {
        "painted_share": float(both.sum() / covered.sum()),
        "view_mean_error": _seen_again(surface, colours, known, PixelRule.CENTRED),
    }


def _errors(apart: Values) -> dict[str, float]:
    return {
        "mean_error": float(apart.mean()),
        "p99_error": float(np.percentile(apart, 99)),
        "worst_error": float(apart.max()),
    }


def _seen_again(
    surface: LaidOutSurface, texture: Values, seen: NDArray[np.bool_], rule: PixelRule
) -> float:
    """Look at painted texels from elsewhere as glTF says: centres of texels at half numbers."""
    mesh, layout, size = surface.mesh, surface.layout, len(texture)
    screen = HELD_OUT.screen(surface.split)
    fragments = rasterise(screen, layout.faces, size, size, rule)
    uv = interpolate_covered(layout.uv, layout.faces, fragments).astype(np.float64)
    columns, rows = uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5
    shown = sample(texture, columns, rows)
    # Only where all four texels were painted by a view.
    whole = sample(seen[..., None].astype(np.float32), columns, rows)[:, 0] > 1 - 1e-6
    truth = true_colours(
        interpolate_covered(mesh.vertices[layout.sources], layout.faces, fragments)
    )
    return float(np.abs(shown - truth)[whole].mean())
