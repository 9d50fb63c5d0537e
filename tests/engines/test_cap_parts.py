from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.catalog import ImageTo3DParams
from backend.engines.builtin import default_registry
from backend.engines.cap_parts import CapParts
from backend.engines.engine import Role
from backend.engines.part_tasks import CompletionTask
from backend.errors import JobCanceled
from backend.meshes.closed_part import ClosingMethod
from backend.meshes.closing import close_part
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from tests.engines.counting_sink import CountingSink


def _ball() -> SourceMesh:
    ball = trimesh.creation.icosphere(3)
    return SourceMesh.plain(TriangleMesh.welded(ball.vertices, ball.faces))


def _octants(mesh: SourceMesh) -> np.ndarray:
    above = mesh.vertices[mesh.faces].mean(axis=1) > 0
    return (above @ [1, 2, 4]).astype(np.int32)


def _run(*tasks, sink=None):
    progress = StageProgress(sink or SilentSink(), "part_completion")
    return [completed.parts for completed in CapParts().run(tasks, progress)]


def test_every_part_is_closed_and_keeps_its_number():
    ball = _ball()
    (parts,) = _run(CompletionTask(ball, _octants(ball)))
    assert [part.part for part in parts] == list(range(8))
    assert {part.method for part in parts} == {ClosingMethod.CAP}
    whole = TriangleMesh(ball.vertices, ball.faces).volume()
    lens = 0.5 * whole / 8  # what a cap through the corners of an octant cuts off, at the most
    assert all(0.2 * lens < part.volume < lens for part in parts)


def test_the_surfaces_of_the_parts_are_the_surface_of_the_mesh():
    ball = _ball()
    labels = _octants(ball)
    (parts,) = _run(CompletionTask(ball, labels))
    for part in parts:
        own = ball.vertices[ball.faces[labels == part.part]]
        assert (part.mesh.vertices[part.mesh.faces[: len(own)]] == own).all()


def test_a_mesh_that_is_inside_out_is_turned_before_it_is_capped():
    ball = _ball()
    labels = _octants(ball)
    (parts,) = _run(CompletionTask(replace(ball, faces=ball.faces[:, ::-1]), labels))
    (straight,) = _run(CompletionTask(ball, labels))
    assert {part.method for part in parts} == {ClosingMethod.CAP}
    assert [p.volume for p in parts] == pytest.approx([p.volume for p in straight])
    counts = np.bincount(labels)
    assert all(f"turned over: {counts[part.part]}." in part.notice for part in parts)


def test_a_body_that_is_inside_out_beside_others_is_turned_alone():
    ball = _ball()
    shifted = (ball.vertices + np.float32(3)).astype(np.float32)
    other = ball.faces[:, ::-1] + len(ball.vertices)
    mesh = SourceMesh.plain(
        TriangleMesh(
            np.concatenate([1.1 * ball.vertices, shifted]).astype(np.float32),
            np.concatenate([ball.faces, other]).astype(np.int32),
        )
    )
    labels = np.concatenate([_octants(ball), _octants(ball) + 8])
    (parts,) = _run(CompletionTask(mesh, labels))
    assert {part.method for part in parts} == {ClosingMethod.CAP}
    assert [part.notice is None for part in parts] == [True] * 8 + [False] * 8


def test_a_bowl_that_looks_inwards_is_taken_at_its_word():
    ball = _ball()
    below = ball.vertices[ball.faces].mean(axis=1)[:, 1] < 0
    inside = replace(ball, faces=ball.faces[:, ::-1]).selected(below)
    ((bowl,),) = _run(CompletionTask(inside, np.zeros(below.sum(), np.int32)))
    assert bowl.method is ClosingMethod.THICKENED
    assert (bowl.mesh.faces[: len(inside.faces)] == inside.faces).all()


def test_a_part_that_cannot_be_closed_stays_open_and_the_others_are_closed():
    ball = _ball()
    line = np.array([[5, 0, 0], [6, 0, 0], [7, 0, 0]], dtype=np.float32)
    mesh = SourceMesh.plain(
        TriangleMesh(
            np.concatenate([ball.vertices, line]),
            np.concatenate([ball.faces, [np.arange(3) + len(ball.vertices)]]).astype(np.int32),
        )
    )
    labels = np.array([0] * len(ball.faces) + [1], dtype=np.int32)
    ((whole, open_part),) = _run(CompletionTask(mesh, labels))
    assert whole.method is ClosingMethod.WAS_CLOSED
    assert open_part.method is ClosingMethod.OPEN
    assert open_part.volume is None
    assert len(open_part.mesh.faces) == 1
    assert "Left open" in open_part.notice
    assert "Merge it" in open_part.notice


def test_faces_without_a_part_are_left_out():
    ball = _ball()
    labels = _octants(ball)
    labels[labels > 0] = -1
    (parts,) = _run(CompletionTask(ball, labels))
    assert [part.part for part in parts] == [0]


def test_tasks_of_a_batch_are_answered_in_order():
    ball = _ball()
    halves = (_octants(ball) > 3).astype(np.int32)
    one, other = _run(CompletionTask(ball, halves), CompletionTask(ball, halves * 7))
    assert [part.part for part in one] == [0, 1]
    assert [part.part for part in other] == [0, 7]


def test_steps_are_counted_to_the_end():
    ball, sink = _ball(), CountingSink()
    _run(CompletionTask(ball, (_octants(ball) % 2).astype(np.int32)), sink=sink)
    assert sink.seen == [(0, 2), (1, 2), (2, 2)]


def test_a_canceled_job_stops_between_parts():
    ball = _ball()
    with pytest.raises(JobCanceled):
        _run(CompletionTask(ball, _octants(ball)), sink=CountingSink(stop_after=3))


def test_it_is_listed_and_runs_anywhere():
    engine = default_registry().choose(Role.COMPLETION, "cap_parts")
    assert engine.available() is None
    assert engine.batch_key(ImageTo3DParams(seed=1)) == engine.batch_key(ImageTo3DParams(seed=2))


def test_it_stops_within_a_large_part(monkeypatch):
    sink = CountingSink()
    joined = close_part.join
    monkeypatch.setattr(sink, "is_canceled", lambda: bool(sink.seen) and bool(joins))
    joins: list[bool] = []

    def noted(mesh, mended, plain):
        joins.append(mended)
        return joined(mesh, mended, plain)

    monkeypatch.setattr(close_part, "join", noted)
    ball = _ball()
    with pytest.raises(JobCanceled):
        _run(CompletionTask(ball, _octants(ball)), sink=sink)
    assert joins == [False]
