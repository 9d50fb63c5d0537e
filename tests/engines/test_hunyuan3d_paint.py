"""The engine on tiny random weights in the published layout: it paints noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.batching.halving import run_items
from backend.catalog import ImageTo3DParams
from backend.engines import hunyuan3d_paint, paint_delight, paint_networks, paint_steps
from backend.engines.builtin import default_registry
from backend.engines.engine import FailedItem, Role
from backend.engines.hunyuan3d_paint import DENOISE, Hunyuan3DPaint
from backend.engines.paint_model_choice import NOT_DELIT, ON_PROCESSOR
from backend.errors import JobCanceled, NoForeground, PaintingFailed, UnusableMesh, WeightsMissing
from backend.meshes.texturing.unwrapping import unwrap
from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.residency.process import current_residency
from tests.engines.counting_sink import CountingSink
from tests.engines.tiny_paint import (
    SIZE_PX,
    STEPS,
    VIEW_PX,
    accept_all,
    look_in,
    reference,
    run,
    task,
)
from tests.engines.tiny_xpart import one_thread  # noqa: F401
from tests.meshes.solids import box
from tests.models.tiny_paint_checkpoints import (
    TinyPaint,
    write_tiny_delight,
    write_tiny_dinov2,
    write_tiny_paint,
    write_tiny_realesrgan,
)

COLOUR, TURBO, PBR = (each.value for each in (TinyPaint.COLOUR, TinyPaint.TURBO, TinyPaint.PBR))
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A server's folders with all models but that which takes light out."""
    root = tmp_path_factory.mktemp("paint")
    for each in TinyPaint:
        write_tiny_paint(root / "own", each)
    write_tiny_realesrgan(root / "own")
    return accept_all(root)


