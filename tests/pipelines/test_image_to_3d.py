from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.catalog import BackSide, ImageTo3DParams, Preset, ShapeMode, StageName
from backend.errors import InvalidParameter, JobCanceled, NoForeground
from backend.meshes.export import reload_welded
from backend.pipelines.catalogue import run_pipeline
from backend.pipelines.image_to_3d import EFFORTS, effort_of
from backend.pipelines.pipeline import PipelineRequest
from backend.progress import SilentSink
from tests.conftest import draw_figure
from tests.pipelines.drawings import DRAWINGS, SIDE, plain

# Enough where the shape does not matter.
COARSE = {"grid_resolution": 64, "texture": False}


class NotingSink(SilentSink):
    """Keeps everything; says stop after a number of steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.started, self.finished, self.steps = [], [], []
        self.engines, self.artifacts, self.warnings = {}, {}, []
        self._stop_after = stop_after

    def stage_started(self, stage):
        self.started.append(stage)

    def stage_finished(self, stage, elapsed_s):
        self.finished.append((stage, elapsed_s))

    def stage_progress(self, stage, step, steps):
        self.steps.append((stage, step, steps))

    def engine_chosen(self, role, engine):
        self.engines[role] = engine

    def artifact(self, name, role, path):
        self.artifacts[name] = (role, path.stat().st_size)

    def warn(self, message):
        self.warnings.append(message)

    def is_canceled(self):
        return self._stop_after is not None and len(self.steps) >= self._stop_after


def run(image, folder, sink=None, mask=None, **params):
    folder.mkdir(exist_ok=True)
    image.save(folder / "input.png")
    inputs = {"image": folder / "input.png"}
    if mask is not None:
        mask.save(folder / "painted.png")
        inputs["mask"] = folder / "painted.png"
    out_dir = folder / "out"
    out_dir.mkdir()
    settings = ImageTo3DParams(**{"preset": Preset.DRAFT, "seed": 7} | params)
    outcome = run_pipeline(
        "image_to_3d", PipelineRequest(inputs, settings, out_dir), sink or NotingSink()
    )
    return outcome, {file.name: file for file in outcome.outputs}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    sink = NotingSink()
    outcome, files = run(draw_figure(), tmp_path_factory.mktemp("made") / "job", sink, size_m=2.0)
    return outcome, files, sink


def test_all_files_are_there_with_their_roles(made):
    _, files, _ = made
    assert {name: (file.format, file.role) for name, file in files.items()} == {
        "model.glb": ("glb", "model"),
        "model_obj.zip": ("obj", "model_obj"),
        "model.stl": ("stl", "model_stl"),
        "model.ply": ("ply", "model_ply"),
        "thumbnail.png": ("png", "thumbnail"),
        "mask.png": ("png", "mask"),
        "cutout.png": ("png", "cutout"),
        "preview.glb": ("glb", "preview"),
        "albedo.png": ("png", "albedo"),
        "normal.png": ("png", "normal"),
    }
    assert all(file.path.stat().st_size > 100 for file in files.values())


def test_every_mesh_file_is_closed_upright_and_of_the_size_asked_for(made):
    _, files, _ = made
    for name in ("model.glb", "preview.glb", "model.stl", "model.ply"):
        mesh = reload_welded(files[name].path)
        assert mesh.is_watertight, name
        assert mesh.volume > 0
        low, high = mesh.bounds
        assert high[1] - low[1] == pytest.approx(2.0, rel=1e-4)  # taller than wide
        assert low[1] == pytest.approx(0, abs=1e-5)
        assert (low + high)[[0, 2]] == pytest.approx([0, 0], abs=1e-4)
    with zipfile.ZipFile(files["model_obj.zip"].path) as archive:
        obj = trimesh.load(io.BytesIO(archive.read("model.obj")), file_type="obj", process=False)
    obj.merge_vertices(merge_tex=True, merge_norm=True)
    assert obj.is_watertight


def test_the_head_is_up_and_the_front_faces_plus_z(made):
    _, files, _ = made
    mesh = reload_welded(files["model.glb"].path)
    top = mesh.vertices[mesh.vertices[:, 1] > 1.9]
    bottom = mesh.vertices[mesh.vertices[:, 1] < 0.1]
    assert np.ptp(top[:, 0]) < np.ptp(bottom[:, 0])  # one head, two legs
    textured = trimesh.load(files["model.glb"].path, force="mesh", process=False)
    texture = np.asarray(textured.visual.material.baseColorTexture.convert("RGB")).astype(int)
    chest = np.flatnonzero(
        (np.abs(textured.vertices[:, 0]) < 0.1)
        & (np.abs(textured.vertices[:, 1] - 1.05) < 0.1)
        & (textured.vertices[:, 2] > 0.1)
    )
    u, v = textured.visual.uv[chest].T
    pixels = texture[((1 - v) * texture.shape[0]).astype(int), (u * texture.shape[1]).astype(int)]
    assert np.median(pixels, axis=0) == pytest.approx([40, 90, 200], abs=12)


def test_facts_are_plain_and_true(made):
    outcome, files, _ = made
    facts = outcome.facts
    assert facts["mask"]["method"] == "alpha"
    assert 0.15 < facts["mask"]["coverage"] < 0.3
    assert facts["shape"]["mode"] == "inflate"
    mesh = reload_welded(files["model.stl"].path)
    assert facts["mesh"]["faces"] == len(mesh.faces) <= 10_000
    assert facts["mesh"]["vertices"] == len(mesh.vertices)
    assert facts["mesh"]["volume_m3"] == pytest.approx(mesh.volume, rel=1e-3)
    assert facts["mesh"]["outline_iou"] > 0.97
    assert max(facts["texture"]["size_px"]) <= 513
    assert set(facts["timings_s"]) == set(StageName)


def test_stages_and_steps_are_reported_in_order(made):
    _, _, sink = made
    assert sink.started == list(StageName)
    assert [stage for stage, _ in sink.finished] == list(StageName)
    for stage in (StageName.SHAPE_GENERATION, StageName.MESH_REFINEMENT, StageName.MESH_EXPORT):
        steps = [(step, of) for name, step, of in sink.steps if name == stage]
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]
    assert sink.engines == {"background": "alpha", "shape": "inflate", "texture": "projection"}
    assert set(sink.artifacts) == {"mask.png", "cutout.png", "preview.glb"}
    assert any("depth is guessed" in warning for warning in sink.warnings)


def test_the_thumbnail_shows_the_model_on_nothing(made):
    _, files, _ = made
    image = np.asarray(Image.open(files["thumbnail.png"].path))
    assert image.shape == (512, 512, 4)
    assert image[0, 0, 3] == 0
    seen = image[image[..., 3] == 255]
    assert 0.1 < len(seen) / image[..., 3].size < 0.9
    assert seen[:, :3].std(axis=0).min() > 20


def test_same_seed_and_picture_give_the_same_bytes(made, tmp_path):
    _, files, _ = made
    _, again = run(draw_figure(), tmp_path / "again", size_m=2.0)
    for name in ("model.stl", "model.glb", "model.ply", "mask.png", "model_obj.zip"):
        assert files[name].path.read_bytes() == again[name].path.read_bytes(), name


def test_without_texture_the_model_is_plain(tmp_path):
    outcome, files = run(draw_figure(), tmp_path / "job", texture=False)
    mesh = trimesh.load(files["model.glb"].path, force="mesh", process=False)
    assert mesh.visual.material.baseColorTexture is None
    assert mesh.is_watertight
    assert outcome.facts["texture"] == {"size_px": None, "back_side": None}


def test_a_painted_mask_overrides_the_picture(tmp_path):
    painted = Image.new("L", (128, 128))
    painted.paste(255, (40, 40, 90, 120))
    sink = NotingSink()
    outcome, files = run(draw_figure(), tmp_path / "job", sink, mask=painted, **COARSE)
    assert outcome.facts["mask"]["method"] == "painted"
    assert outcome.facts["mask"]["confidence"] == 1
    assert outcome.facts["mask"]["coverage"] == pytest.approx(50 * 80 / 128**2, rel=0.02)
    assert "background" not in sink.engines
    mask = np.asarray(Image.open(files["mask.png"].path))
    assert set(np.unique(mask)) == {0, 255}


def test_parameters_win_over_the_preset(tmp_path):
    outcome, _ = run(
        draw_figure(),
        tmp_path / "job",
        shape_mode=ShapeMode.SLAB,
        grid_resolution=64,
        target_faces=900,
        texture_size_px=256,
        back_side=BackSide.MIRROR,
    )
    assert outcome.facts["shape"]["mode"] == "slab"
    assert outcome.facts["mesh"]["faces"] <= 1000
    assert max(outcome.facts["texture"]["size_px"]) <= 257
    assert outcome.facts["texture"]["back_side"] == "mirror"


def test_presets_spend_more_and_more():
    efforts = [EFFORTS[preset] for preset in (Preset.DRAFT, Preset.STANDARD, Preset.HIGH)]
    for field in ("working_px", "resolution", "faces", "texture_px"):
        values = [getattr(effort, field) for effort in efforts]
        assert values == sorted(set(values))
    assert effort_of(ImageTo3DParams(preset=Preset.HIGH, target_faces=500)).faces == 500


def test_no_object_is_told_as_such(tmp_path):
    for name, image in {
        "blank": plain(200, 200, 200),
        "transparent": Image.new("RGBA", (SIDE, SIDE)),
    }.items():
        with pytest.raises(NoForeground):
            run(image, tmp_path / name)


@pytest.mark.parametrize("stop_after", [1, 3, 6, 9])
def test_a_canceled_job_stops_at_the_next_step(tmp_path, stop_after):
    sink = NotingSink(stop_after)
    with pytest.raises(JobCanceled):
        run(draw_figure(), tmp_path / "job", sink)
    assert len(sink.steps) == stop_after


def test_an_unsure_mask_is_told(tmp_path):
    sink = NotingSink()
    outcome, _ = run(DRAWINGS["cluttered"]()[0], tmp_path / "job", sink, **COARSE)
    assert outcome.facts["mask"]["confidence"] < 0.6
    assert any("check the mask" in warning for warning in sink.warnings)


def test_several_bodies_are_told(tmp_path):
    pair = Image.new("RGBA", (SIDE, SIDE))
    pair.paste((200, 0, 0, 255), (20, 20, 100, 200))
    pair.paste((0, 0, 200, 255), (150, 60, 240, 240))
    sink = NotingSink()
    run(pair, tmp_path / "job", sink, **COARSE)
    assert any("2 separate bodies" in warning for warning in sink.warnings)
    assert not any("check the mask" in warning for warning in sink.warnings)


def test_an_unknown_pipeline_is_refused(tmp_path):
    request = PipelineRequest({}, ImageTo3DParams(seed=0), tmp_path)
    with pytest.raises(InvalidParameter):
        run_pipeline("image_to_4d", request, SilentSink())
