"""The engine on tiny random weights in the published layout: its shapes are noise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from backend.batch_processor import run_engine
from backend.catalog import FieldDecoder, ImageTo3DParams, Preset, ShapeMode
from backend.engines import model_networks, native_shape, shape_steps
from backend.engines.engine import FailedItem
from backend.engines.hunyuan3d import DECODE_PARTS, FRONT_ONLY, Hunyuan3D
from backend.engines.model_networks import networks_of
from backend.engines.native_shape import with_sides
from backend.engines.shape_model_choice import effort_for
from backend.engines.shape_steps import CUT_OFF, ShapeSteps
from backend.engines.shape_task import NetworkWishes, ShapeTask
from backend.errors import (
    CheckpointConfigInvalid,
    EngineUnavailable,
    JobCanceled,
    LicenceNotAccepted,
    NoSurfaceFound,
)
from backend.models.checkpoints.acceptance import FILE_NAME, Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Component
from backend.models.hunyuan3d.volume_decoding import flash_grid
from backend.models.quantised_linear import quantised
from backend.progress import StageProgress
from backend.residency import process
from backend.residency.controls import offload
from backend.residency.ledger_device import LedgerDevice
from backend.residency.process import ProcessResidency, current_residency
from backend.settings import Settings
from backend.units import SystemClock
from tests.engines.counting_sink import CountingSink
from tests.models.checkpoints.tiny_checkpoints import (
    TINY_FOLDERS,
    TINY_IDS,
    TinyFamily,
    write_tiny_checkpoint,
    write_tiny_repository,
)

CELLS, STEPS = 24, 4


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny networks only wait for threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=list(TinyFamily))
def model(request, tmp_path, monkeypatch):
    """A server with one tiny model; returns its name."""
    for name, folder in (
        ("MESHKILN_DATA_DIR", "data"),
        ("MESHKILN_MODEL_PATH", "own"),
        ("HY3DGEN_MODELS", "authors"),
        ("HF_HUB_CACHE", "cache"),
    ):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(process, "_current", None)
    write_tiny_repository(tmp_path / "own", request.param)
    name = TINY_IDS[request.param]
    Acceptances(tmp_path / "data" / "models", SystemClock()).accept(model_of(name))
    yield name
    current_residency().close()


only_first = pytest.mark.parametrize("model", [TinyFamily.FLUX], indirect=True)


def task(seed=1, **changes):
    """A disc in a picture that is wider than high."""
    y, x = np.mgrid[0:60, 0:80]
    mask = (x - 30) ** 2 + (y - 25) ** 2 < 400
    rgb = np.dstack([x * 3, y * 4, x + y]).astype(np.uint8)
    rgba = np.dstack([rgb, 255 * mask.astype(np.uint8)])
    wishes = NetworkWishes(Preset.DRAFT, steps=STEPS, cells=CELLS)
    made = ShapeTask(rgb, mask, ShapeMode.AUTO, 96, seed=seed, views={"front": rgba}, wishes=wishes)
    return replace(made, **changes)


class SilentTell:
    def step(self, done, steps):
        pass

    def decode(self, item, share):
        pass


def run(*tasks, sink=None):
    return Hunyuan3D().run(tasks, StageProgress(sink or CountingSink(10_000), "shape_generation"))


def test_a_picture_becomes_a_closed_surface_where_the_object_was(model):
    (shape,) = run(task())
    assert shape.mesh.is_closed()
    assert shape.mesh.volume() > 0
    low, high = shape.mesh.vertices.min(axis=0), shape.mesh.vertices.max(axis=0)
    assert (low + high)[:2] / 2 == pytest.approx([30, 25], abs=0.6)
    assert max(high[:2] - low[:2]) == pytest.approx(39, abs=1)
    assert not shape.follows_outline
    assert shape.mode is None


@only_first
def test_who_is_cut_off_at_the_border_is_told_so(model):
    assert run(task())[0].notice == CUT_OFF  # noise fills all of its grid


def test_the_job_learns_what_it_was_made_with(model):
    facts = run(task())[0].facts
    assert facts["model"] == model
    assert (facts["steps"], facts["cells"], facts["views"]) == (STEPS, CELLS, ["front"])
    assert facts["precision"] == "float32"


def test_one_seed_one_shape_in_whatever_batch(model):
    alone, other = run(task(seed=1))[0], run(task(seed=2))[0]
    beside, again = run(task(seed=2), task(seed=1))
    assert not np.array_equal(alone.mesh.vertices, other.mesh.vertices)
    assert again.mesh.volume() == pytest.approx(alone.mesh.volume(), rel=1e-3)
    assert beside.mesh.volume() == pytest.approx(other.mesh.volume(), rel=1e-3)


def test_tasks_that_differ_in_their_wishes_come_back_in_order(model):
    finer = replace(task().wishes, cells=32)
    shapes = run(task(), task(wishes=finer), task())
    assert [shape.facts["cells"] for shape in shapes] == [CELLS, 32, CELLS]
    assert shapes[0].mesh.volume() == pytest.approx(shapes[2].mesh.volume(), rel=1e-3)


def test_progress_rises_from_step_to_step_up_to_all_of_them(model):
    sink = CountingSink(10_000)
    run(task(), task(seed=3), sink=sink)
    done = [step for step, _ in sink.seen]
    total = STEPS + 2 * DECODE_PARTS
    assert {steps for _, steps in sink.seen} == {total}
    assert done == sorted(done)
    assert done[-1] == total
    assert len(set(done)) > STEPS


@only_first
def test_the_flash_decoder_closes_its_surface_too(model, monkeypatch):
    """On two grids, as with the sizes that people ask for."""
    monkeypatch.setattr(native_shape, "flash_grid", partial(flash_grid, coarsest_cells=15))
    wishes = replace(task().wishes, decoder=FieldDecoder.FLASH, cells=32)
    sink = CountingSink(10_000)
    (shape,) = run(task(wishes=wishes), sink=sink)
    assert shape.mesh.is_closed()
    assert shape.facts["decoder"] == "flash"
    done = [step for step, _ in sink.seen]
    assert done == sorted(done)  # though it learns of more to ask on each finer grid


def test_what_was_not_asked_is_on_the_side_of_its_neighbours():
    nan = torch.nan
    row = torch.tensor([[nan, nan, -0.3, 0.4, nan, 0.2, -0.1, nan]]).repeat(2, 1)[None]
    expected = torch.tensor([-1, -1, -0.3, 0.4, 1, 0.2, -0.1, -1])
    assert torch.equal(with_sides(row)[0, 1], expected)


@only_first
@pytest.mark.parametrize("after", [1, STEPS, STEPS + 3])
def test_it_stops_within_a_step_of_being_asked(model, after):
    with pytest.raises(JobCanceled):
        run(task(), sink=CountingSink(after))
    assert run(task())[0].mesh.is_closed()  # and no network stays leased


@only_first
def test_each_network_is_known_to_the_residency_by_name_and_leased_no_more(model):
    run(task())
    models = {one["name"]: one for one in current_residency().status()["models"]}
    assert models.keys() == {f"{model}/{part}" for part in ("conditioner", "denoiser", "vae")}
    assert {one["leases"] for one in models.values()} == {0}


@only_first
def test_weights_that_came_in_the_place_of_others_are_loaded(model, tmp_path):
    """And what was made with the old ones is not taken for the new ones' work."""
    before = run(task())[0]
    assert networks_of(model) is networks_of(model)
    folder = tmp_path / "own" / TINY_FOLDERS[TinyFamily.FLUX]

    def upside_down(state):
        for name in ("weight", "bias"):
            state[f"vae.geo_decoder.output_proj.{name}"] *= -1

    write_tiny_checkpoint(folder, TinyFamily.FLUX, change_state=upside_down)
    after = run(task())[0]
    assert not np.array_equal(before.mesh.vertices, after.mesh.vertices)
    models = {one["name"]: one for one in current_residency().status()["models"]}
    assert {one["leases"] for one in models.values()} == {0}
    assert np.array_equal(run(task())[0].mesh.vertices, after.mesh.vertices)


