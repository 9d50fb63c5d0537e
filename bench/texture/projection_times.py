"""Seconds of engine ``projection`` from a picture to a texture, and of drawing its layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing import flat_rasteriser, ray_rasteriser
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.screen_faces import screen_faces
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_map import layout_screen
from backend.meshes.texturing.unseen_colour.painting import paint
from backend.meshes.texturing.unseen_colour.picture_view import GivenPicture
from backend.meshes.triangle_mesh import TriangleMesh
from bench.painted_objects import PaintedObject
from bench.texture.stage_times import StageTimes, timed
from bench.texture.subjects import true_colours
from bench.texture_projection import Stage


def time_projection(times: StageTimes, layout: SurfaceLayout, size_px: int) -> list[dict[str, Any]]:
    """Time a texture of a size from the front of a mesh; returns rows like those of stages."""
    screen = screen_faces(layout_screen(layout.uv), layout.faces, cull=False)
    rule = PixelRule.CENTRED
    rays_s, by_rays = timed(1, lambda: ray_rasteriser.rasterise(screen, size_px, size_px, rule))
    rows_s, by_rows = timed(
        times.rounds, lambda: flat_rasteriser.rasterise(screen, size_px, size_px, rule)
    )
    times.note(f"draw the layout, {size_px} px", ("rays", rays_s), rows_s)
    differs = int((by_rays.face_ids != by_rows.face_ids).sum())
    rgb, mask, frame = Stage(PaintedObject("figure", times.mesh, _look(times.mesh))).front()
    given = GivenPicture(rgb, mask, frame)
    paint_s, _ = timed(times.rounds, lambda: paint(times.mesh, layout, [given], size_px))
    times.note(f"projection of one picture, {size_px} px", None, paint_s)
    faces, texels = len(times.mesh.faces), int(by_rows.covered.sum())
    return [
        {
            "what": "layout pixels",
            "mesh": f"{faces} faces",
            "size_px": size_px,
            "covered": texels,
            "other_than_by_rays": differs,
        }
    ]


def _look(mesh: TriangleMesh) -> Any:
    def look(faces: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        places = np.einsum("kn,knc->kc", weights, mesh.vertices[mesh.faces[faces]])
        return true_colours(places).astype(np.float64) * 255

    return look
