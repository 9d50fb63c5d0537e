from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image

from bench.game_models import ARCHIVE, game_models

RED, BLUE = (200, 0, 0), (0, 0, 200)


def _md2(skin):
    """A ball, +X of which has the left half of its texture, and -X the right one."""
    ball = trimesh.creation.icosphere(subdivisions=2)
    steps = np.round((ball.vertices + 1) * 127.5).astype(np.uint8)
    vertices = np.column_stack([steps, np.zeros(len(steps), np.uint8)])
    corners = np.array([(4, 8), (12, 8)], "<i2")
    half = np.repeat((ball.triangles_center[:, 0] < 0)[:, None], 3, axis=1)
    faces = np.concatenate([ball.faces[:, ::-1], half], axis=1).astype("<u2")
    parts = [
        skin.encode().ljust(64, b"\0"),
        corners.tobytes(),
        faces.tobytes(),
        np.array([1 / 127.5] * 3 + [-1] * 3, "<f4").tobytes() + b"stand".ljust(16, b"\0"),
    ]
    at = 68 + np.cumsum([0, *map(len, parts)])
    counts = (1, len(vertices), len(corners), len(faces), 0, 1)
    header = struct.pack("<17i", 0, 8, 16, 16, 0, *counts, *at[:4], 0, 0)
    return header + b"".join(parts) + vertices.tobytes()


def _png(opaque=True):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., 3] = 255 if opaque else 0
    pixels[:, :8, :3], pixels[:, 8:, :3] = RED, BLUE
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def unpacked(tmp_path):
    path = tmp_path / ARCHIVE
    path.parent.mkdir(parents=True)

    def pack(**files):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"models/{name.replace('__', '/').replace('_dot_', '.')}", data)
        halves = (game_models(tmp_path, held_out=held_out) for held_out in (False, True))
        return [one for half in halves for one in half]

    return pack


def test_a_model_faces_plus_z_outwards_in_its_colours(unpacked):
    (made,) = unpacked(toys__ball_dot_md2=_md2("models/toys/paint.tga"), toys__paint_dot_png=_png())
    assert made.name.split()[0] == "toys-ball"
    corners = made.mesh.vertices[made.mesh.faces].astype(np.float64)
    middles = corners.mean(axis=1)
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ij->i", outward, middles) > 0).all()
    turned = 35.0 if made.name.endswith("35") else 0.0
    front = np.array([-np.sin(np.radians(turned)), 0, np.cos(np.radians(turned))])
    faces = np.arange(len(middles))
    colours = made.look(faces, np.full((len(faces), 3), 1 / 3))
    assert np.allclose(colours[middles @ front > 0.1], RED)
    assert np.allclose(colours[middles @ front < -0.1], BLUE)


def test_one_of_a_folder_and_none_without_a_texture_or_cut_out(unpacked):
    made = unpacked(
        two__a_dot_md2=_md2("a"), two__b_dot_md2=_md2("b"),
        two__a_dot_png=_png(), two__b_dot_png=_png(),
        bare__c_dot_md2=_md2("nowhere"),
        leaves__d_dot_md2=_md2("d"), leaves__d_dot_png=_png(opaque=False),
    )  # fmt: skip
    assert [one.name.split()[0] for one in made] == ["two-a"]