@only_first
def test_a_licence_that_is_no_longer_accepted_stops_a_loaded_model(model, tmp_path):
    run(task())
    (tmp_path / "data" / "models" / FILE_NAME).unlink()
    with pytest.raises(EngineUnavailable, match="licence"):
        run(task())
    with pytest.raises(LicenceNotAccepted):
        run(task(wishes=replace(task().wishes, model=model)))


@only_first
def test_weights_that_were_written_to_survive_the_way_to_host_memory(model, monkeypatch):
    """As those of who merges an adapter; a buffer made in inference mode would refuse them."""
    residency = ProcessResidency(Settings.from_env(), select=lambda _: LedgerDevice(2**30))
    monkeypatch.setattr(process, "_current", residency)
    run(task())
    networks = networks_of(model)
    with networks.lease(Component.DENOISER) as network:
        weight = next(network.parameters())
        weight.fill_(3)
    offload(residency.manager())
    with networks.lease(Component.DENOISER):
        assert float(weight.mean()) == 3


@only_first
def test_a_description_without_the_number_of_latents_is_named(model, tmp_path):
    folder = tmp_path / "own" / TINY_FOLDERS[TinyFamily.FLUX]
    write_tiny_checkpoint(
        folder, change_config=lambda config: config["vae"]["params"].pop("num_latents")
    )
    with pytest.raises(CheckpointConfigInvalid, match="num_latents"):
        run(task())


