from __future__ import annotations

import pytest
import trimesh

from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.part_scene import PartScene
from backend.pipelines import growing_parts
from backend.pipelines.growing_parts import EVERY_S, GrowingParts
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.test_image_to_3d import NotingSink


class HeldClock:
    """Stands still until it is moved."""

    def __init__(self):
        self.s = 0.0

    def monotonic_s(self):
        return self.s


@pytest.fixture
def clock():
    return HeldClock()


@pytest.fixture
def grown(tmp_path, clock):
    """A job with three parts, its clock, and what it was told of."""
    mesh = three_balls(1)
    balls = ball_of_face(mesh)
    (tmp_path / "preview.glb").write_bytes(b"as given")
    sink = NotingSink()
    growing = GrowingParts(mesh, balls, tmp_path, sink, clock)

    def come(part, after_s=EVERY_S):
        clock.s += after_s
        growing(ClosedPart(part, mesh.selected(balls == part), ClosingMethod.GENERATED, 1.0))

    return come, sink, tmp_path / "preview.glb"


def test_parts_take_the_place_of_the_surface_one_by_one(grown):
    come, sink, path = grown
    come(1)
    assert sink.artifacts == {"preview.glb": ("preview", path.stat().st_size)}
    scene = trimesh.load(path)
    assert sorted(scene.geometry) == ["part_01", "part_03"]  # the last is what waits
    assert len(scene.geometry["part_03"].faces) == 2 * len(scene.geometry["part_01"].faces)
    come(0)
    come(2)
    assert sorted(trimesh.load(path).geometry) == ["part_00", "part_01", "part_02"]
    assert [*path.parent.iterdir()] == [path], "nothing is left beside it"


def test_it_is_written_every_few_seconds_at_most(grown):
    come, sink, path = grown
    come(0, after_s=EVERY_S / 2)
    assert sink.artifacts == {}
    assert path.read_bytes() == b"as given"
    come(1, after_s=EVERY_S / 2)
    assert sorted(trimesh.load(path).geometry) == ["part_00", "part_01", "part_03"]
    before = path.read_bytes()
    come(2, after_s=EVERY_S / 2)
    assert path.read_bytes() == before


def test_what_takes_long_to_write_is_written_less_often(grown, clock, monkeypatch):
    come, _, path = grown
    write = PartScene.write

    def slow(self, target):
        clock.s += 2.0
        write(self, target)

    monkeypatch.setattr(PartScene, "write", slow)
    come(0)
    before = path.read_bytes()
    come(1, after_s=19.0)
    assert path.read_bytes() == before
    come(2, after_s=1.5)
    assert sorted(trimesh.load(path).geometry) == ["part_00", "part_01", "part_02"]


def test_what_is_too_large_for_a_page_is_not_shown(grown, monkeypatch):
    come, sink, _ = grown
    monkeypatch.setattr(growing_parts, "MOST_MB", 0.001)
    come(0)
    assert sink.artifacts == {}


def test_without_a_preview_there_is_none_to_write_anew(grown):
    come, sink, path = grown
    path.unlink()
    come(0)
    assert sink.artifacts == {}
    assert not path.exists()
