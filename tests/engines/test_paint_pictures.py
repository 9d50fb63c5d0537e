"""Pictures on their way in and out: references, matched colours, joined and enlarged views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.engines import paint_drawing
from backend.engines.paint_baking import baked, enlarged, joined_materials, metallic_roughness
from backend.engines.paint_delight import matched_colours
from backend.engines.paint_drawing import drawn
from backend.engines.paint_model_choice import PaintEffort
from backend.engines.paint_pixels import levels, shares, signed
from backend.engines.paint_references import prepared_references
from backend.engines.paint_surface import (
    chosen_views,
    enlarged_px,
    paint_surface,
    view_maps,
)
from backend.errors import NoForeground, PaintingFailed
from backend.meshes.picture import Picture
from backend.meshes.texturing.cameras import STANDARD_VIEWS
from backend.meshes.texturing.texel_map import texels_of
from backend.meshes.texturing.view_maps import ViewMaps
from backend.meshes.triangle_mesh import vertex_normals
from backend.models.checkpoints.catalogue import model_of
from backend.residency.process import current_residency
from tests.engines.tiny_paint import look_in, reference, task
from tests.meshes.solids import sphere

PBR = PaintEffort(model_of("hunyuan3d-paint-2.1"), 15, 3.0, views=6, view_px=64)


def silent(*_):
    pass


def test_objects_are_put_in_the_middle_of_a_white_square():
    (prepared,) = prepared_references([reference()])
    assert prepared.rgb.shape == (48, 48, 3)
    rows, columns = np.nonzero(prepared.cover)
    assert abs(rows.mean() - 23.5) < 1
    assert abs(columns.mean() - 23.5) < 1
    assert (rows.max() - rows.min() + 1) / 48 == pytest.approx(0.8, abs=0.06)
    assert (prepared.rgb[prepared.cover == 0] == 255).all()
    assert prepared.rgb[15, 24].tolist() == [200, 80, 40]
    assert prepared.at(96).rgb.shape == (96, 96, 3)
    assert prepared.at(24).cover.shape == (24, 24)


def test_for_version_21_objects_stay_as_large_and_where_they_are():
    given = reference()
    wide = np.zeros((48, 80, 4), np.uint8)
    wide[:, 30:78] = given.picture.rgba
    off = replace(given, picture=Picture(wide), mask=wide[..., 3] > 0)
    (prepared,) = prepared_references([off], None)
    square = np.zeros((80, 80), np.bool_)
    square[16:64] = wide[..., 3] > 0
    np.testing.assert_array_equal(prepared.cover > 0, square)
    assert (prepared.rgb[~square] == 255).all()
    np.testing.assert_array_equal(prepared.rgb[square], wide[..., :3][wide[..., 3] > 0])
    wide[..., 3] = 0
    with pytest.raises(NoForeground):
        prepared_references([off], None)


def test_bytes_become_numbers_and_back():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    assert np.array_equal(levels(shares([picture])), picture)
    assert np.array_equal(levels(signed([picture]) / 2 + 0.5), picture)
    assert levels(torch.tensor([[[[-1.0]], [[0.5]], [[7.0]]]])).tolist() == [[[0, 128, 255]]]


def test_colours_are_matched_where_that_brings_them_nearer():
    rng = np.random.default_rng(1)
    given = rng.uniform(0.2, 0.8, (32, 32, 3)).astype(np.float32)
    is_object = np.zeros((32, 32), np.bool_)
    is_object[8:24, 8:24] = True
    darker = (given * 0.5).astype(np.float32)
    matched = matched_colours(darker, given, is_object)
    assert (
        np.abs(matched - given)[is_object].mean() < 0.2 * np.abs(darker - given)[is_object].mean()
    )
    own, wanted = darker[is_object], given[is_object]
    by_hand = (darker - 0.95 * own.mean(0)) * wanted.std(0) / own.std(0) + 0.95 * wanted.mean(0)
    assert matched == pytest.approx(np.clip(by_hand, 0, 1), abs=1e-5)
    assert np.array_equal(matched_colours(given, given, is_object), given)
    assert np.array_equal(matched_colours(darker, given, np.zeros_like(is_object)), darker)


def test_one_colour_is_no_reason_for_numbers_that_are_none():
    flat = np.full((4, 4, 3), 0.5, np.float32)
    everywhere = np.ones((4, 4), np.bool_)
    assert np.isfinite(matched_colours(flat, flat * 0.5, everywhere)).all()


def test_metal_and_roughness_move_to_where_gltf_looks_for_them():
    painted = np.zeros((1, 1, 3), np.uint8)
    painted[0, 0] = 200, 70, 9
    assert metallic_roughness(painted).tolist() == [[[255, 70, 200]]]


def test_the_materials_of_a_view_are_joined():
    pictures = [np.full((2, 2, 3), number, np.uint8) for number in range(4)]
    first, second = joined_materials(pictures, views=2)
    assert first[0, 0].tolist() == [0, 0, 0, 2, 2, 2]
    assert second[0, 0].tolist() == [1, 1, 1, 3, 3, 3]
    assert joined_materials(pictures, views=4)[3].shape == (2, 2, 3)


def test_what_is_painted_on_views_lands_where_they_show_it():
    """Views painted with the positions themselves: the texture tells where its texels are."""
    surface = paint_surface(task(mesh=sphere(subdivisions=2), size_px=64), silent)
    maps = view_maps(surface, STANDARD_VIEWS, PBR, None, silent)
    pictures = [enlarged(one.positions, enlarged_px(PBR.view_px)) for one in maps]
    textured = baked(surface, STANDARD_VIEWS, pictures, 64, None, silent)
    texels = texels_of(surface.layout, surface.points, vertex_normals(surface.mesh), 64)
    x, y, z = texels.positions.T
    wanted = 0.5 + np.stack([x, -z, y], axis=1) / 1.15
    found = textured.texture[texels.rows, texels.columns] / 255
    assert np.abs(found - wanted).mean() < 0.006
    assert np.abs(found - wanted).max() < 0.05
    assert textured.metallic_roughness is None


def test_smooth_maps_are_for_colour_and_flat_ones_for_pbr():
    surface = paint_surface(task(mesh=sphere(subdivisions=1), size_px=64), silent)
    colour = PaintEffort(model_of("hunyuan3d-paint-2.0"), 30, 2.0, views=6, view_px=64)
    front = STANDARD_VIEWS[:1]
    (flat,), (smooth,) = (
        view_maps(surface, front, effort, None, silent) for effort in (PBR, colour)
    )
    assert isinstance(flat, ViewMaps)
    assert len(np.unique(smooth.normals.reshape(-1, 3), axis=0)) > 2 * len(
        np.unique(flat.normals[::2, ::2].reshape(-1, 3), axis=0)
    )


def test_more_views_are_taken_where_they_show_more():
    hollow = sphere(subdivisions=2)
    surface = paint_surface(task(mesh=hollow, size_px=64), silent)
    assert chosen_views(surface, PBR, None, silent) == STANDARD_VIEWS


def test_a_surface_that_no_view_shows_is_an_error():
    surface = paint_surface(task(mesh=sphere(subdivisions=1), size_px=64), silent)
    with pytest.raises(PaintingFailed):
        baked(surface, (), [], 64, None, silent)


def test_without_room_on_the_device_the_processor_draws(tmp_path, monkeypatch):
    look_in(tmp_path, monkeypatch)
    asked = []

    def draw(device):
        asked.append(device)
        if device is not None:
            raise torch.OutOfMemoryError("no room")
        return "drawn"

    assert drawn(draw, "cuda") == "drawn"
    assert asked == ["cuda", None]
    assert drawn(lambda device: device, "cuda") == "cuda"
    with pytest.raises(RuntimeError, match="other"):
        drawn(_fails, "cuda")
    monkeypatch.setattr(paint_drawing, "DRAWING_BYTES", 10**15)
    assert drawn(lambda device: device, "cuda") is None
    current_residency().close()


def _fails(device):
    raise RuntimeError("other")