@only_first
def test_weights_of_8_bits_make_nearly_the_same_shape(model, monkeypatch):
    exact = run(task())[0]
    monkeypatch.setenv("MESHKILN_WEIGHTS", "int8")
    every_layer = partial(quantised, fewest_weights=1)
    monkeypatch.setattr(model_networks, "quantised", every_layer)
    rounded = run(task())[0]
    assert rounded.facts["precision"] == "float32, weights int8"
    assert rounded.mesh.is_closed()
    assert not np.array_equal(rounded.mesh.vertices, exact.mesh.vertices)
    assert rounded.mesh.volume() == pytest.approx(exact.mesh.volume(), rel=0.1)


@only_first
def test_a_processor_computes_in_bf16_if_asked_but_decodes_in_full(model, monkeypatch):
    exact = run(task())[0]
    monkeypatch.setenv("MESHKILN_PRECISION", "bf16")
    rounded = run(task())[0]
    assert rounded.facts["precision"] == "bfloat16, decoder float32"
    assert rounded.mesh.volume() == pytest.approx(exact.mesh.volume(), rel=0.1)


@only_first
def test_more_steps_than_a_distilled_model_knows_times_are_made(model, tmp_path, monkeypatch):
    write_tiny_repository(tmp_path / "own", TinyFamily.FLUX_TURBO)
    wishes = replace(task().wishes, model=TINY_IDS[TinyFamily.FLUX_TURBO], steps=101)
    (shape,) = run(task(wishes=wishes))
    assert shape.facts["steps"] == 101


@only_first
def test_without_a_multi_view_model_the_front_is_used_and_that_is_said(model):
    rgba = task().views["front"]
    alone, several = run(task(), task(views={"front": rgba, "back": 255 - rgba}))
    assert several.facts["views"] == ["front"]
    assert np.allclose(several.mesh.vertices, alone.mesh.vertices, atol=1e-2)
    assert several.notice.startswith(FRONT_ONLY)
    assert FRONT_ONLY not in alone.notice
    asked = replace(task().wishes, model=model)
    with pytest.raises(EngineUnavailable):
        run(task(views={"front": rgba, "back": rgba}, wishes=asked))


