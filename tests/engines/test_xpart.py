"""The engine on tiny random weights in the published layout: its parts are noise."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.catalog import PartQuality, PartSolver, Preset
from backend.engines import part_completion_steps, part_contexts, xpart
from backend.engines import registry as engine_registry
from backend.engines.builtin import default_registry
from backend.engines.engine import Role
from backend.engines.part_memory import decode_bytes
from backend.engines.part_room import room_beside
from backend.engines.part_tasks import CompletionTask, CompletionWishes
from backend.engines.xpart import LEFT_OUT, NO_SURFACE, NOTHING_IN_BOX, NOTICE, XPart
from backend.errors import JobCanceled, TensorMissing
from backend.meshes.closed_part import ClosingMethod
from backend.meshes.source_mesh import Material
from backend.models.xpart.denoiser import PartDenoiser
from backend.profiling.recorder import record_pipeline
from backend.progress import StageProgress
from backend.residency.process import current_residency
from tests.engines.counting_sink import CountingSink
from tests.engines.tiny_xpart import (
    look_in,
    model,  # noqa: F401
    one_thread,  # noqa: F401
    solid_spaces,  # noqa: F401
    weights,  # noqa: F401
    write_weights,
)
from tests.meshes.source_shapes import ball_of_face, three_balls

WISHES = CompletionWishes(Preset.DRAFT, steps=4, cells=12)


def middle(part):
    low, high = part.mesh.vertices.min(axis=0), part.mesh.vertices.max(axis=0)
    return (low + high) / 2


def task(**changes):
    mesh = three_balls(1)
    return replace(CompletionTask(mesh, ball_of_face(mesh), seed=3, wishes=WISHES), **changes)


def run(*tasks, sink=None):
    progress = StageProgress(sink or CountingSink(10_000), "part_completion")
    return XPart().run(tasks, progress)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One run that several tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        look_in(write_weights(tmp_path_factory.mktemp("made")), patch)
        told, sink = [], CountingSink(10_000)
        (completed,) = run(task(on_part=told.append), sink=sink)
        current_residency().close()
    return completed, told, sink


def test_every_part_is_made_anew_and_closed_where_the_object_is(made):
    completed, _, _ = made
    assert [part.part for part in completed.parts] == [0, 1, 2]
    assert {part.method for part in completed.parts} == {ClosingMethod.GENERATED}
    for part in completed.parts:
        low, high = part.mesh.vertices.min(axis=0), part.mesh.vertices.max(axis=0)
        cube = 5 * 2.02 / 1.6  # noise fills nearly all of it
        assert (high - low).max() == pytest.approx(cube, rel=0.01)
        assert (low > np.array([2, 0, 0]) - 0.51 * cube).all()
        assert (high < np.array([2, 0, 0]) + 0.51 * cube).all()
        assert part.volume is not None
        assert part.volume > 0


def test_the_job_learns_what_they_were_made_with_and_that_it_is_another_way(made):
    completed, _, _ = made
    facts = completed.facts
    assert (facts["model"], facts["steps"], facts["solver"]) == ("x-part", 4, "euler")
    assert (facts["cells"], facts["groups"]) == (12, 1)
    assert facts["is_published_way"] is False
    assert (facts["is_lossy"], facts["quality"]) == (True, None)
    assert NOTICE in completed.notice
    assert "4 euler steps instead of 50" in completed.notice


def test_each_part_is_told_as_soon_as_it_is_there(made):
    completed, told, _ = made
    assert [part.part for part in told] == [0, 1, 2]
    assert told == completed.parts


def test_progress_rises_to_all_of_its_steps(made):
    _, _, sink = made
    done = [step for step, _ in sink.seen]
    total = 1 + 4 + 3 + 3 * xpart.STEPS_PER_PART
    assert {steps for _, steps in sink.seen} == {total}
    assert done == sorted(done)
    assert done[-1] == total
    assert len(set(done)) > 10


@pytest.mark.usefixtures("model")
def test_same_seed_same_parts(made):
    again, other = run(task(), task(seed=4))
    first = made[0].parts
    for part, same, different in zip(first, again.parts, other.parts, strict=True):
        assert np.array_equal(part.mesh.vertices, same.mesh.vertices)
        assert not np.array_equal(part.mesh.vertices, different.mesh.vertices)


@pytest.mark.usefixtures("solid_spaces")
def test_more_parts_than_the_network_has_rows_and_memory_are_made(monkeypatch):
    """In groups, which is said; the published way fails beyond its rows."""
    mesh = three_balls(1)
    corners = mesh.vertices[mesh.faces].mean(axis=1)
    parts = 20 * ball_of_face(mesh) + (np.argsort(np.argsort(corners[:, 1])) * 20 // len(corners))
    _, parts = np.unique(parts, return_inverse=True)
    count = int(parts.max()) + 1
    assert count > 50
    monkeypatch.setattr(part_completion_steps, "room_beside", lambda _: 1_000_000)
    wishes = replace(WISHES, steps=2, cells=12)
    (completed,) = run(task(face_parts=parts.astype(np.int32), wishes=wishes))
    assert [part.part for part in completed.parts] == list(range(count))
    assert completed.facts["groups"] > 1
    assert f"in {completed.facts['groups']} groups" in completed.notice


@pytest.mark.usefixtures("model")
def test_groups_change_what_the_parts_of_others_look_like_and_keys_do_not(monkeypatch, made):
    def with_room(room):
        monkeypatch.setattr(part_completion_steps, "room_beside", lambda _: room)
        return run(task())[0]

    together = made[0]
    no_keys = with_room(350_000)
    assert no_keys.facts["groups"] == 1
    for part, same in zip(together.parts, no_keys.parts, strict=True):
        assert part.volume == pytest.approx(same.volume, rel=1e-3)
    assert with_room(0).facts["groups"] == 3


@pytest.mark.usefixtures("model")
def test_memory_is_divided_by_what_the_weights_really_take(monkeypatch):
    """With 8 bits some layers keep 16 or 32: planned with too little, the lease would refuse."""
    asked = []

    def room(weights_bytes):
        asked.append(weights_bytes)
        return room_beside(weights_bytes)

    monkeypatch.setenv("MESHKILN_WEIGHTS", "int8")
    monkeypatch.setattr(part_contexts, "room_beside", room)
    monkeypatch.setattr(part_completion_steps, "room_beside", room)
    run(task(wishes=replace(WISHES, steps=2)))
    table = current_residency().manager().table
    names = ("x-part/conditioner", "x-part/denoiser")
    assert asked == [table.find(name).size_bytes for name in names]
    assert min(asked) > 0


@pytest.mark.usefixtures("solid_spaces")
def test_what_one_group_was_prepared_with_is_gone_before_the_next_one_is(monkeypatch):
    prepared, alive = [], []
    prepare = PartDenoiser.prepare

    def watched(self, *given, **named):
        alive.append(sum(one() is not None for one in prepared))
        made = prepare(self, *given, **named)
        prepared.append(weakref.ref(made))
        return made

    monkeypatch.setattr(PartDenoiser, "prepare", watched)
    monkeypatch.setattr(part_completion_steps, "room_beside", lambda _: 0)
    run(task())
    assert alive == [0, 0, 0]


@pytest.mark.usefixtures("solid_spaces")
def test_a_box_far_larger_than_the_object_promises_no_more_than_its_cube(monkeypatch):
    promised = []

    def noted(corners, *sizes):
        promised.append(corners)
        return decode_bytes(corners, *sizes)

    monkeypatch.setattr(part_completion_steps, "decode_bytes", noted)
    boxes = np.array([[[-1e6] * 3, [1e6] * 3]], np.float32)
    labels = np.zeros(len(three_balls(1).faces), np.int32)
    (completed,) = run(task(face_parts=labels, boxes=boxes))
    assert promised == [13**3]
    assert [part.part for part in completed.parts] == [0]


@pytest.mark.usefixtures("solid_spaces")
def test_each_part_is_looked_for_around_its_own_faces():
    (completed,) = run(task())
    for number, part in enumerate(completed.parts):
        assert middle(part) == pytest.approx([2 * number, 0, 0], abs=0.05)
        assert part.volume == pytest.approx(np.prod(np.ptp(part.mesh.vertices, axis=0)), rel=1e-5)


@pytest.mark.usefixtures("solid_spaces")
def test_boxes_decide_what_is_shown_and_where_it_is_looked_for():
    mesh = three_balls(1)
    boxes = np.array([[[-0.6] * 3, [0.6] * 3], [[3.4, -0.6, -0.6], [4.6, 0.6, 0.6]]], np.float32)
    labels = np.full(len(mesh.faces), -1, np.int32)
    labels[ball_of_face(mesh) == 0] = 0
    (completed,) = run(task(face_parts=labels, boxes=boxes))
    assert [part.part for part in completed.parts] == [0, 1]
    second = completed.parts[1]
    assert second.method is ClosingMethod.GENERATED  # no face has its number; its box holds some
    assert middle(second) == pytest.approx([4, 0, 0], abs=0.05)
    assert 1 < np.ptp(second.mesh.vertices[:, 0]) < 1.7  # the box and its margin


@pytest.mark.usefixtures("solid_spaces")
def test_a_box_that_holds_nothing_is_no_silent_loss():
    mesh = three_balls(1)
    empty = [[0.9, -0.1, -0.1], [1.1, 0.1, 0.1]]
    boxes = np.array([[[-0.6] * 3, [0.6] * 3], empty, empty], np.float32)
    labels = np.where(ball_of_face(mesh) == 1, 1, -1).astype(np.int32)
    (completed,) = run(task(face_parts=labels, boxes=boxes))
    first, capped = completed.parts
    assert (first.part, first.method) == (0, ClosingMethod.GENERATED)
    assert (capped.part, capped.method) == (1, ClosingMethod.WAS_CLOSED)
    assert capped.notice == NOTHING_IN_BOX
    assert LEFT_OUT.format(numbers="2") in completed.notice


def test_a_part_without_a_surface_is_closed_as_it_was_given(tmp_path, monkeypatch):
    def outside(states):
        state = states["shapevae"]
        state["geo_decoder.output_proj.weight"] *= 0
        state["geo_decoder.output_proj.bias"] = torch.full_like(
            state["geo_decoder.output_proj.bias"], -1.0
        )

    look_in(write_weights(tmp_path, change_state=outside), monkeypatch)
    told = []
    (completed,) = run(task(on_part=told.append))
    assert [part.method for part in completed.parts] == [ClosingMethod.WAS_CLOSED] * 3
    assert {part.notice for part in completed.parts} == {NO_SURFACE}
    assert NOTICE not in completed.notice
    assert told == completed.parts


@pytest.mark.parametrize("after", [1, 3, 6, 12])
@pytest.mark.usefixtures("model")
def test_it_stops_within_a_step_of_being_asked(after):
    with pytest.raises(JobCanceled):
        run(task(), sink=CountingSink(after))
    models = current_residency().status()["models"]
    assert {one["leases"] for one in models} <= {0}


@pytest.mark.usefixtures("model")
def test_who_stops_it_when_told_of_a_part_leaves_no_lease():
    def stop(part):
        raise JobCanceled

    with pytest.raises(JobCanceled):
        run(task(on_part=stop))
    models = current_residency().status()["models"]
    assert {one["name"] for one in models} >= {
        "x-part/conditioner",
        "x-part/denoiser",
        "x-part/vae",
    }
    assert {one["leases"] for one in models} == {0}


@pytest.mark.usefixtures("solid_spaces")
def test_parts_keep_the_colour_that_most_of_them_has():
    mesh = three_balls(1)
    looks = (Material("red", base_color=(0.8, 0.1, 0.1, 1.0), roughness=0.3), Material("white"))
    kinds = (ball_of_face(mesh) > 0).astype(np.int16)
    (completed,) = run(task(mesh=replace(mesh, materials=looks, face_materials=kinds)))
    colors = [part.mesh.materials[0].base_color for part in completed.parts]
    assert colors == [(0.8, 0.1, 0.1, 1.0)] + [(1.0, 1.0, 1.0, 1.0)] * 2


@pytest.mark.usefixtures("solid_spaces")
def test_a_profile_tells_its_steps_apart():
    with record_pipeline("run") as trace:
        run(task())
    assert {"sample_parts", "encode_parts", "denoise", "decode_parts"} <= {
        span.name for span in trace.spans
    }


@pytest.mark.usefixtures("solid_spaces")
def test_faces_in_no_part_are_left_alone():
    labels = np.full(len(three_balls(1).faces), -1, np.int32)
    (completed,) = run(task(face_parts=labels))
    assert completed.parts == []


@pytest.mark.usefixtures("solid_spaces")
def test_midpoint_steps_are_another_way():
    wishes = replace(WISHES, steps=50, solver=PartSolver.MIDPOINT, cells=12)
    sink = CountingSink(10_000)
    (completed,) = run(task(wishes=replace(wishes, steps=3)), sink=sink)
    assert completed.facts["solver"] == "midpoint"
    assert sink.seen[0][1] == 1 + 4 + 4 + 3 * xpart.STEPS_PER_PART


@pytest.mark.usefixtures("solid_spaces")
def test_a_named_way_is_gone_and_told():
    wishes = replace(WISHES, steps=None, quality=PartQuality.SECOND_ORDER)
    (completed,) = run(task(wishes=wishes))
    facts = completed.facts
    assert (facts["quality"], facts["steps"], facts["solver"]) == ("second_order", 13, "midpoint")
    assert facts["is_lossy"] is True
    assert "Lossy (quality second_order)" in completed.notice


def test_wrong_weights_are_a_typed_error(tmp_path, monkeypatch):
    def cut(states):
        del states["model"]["x_embedder.bias"]

    look_in(write_weights(tmp_path, change_state=cut), monkeypatch)
    with pytest.raises(TensorMissing, match=r"x_embedder\.bias"):
        run(task())


@pytest.mark.usefixtures("model")
def test_it_is_the_first_choice_on_a_gpu_where_its_weights_are(tmp_path, monkeypatch):
    registry = default_registry()
    assert registry.choose(Role.COMPLETION).name == "cap_parts"
    monkeypatch.setattr(engine_registry, "has_gpu", lambda settings: True)
    assert registry.choose(Role.COMPLETION).name == "xpart"
    look_in(tmp_path, monkeypatch)
    assert registry.choose(Role.COMPLETION).name == "cap_parts"
    assert "weights" in XPart().available()
