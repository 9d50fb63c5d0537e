"""The comparison with recorded tensors: what it finds, and folders that are not complete."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from skimage.measure import marching_cubes

from backend.meshes.isosurface.surface import extract_surface
from bench.parity import __main__ as parity
from bench.parity import comparison
from bench.parity.golden_folder import CONFIGS, golden_files
from bench.parity.surfaces import RecordedGrid, surface_comparisons
from tests.models.golden_files import PART, SHAPE, TEXTURE


@pytest.fixture
def folder(tmp_path):
    shutil.copy(SHAPE / CONFIGS, tmp_path)
    return tmp_path


def put(folder, name, change=lambda tensors: None, called=None):
    """Put a recorded file into the folder, changed, under its own name or another."""
    tensors = load_file(SHAPE / f"{name}.safetensors")
    change(tensors)
    save_file(tensors, folder / f"{called or name}.safetensors")
    own = SHAPE / f"{name}.config.json"
    if own.is_file():
        shutil.copy(own, folder)


def compared(folder):
    return {one.name: one for one in parity.comparisons(folder)}


def run(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["parity", str(folder)])
    return parity.main()


@pytest.mark.parametrize(
    "name",
    ["cond_dino_swiglu", "dit20_guidance", "dit21", "pipeline20_turbo", "preprocess", "schedulers"],
)
def test_every_recorded_tensor_has_a_line_and_holds(folder, name):
    put(folder, name)
    found = compared(folder)
    assert all(one.holds for one in found.values())
    (file,) = golden_files(folder)
    for tensor in file.recorded:
        assert any(line.split(",")[0] == f"{name} {tensor}" for line in found)


@pytest.mark.parametrize(
    "name",
    [
        "p3sam_heads_tiny",
        "p3sam_postprocess_holes",
        "sonata_tiny",
        "xpart_conditioner_tiny",
        "xpart_dit_tiny",
        "xpart_vae_tiny",
    ],
)
def test_every_recorded_tensor_of_networks_for_parts_has_a_line_and_holds(tmp_path, name):
    """Under another name too: what is in a file tells what it is."""
    shutil.copy(PART / f"{name}.safetensors", tmp_path / "other.safetensors")
    found = compared(tmp_path)
    assert [one for one in found.values() if not one.holds] == []
    (file,) = golden_files(tmp_path)
    assert file.recorded
    for tensor in file.recorded:
        assert any(line.split(",")[0] == f"other {tensor}" for line in found)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_every_recorded_tensor_of_textures_has_a_line_and_holds(tmp_path):
    """Views that are chosen are looked at elsewhere, as this takes seconds."""
    views = load_file(TEXTURE / "render.safetensors")
    del views["viewsel.elev_azim"]
    save_file(views, tmp_path / "mesh.safetensors")
    shutil.copy(TEXTURE / "sched.safetensors", tmp_path / "way.safetensors")
    found = compared(tmp_path)
    assert [one for one in found.values() if not one.holds] == []
    for file in golden_files(tmp_path):
        assert file.recorded
        for tensor in file.recorded:
            assert any(line.split(",")[0] == f"{file.name} {tensor}" for line in found)


def test_a_network_that_paints_holds_and_its_reference_is_missed(tmp_path):
    """The file that is kept here holds what the reference network gave, not its weights."""
    shutil.copy(TEXTURE / "unet21_tiny.safetensors", tmp_path / "other.safetensors")
    found = compared(tmp_path)
    failures = {name for name, one in found.items() if not one.holds}
    assert failures == {name for name in found if name.startswith("other ref.")}
    assert len(failures) == 7
    assert {"other out.full, all savings", "other vox21.768", "other w"} <= found.keys()


def test_more_pixels_of_another_face_than_ties_explain_do_not_hold(tmp_path):
    tensors = load_file(TEXTURE / "render.safetensors")
    kept = ("mesh", "cam", "view4.findices", "view4.position_u8")
    tensors = {name: tensors[name] for name in tensors if name.startswith(kept)}
    shown = tensors["view4.findices"].view(-1)
    shown[shown > 0] = shown[shown > 0].roll(1)
    tensors["view4.position_u8"] = (tensors["view4.position_u8"].int() - 2).clamp(0).byte()
    save_file(tensors, tmp_path / "some.safetensors")
    failures = {name for name, one in compared(tmp_path).items() if not one.holds}
    assert failures == {"some view4.findices", "some view4.position_u8"}


def test_a_grid_of_parts_is_told_by_its_content_and_other_counts_do_not_hold(tmp_path):
    source = PART / "volume_decode_analytic_256.safetensors"
    tensors = load_file(source)
    tensors["query_calls"][-1] += 1
    with safe_open(source, "pt") as opened:
        noted = opened.metadata()
    save_file(tensors, tmp_path / "some.safetensors", noted)
    failures = {name for name, one in compared(tmp_path).items() if not one.holds}
    assert failures == {"some query_calls"}


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("sonata_tiny", "mid.enc2.serialized_order_shuffled"),
        ("sonata_tiny", "transform.inverse"),
        ("p3sam_postprocess_post", "out.face_ids"),
        ("p3sam_postprocess_nopost", "out.aabb"),
        ("xpart_dit_tiny", "mid.block5.moe.topk_idx"),
    ],
)
def test_whole_numbers_and_boxes_may_not_differ_at_all(tmp_path, name, tensor):
    source = PART / f"{name}.safetensors"
    tensors = load_file(source)
    first = tensors[tensor].view(-1)
    first[0] = first[0] + (1e-9 if first.dtype.is_floating_point else 1)
    with safe_open(source, "pt") as opened:
        save_file(tensors, tmp_path / "some.safetensors", opened.metadata())
    line = compared(tmp_path)[f"some {tensor}"]
    assert not line.holds
    assert line.deviation > 0


def test_a_share_of_the_value_may_be_tolerated_too():
    expected = torch.tensor([0.0, 1000.0])
    for error, holds in (((0.0, 0.09), True), ((0.0, 0.11), False), ((2e-5, 0.0), False)):
        line = comparison.compared(
            "x", expected + torch.tensor(error), expected, 1e-5, relative=1e-4
        )
        assert line.holds is holds


def test_a_folder_without_anything_else_ends_well(folder, monkeypatch, capsys):
    put(folder, "preprocess")
    assert run(folder, monkeypatch) == 0
    assert "5 compared, 0 beyond" in capsys.readouterr().out


def test_a_tensor_beyond_its_tolerance_ends_with_1(folder, monkeypatch, capsys):
    def a_little_more(tensors):
        tensors["out"][0, 0, 0] += 1.5e-4

    put(folder, "dit21", a_little_more)
    assert run(folder, monkeypatch) == 1
    shown = capsys.readouterr().out
    assert "BEYOND dit21 out: 1." in shown
    assert "ok     dit21 mid.block4" in shown


def test_nothing_to_compare_ends_with_2(tmp_path, monkeypatch, capsys):
    assert run(tmp_path / "nowhere", monkeypatch) == 2
    assert "holds no recorded tensors" in capsys.readouterr().out


def test_what_cannot_be_compared_is_told_and_the_rest_goes_on(folder):
    put(folder, "preprocess", lambda tensors: tensors.update({"out.new": torch.ones(1)}))
    put(folder, "dit20", lambda tensors: tensors.pop("in.t"))
    put(folder, "dit21", called="dit99")
    (folder / "vae20.safetensors").write_bytes(b"no tensors")
    found = compared(folder)
    failures = {name for name, one in found.items() if not one.holds}
    assert {"preprocess out.new", "vae20", "dit99", "dit20, the rest of it"} <= failures
    assert "in.t" in found["dit20, the rest of it"].note
    assert found["preprocess out.image"].holds


def test_only_some_tensors_of_a_file_are_enough(folder):
    def fewer(tensors):
        for name in ("mid.image", "mid.kv", "mid.latents_per_step", "out.mc_faces", "out.mc_level"):
            del tensors[name]

    put(folder, "pipeline20", fewer)
    put(folder, "dit21", lambda tensors: [tensors.pop(f"mid.{n}") for n in ("t_emb", "block0")])
    found = compared(folder)
    assert all(one.holds for one in found.values())
    assert {"pipeline20 out.mc_verts", "pipeline20 out.latents, all savings"} <= found.keys()


def test_other_guidance_is_read_from_what_was_noted(folder):
    put(folder, "pipeline20")
    noted = json.loads((folder / CONFIGS).read_text())
    noted["pipeline20"]["guidance_scale"] = 4.0
    (folder / CONFIGS).write_text(json.dumps(noted))
    assert not compared(folder)["pipeline20 out.latents, all savings"].holds


def test_other_ways_to_fill_a_grid_are_known_by_their_names(folder):
    def renamed(tensors):
        for name in [name for name in tensors if name.startswith("out.")]:
            if name not in ("out.vanilla16", "out.logits"):
                del tensors[name]
        coarse = tensors["out.vanilla16"]
        tensors["out.hierarchical16_min16"] = coarse.clone()
        tensors["out.vanilla8"] = coarse[:, ::2, ::2, ::2].contiguous()

    put(folder, "vae20", renamed)
    found = compared(folder)
    assert all(one.holds for one in found.values())
    assert {"vae20 out.hierarchical16_min16", "vae20 out.vanilla8"} <= found.keys()


def test_faces_that_join_other_corners_are_found():
    values = torch.randn(9, 9, 9, generator=torch.Generator().manual_seed(0))
    grid = RecordedGrid(values, 8)
    own = extract_surface(values, (0.0,) * 3, (8.0,) * 3, closed=False)
    recorded = {"verts": grid.published(own.vertices), "faces": own.faces.flip(1)}
    assert all(one.holds for one in surface_comparisons("same", grid, recorded))

    for changed in (
        recorded | {"faces": own.faces},  # turned
        recorded | {"faces": own.faces.flip(1)[20:]},  # some are missing
        recorded | {"faces": own.faces.flip(1).roll(1, dims=0) % 100},  # other corners
        recorded | {"verts": recorded["verts"] + 0.01},
    ):
        assert not all(one.holds for one in surface_comparisons("other", grid, changed))
    other = replace(grid, level=0.2)
    assert not all(one.holds for one in surface_comparisons("other level", other, recorded))


@pytest.mark.parametrize("missing", [0.0, 0.03])
def test_surfaces_of_another_program_hold_wherever_all_was_asked(missing):
    """It draws corners that are nowhere beside what was not asked, and some inside of cells."""
    random = torch.Generator().manual_seed(2)
    values = torch.randn(13, 13, 13, generator=random)
    values[torch.rand(13, 13, 13, generator=random) < missing] = torch.nan
    corners, faces, *_ = marching_cubes(values.numpy(), 0.0, method="lewiner")
    grid = RecordedGrid(values, wanted_cells=16)
    verts = grid.published(torch.from_numpy(corners.copy()))
    recorded = {"verts": verts, "faces": torch.from_numpy(faces.copy())}
    assert all(one.holds for one in surface_comparisons("noise", grid, recorded))
    assert bool(verts.isnan().any()) is (missing > 0)
