from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.catalog import PIPELINES, ImageToPartsParams, PipelineName, Preset
from backend.engines.builtin import default_registry
from backend.engines.engine import Listing, Role
from backend.engines.part_tasks import FoundParts
from backend.engines.registry import EngineRegistry
from backend.meshes.parts.part_tree import PartTree
from backend.meshes.reading.read_mesh import read_mesh
from backend.pipelines.catalogue import batched_stages
from backend.pipelines.image_to_3d import own_params
from backend.pipelines.image_to_parts import ImageToPartsPipeline
from backend.pipelines.pipeline import PipelineRequest
from tests.conftest import draw_figure
from tests.pipelines.scripted_parts import ScriptedEngine
from tests.pipelines.test_image_to_3d import NotingSink


class ScriptedWaist(ScriptedEngine):
    """Cuts at half the height."""

    name = "scripted_waist"
    title = "Scripted"

    def run(self, batch, progress):
        return [FoundParts(self.tree(task.mesh)) for task in batch]

    def tree(self, mesh):
        heights = mesh.vertices[mesh.faces].mean(axis=1)[:, 1]
        upper = (heights > heights.max() / 2).astype(np.int32)
        merges, costs = np.array([[0, 1]], dtype=np.int32), np.ones(1, dtype=np.float32)
        return PartTree(upper, 2, merges, costs, suggested=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    draw_figure().save(folder / "input.png")
    (folder / "out").mkdir()
    known = default_registry()
    listings = [
        Listing(role, engine, rank=-number)
        for role in Role
        for number, engine in enumerate(known.engines(role))
        if role is not Role.SEGMENTATION
    ]
    registry = EngineRegistry([*listings, Listing(Role.SEGMENTATION, ScriptedWaist(), 99)])
    params = ImageToPartsParams(preset=Preset.DRAFT, seed=7, size_m=2.0)
    request = PipelineRequest({"image": folder / "input.png"}, params, folder / "out")
    sink = NotingSink()
    outcome = ImageToPartsPipeline(registry).run(request, sink)
    return outcome, {file.name: file for file in outcome.outputs}, sink


def test_it_is_one_job_with_one_list_of_stages(made):
    outcome, _, sink = made
    stages = [*PIPELINES[PipelineName.IMAGE_TO_PARTS].stages]
    assert sink.started == stages
    assert [*outcome.facts["timings_s"]] == stages
    export = [step for stage, *step in sink.steps if stage == "mesh_export"]
    assert {steps for _, steps in export} == {20}, "one bar for all files"
    done = [step for step, _ in export]
    assert done == sorted(set(done))
    assert (10 in done, done[-1]) == (True, 20)


def test_the_model_and_its_closed_parts_are_there(made):
    outcome, files, sink = made
    assert "Cuts are closed flat; hidden surfaces are not reconstructed." in sink.warnings
    assert {"model.glb", "model.stl", "thumbnail.png", "mask.png", "preview.glb"} <= set(files)
    assert {"parts.glb", "exploded.glb", "part_00.stl", "part_tree.json"} <= set(files)
    assert files["parts_thumbnail.png"].role == "parts_thumbnail"
    assert len(files) == len({file.path for file in files.values()})
    assert outcome.facts["completion"] | {"engine": ""} == {
        "engine": "", "closed": 2, "methods": {"cap": 2}, "notices": {}
    }  # fmt: skip
    halves = [trimesh.load(files[f"part_0{part}.stl"].path) for part in (0, 1)]
    for half in halves:
        half.merge_vertices()
        assert half.is_watertight
    whole = outcome.facts["mesh"]["volume_m3"]
    assert sum(half.volume for half in halves) == pytest.approx(whole, rel=0.03)


def test_parts_show_the_texture_of_the_model(made):
    _, files, _ = made
    model, parts = (read_mesh(files[name].path) for name in ("model.glb", "parts.glb"))
    images = [
        [np.asarray(Image.open(io.BytesIO(data))).astype(int) for data in encoded]
        for encoded in (
            {look.texture.data for look in mesh.materials if look.texture}
            for mesh in (model, parts)
        )
    ]
    assert [len(found) for found in images] == [1, 1]
    assert np.abs(images[0][0] - images[1][0]).mean() < 3, "encoded with another quality"
    for mesh in (model, parts):  # the same place has the same coordinate in the texture
        mesh_uv = dict(zip(map(bytes, mesh.vertices), mesh.uvs.tolist(), strict=True))
        if mesh is model:
            known = mesh_uv
    shared = set(known) & set(mesh_uv)
    assert len(shared) > 0.9 * len(known)
    apart = [np.abs(np.subtract(known[key], mesh_uv[key])).max() for key in shared]
    assert np.mean(np.array(apart) < 1e-4) > 0.95, "but on the seam, where there are two"


def test_parameters_of_both_are_taken():
    params = ImageToPartsParams(part_count=4, size_m=0.5)
    assert own_params(params).size_m == 0.5
    assert batched_stages("image_to_parts", params) == []