@pytest.fixture(scope="module", autouse=True)
def models(weights):
    """Models of all tests, as in a worker: loading them takes longer than painting with them."""
    with pytest.MonkeyPatch.context() as patch:
        look_in(weights, patch)
        yield
        current_residency().close()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Folders of another server, without models."""
    look_in(tmp_path, monkeypatch)
    yield tmp_path
    current_residency().close()


@pytest.fixture(scope="module")
def made():
    """One run of each kind that several tests look at, and what they reported."""
    sink = CountingSink(10_000)
    results = run(task(COLOUR), task(PBR, wishes={"upscale": True}), task(TURBO), sink=sink)
    return dict(zip((COLOUR, PBR, TURBO), results, strict=True)), sink


@pytest.fixture(scope="module")
def watched():
    """One run after two pictures: what DINOv2 was shown, and what lay on the device at the end."""
    described, held = [], {}
    describe, denoised = paint_networks.described_picture, paint_steps.PaintSteps.denoised

    def noted(picture):
        described.append(picture)
        return describe(picture)

    def looked_at(self, *given):
        made = denoised(self, *given)
        table = current_residency().manager().table
        held.update({name: one.block_bytes for name, one in table.records.items()})
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paint_steps, "described_picture", noted)
        patch.setattr(paint_steps.PaintSteps, "denoised", looked_at)
        run(task(PBR, references=(reference(), reference(180.0, (20, 60, 220)))))
    return described, held


def test_each_model_paints_a_texture_of_the_size_that_was_asked_for(made):
    for result in made[0].values():
        assert result.mesh.texture.shape == (SIZE_PX, SIZE_PX, 3)
        assert result.mesh.texture.std(axis=(0, 1)).max() > 5
        assert len(result.mesh.faces) == len(box().faces)


def test_only_pbr_paints_metal_and_roughness(made):
    assert made[0][COLOUR].mesh.metallic_roughness is None
    assert made[0][TURBO].mesh.metallic_roughness is None
    shine = made[0][PBR].mesh.metallic_roughness
    assert shine.shape == (SIZE_PX, SIZE_PX, 3)
    assert (shine[..., 0] == 255).all()
    assert not np.array_equal(shine[..., 1], shine[..., 2])


def test_the_job_learns_what_was_done_and_how_long_it_took(made):
    facts = made[0][PBR].facts
    assert (facts["model"], facts["solver"], facts["steps"]) == (PBR, "unipc", STEPS)
    assert (facts["guidance"], facts["view_px"], facts["seed"]) == (3.0, VIEW_PX, 3)
    assert (facts["upscaler"], facts["delight"]) == ("realesrgan-x4plus", None)
    assert facts["views"][4] == [0.0, 90.0]
    assert list(facts["stages_s"]) == [
        "prepare_pictures", "unwrap", "render_maps", "encode_pictures", "denoise",
        "decode_pictures", "upscale", "bake",
    ]  # fmt: skip
    assert min(facts["stages_s"].values()) >= 0
    assert made[0][COLOUR].facts["solver"] == "euler-ancestral"
    assert made[0][TURBO].facts["solver"] == "lcm"
    assert made[0][TURBO].facts["guidance"] is None


def test_people_learn_what_is_missing(made):
    assert NOT_DELIT in made[0][COLOUR].notice
    assert NOT_DELIT not in made[0][PBR].notice
    assert ON_PROCESSOR in made[0][PBR].notice


def test_progress_rises_to_all_of_its_steps(made):
    seen = made[1].seen
    done = [step for step, _ in seen]
    assert len({steps for _, steps in seen}) == 1
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1]
    assert len(set(done)) > 30


def test_same_seed_same_bytes(made):
    again, other = run(task(PBR, wishes={"upscale": True}), task(TURBO, seed=4))
    first = made[0][PBR].mesh
    assert np.array_equal(again.mesh.texture, first.texture)
    assert np.array_equal(again.mesh.metallic_roughness, first.metallic_roughness)
    assert np.array_equal(again.mesh.uv, first.uv)
    assert not np.array_equal(other.mesh.texture, made[0][TURBO].mesh.texture)


def test_what_is_needed_once_leaves_the_device_before_views_are_painted(watched):
    _, held = watched
    assert held[f"{PBR}/unet"] > 0
    assert held[f"{PBR}/reference"] == 0
    assert held["dinov2-giant/image_encoder"] == 0


def test_every_picture_of_the_object_counts(made):
    front, back = reference(), reference(180.0, (20, 60, 220))
    (several,) = run(task(TURBO, references=(front, back)))
    assert several.facts["references_deg"] == [0.0, 180.0]
    assert not np.array_equal(several.mesh.texture, made[0][TURBO].mesh.texture)


def test_pbr_describes_the_first_picture_alone(watched):
    (picture,), _ = watched
    assert picture[2, 2].tolist() == [255, 255, 255]
    assert picture[15, 24].tolist() == pytest.approx([200, 80, 40], abs=2)


def test_texture_coordinates_that_are_to_be_kept_are(made):
    layout = unwrap(box(), resolution=32, padding=4)
    (result,) = run(task(TURBO, layout=layout))
    assert np.array_equal(result.mesh.uv, layout.uv)
    assert np.array_equal(result.mesh.faces, layout.faces)
    assert result.facts["keeps_layout"] is True


def test_a_wish_to_stop_is_heard_between_steps(monkeypatch):
    calls = []
    forward = PaintUnet.forward

    def counted(self, *given):
        calls.append(given)
        return forward(self, *given)

    class StopsAfterTwoCalls(CountingSink):
        def is_canceled(self):
            return len(calls) >= 2

    monkeypatch.setattr(PaintUnet, "forward", counted)
    asked = task(TURBO)
    with pytest.raises(JobCanceled):
        run(replace(asked, wishes=replace(asked.wishes, steps=8)), sink=StopsAfterTwoCalls(10_000))
    assert len(calls) == 2


def test_one_that_cannot_be_painted_fails_alone():
    blank = reference()
    blank.picture.rgba[..., 3] = 0
    flat = TriangleMesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    unseen, no_area, good = run(
        task(TURBO, references=(blank,)), task(TURBO, mesh=flat), task(TURBO)
    )
    assert isinstance(unseen, FailedItem)
    assert isinstance(unseen.error, NoForeground)
    assert isinstance(no_area.error, UnusableMesh)
    assert good.mesh.texture.any()


def test_numbers_that_are_not_finite_are_no_texture(monkeypatch):
    def broken(self, latents, timestep, prepared):
        return torch.full_like(latents, torch.nan)

    monkeypatch.setattr(PaintUnet, "forward", broken)
    (result,) = run(task(TURBO))
    assert isinstance(result.error, PaintingFailed)


def test_keys_that_are_not_kept_change_nothing(monkeypatch, made):
    monkeypatch.setattr(paint_steps, "room_beside", lambda _: 0)
    (result,) = run(task(TURBO))
    first = made[0][TURBO].mesh.texture.astype(int)
    assert np.abs(result.mesh.texture.astype(int) - first).max() <= 1


def test_where_memory_runs_out_it_paints_without_kept_keys(monkeypatch, made):
    prepared, ways = paint_steps.prepared_rows, []

    def without_room(net, inputs, guidance, savings):
        ways.append(savings.kept_keys)
        if savings.kept_keys:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return prepared(net, inputs, guidance, savings)

    monkeypatch.setattr(paint_steps, "prepared_rows", without_room)
    (result,) = run(task(TURBO))
    assert ways == [True, False]
    first = made[0][TURBO].mesh.texture.astype(int)
    assert np.abs(result.mesh.texture.astype(int) - first).max() <= 1


def test_no_memory_at_all_is_told_and_gives_the_device_back(monkeypatch):
    def without_room(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(paint_steps, "prepared_rows", without_room)
    (outcome,) = run_items(lambda some: run(*some), [task(TURBO)], lambda: None)
    assert outcome.error.code == "out-of-memory"
    table = current_residency().manager().table
    assert not any(record.leases for record in table.records.values())


def test_pbr_without_what_it_needs_says_what_is_missing(elsewhere):
    write_tiny_paint(elsewhere / "own", TinyPaint.PBR, has_companions=False)
    accept_all(elsewhere)
    with pytest.raises(WeightsMissing, match="DINOv2"):
        run(task(PBR))
    assert "DINOv2" in Hunyuan3DPaint().available()
    write_tiny_dinov2(elsewhere / "own")
    assert Hunyuan3DPaint().available() is None


def test_light_is_taken_out_of_the_picture_first(elsewhere, monkeypatch, made):
    write_tiny_paint(elsewhere / "own", TinyPaint.TURBO)
    write_tiny_delight(elsewhere / "own")
    accept_all(elsewhere)
    monkeypatch.setattr(paint_delight, "STEPS", 2)
    monkeypatch.setattr(paint_delight, "SIDE_PX", 64)
    (result,) = run(task(TURBO))
    assert result.facts["delight"] == "hunyuan3d-delight-2.0"
    assert result.facts["stages_s"]["delight"] > 0
    assert NOT_DELIT not in result.notice
    assert not np.array_equal(result.mesh.texture, made[0][TURBO].mesh.texture)
    (left,) = run(task(TURBO, wishes={"delight": False}))
    assert np.array_equal(left.mesh.texture, made[0][TURBO].mesh.texture)


def test_it_is_the_first_choice_where_there_is_a_gpu():
    assert default_registry().names(Role.TEXTURE) == ["hunyuan3d_paint", "projection"]
    assert Hunyuan3DPaint().needs.is_too_slow_without_gpu


def test_jobs_of_other_effort_are_kept_apart():
    engine = Hunyuan3DPaint()
    plain, large = ImageTo3DParams(seed=1), ImageTo3DParams(seed=2, view_px=768)
    assert engine.cost_key(plain) != engine.cost_key(large)
    assert engine.batch_key(plain) == engine.batch_key(ImageTo3DParams(seed=9))


def test_each_stage_has_its_share_of_progress():
    effort = hunyuan3d_paint.effort_for(
        task(TURBO).wishes, hunyuan3d_paint.Settings.from_env(), on_gpu=False
    )
    portions = hunyuan3d_paint._Run(task(TURBO), effort, None).portions
    assert portions[DENOISE] == STEPS * hunyuan3d_paint.STEPS_OF_DENOISE
    assert portions["delight"] == portions["upscale"] == 0