@only_first
def test_views_count_from_the_side_that_they_show_in_whatever_order_they_come(model, tmp_path):
    """And tasks with other views share the batch, though not the pass."""

    def for_views(config):
        config["conditioner"]["params"]["main_image_encoder"]["type"] = "DinoImageEncoderMV"
        config["image_processor"]["target"] = "hy3dgen.shapegen.preprocessors.MVImageProcessorV2"

    write_tiny_checkpoint(tmp_path / "own" / "hunyuan3d-dit-v2-mv", change_config=for_views)
    front = task().views["front"]
    other = np.ascontiguousarray(front[:, ::-1] // 2 + front // 2)
    wishes = replace(task().wishes, model="hunyuan3d-2mv")

    def volumes(*several):
        shapes = run(*(task(views=views, wishes=wishes) for views in several))
        return [shape.mesh.volume() for shape in shapes]

    both, turned, behind, alone = volumes(
        {"front": front, "left": other},
        {"left": other, "front": front},
        {"front": front, "back": other},
        {"front": front},
    )
    assert turned == pytest.approx(both, rel=1e-3)
    assert len({round(one, 1) for one in (both, behind, alone)}) == 3
    assert volumes({"front": front})[0] == pytest.approx(alone, rel=1e-3)


@only_first
def test_every_network_is_promised_the_memory_that_its_work_takes(model):
    """In proportion to the pictures, and to the cells."""
    steps = ShapeSteps(effort_for(task().wishes, model_of(model)), SilentTell())
    one, _ = steps.prepared([task()])
    three, _ = steps.prepared([task()] * 3)
    assert 0 < 3 * steps._encode_bytes(one) == steps._encode_bytes(three)
    assert steps._encode_bytes(one) > one.nbytes
    assert steps._decode_bytes() > 4 * (CELLS + 1) ** 3


@only_first
def test_one_of_a_batch_without_a_surface_costs_the_others_no_second_run(model, monkeypatch):
    decode, decoded = shape_steps.decoded_mesh, []

    def second_is_empty(*given):
        decoded.append(given)
        if len(decoded) == 2:
            raise NoSurfaceFound("Empty.")
        return decode(*given)

    monkeypatch.setattr(shape_steps, "decoded_mesh", second_is_empty)
    tasks = [task(seed) for seed in (1, 2, 3)]
    first, empty, third = run(*tasks)
    assert isinstance(empty, FailedItem)
    assert isinstance(empty.error, NoSurfaceFound)
    assert len(decoded) == 3
    assert min(len(first.mesh.faces), len(third.mesh.faces)) > 0
    decoded[:] = [None]
    with pytest.raises(NoSurfaceFound):
        run_engine(Hunyuan3D(), tasks[0], StageProgress(CountingSink(10_000), "shape_generation"))


@only_first
def test_networks_take_turns_on_a_device_that_holds_only_one_of_them(model, monkeypatch):
    monkeypatch.setattr(ShapeSteps, "_encode_bytes", lambda *_: 0)
    monkeypatch.setattr(ShapeSteps, "_denoise_bytes", lambda *_: 0)
    monkeypatch.setattr(ShapeSteps, "_decode_bytes", lambda _: 0)
    run(task())
    networks = networks_of(model)
    sizes = []
    for component in networks.checkpoint.components:
        with networks.lease(component) as network:
            sizes.append(sum(one.nbytes for one in network.parameters()))
    room = int(1.25 * max(sizes))  # and what aligning them takes
    assert sum(sizes) > room

    residency = ProcessResidency(Settings.from_env(), select=lambda _: LedgerDevice(room))
    residency.change_rules(margin_bytes=0, fraction=1.0)
    monkeypatch.setattr(process, "_current", residency)
    assert run(task())[0].mesh.is_closed()
    assert sum(one["evictions"] for one in residency.status()["models"]) >= 1


def test_tasks_are_batched_by_all_parameters_but_the_seed():
    engine = Hunyuan3D()
    one, other = ImageTo3DParams(seed=1), ImageTo3DParams(seed=2)
    assert engine.batch_key(one) == engine.batch_key(other)
    assert engine.batch_key(one) != engine.batch_key(ImageTo3DParams(steps=5))
    assert engine.cost_key(one) != engine.cost_key(ImageTo3DParams(steps=5))
