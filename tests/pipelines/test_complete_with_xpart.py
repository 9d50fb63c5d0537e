"""From a mesh to files through X-Part: tiny networks, whose parts fill their spaces."""

from __future__ import annotations

import json

import pytest
import trimesh

from backend.catalog import CompletePartsParams, CompletionEngine, Preset
from backend.engines.engine import Listing, Role
from backend.engines.registry import EngineRegistry
from backend.engines.xpart import NOTICE, XPart
from backend.meshes.source_glb import write_source_mesh
from backend.pipelines import growing_parts
from backend.pipelines.complete_parts import CompletePartsPipeline
from backend.pipelines.pipeline import PipelineRequest
from backend.residency.process import current_residency
from tests.engines.tiny_xpart import (
    fill_spaces,
    look_in,
    one_thread,  # noqa: F401
    write_weights,
)
from tests.meshes.source_shapes import three_balls
from tests.pipelines.scripted_parts import (
    ScriptedClosing,
    ScriptedSegmentation,
    small_pictures,  # noqa: F401
)
from tests.pipelines.test_image_to_3d import NotingSink


class ShowingSink(NotingSink):
    """Also keeps which parts each preview shows."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def artifact(self, name, role, path):
        super().artifact(name, role, path)
        if len(self.started) > 1:  # the first shows the mesh as it was given
            self.shown.append(sorted(trimesh.load(path).geometry))


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completed")
    write_source_mesh(three_balls(1), folder / "mesh.glb")
    (folder / "out").mkdir()
    registry = EngineRegistry(
        [
            Listing(Role.SEGMENTATION, ScriptedSegmentation(), 10),
            Listing(Role.COMPLETION, XPart(), 20),
            Listing(Role.COMPLETION, ScriptedClosing(), 10),
        ]
    )
    params = CompletePartsParams(
        seed=5, preset=Preset.DRAFT, completion="xpart", part_steps=3, part_cells=64
    )
    sink = ShowingSink()
    request = PipelineRequest({"mesh": folder / "mesh.glb"}, params, folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        look_in(write_weights(folder), patch)
        fill_spaces(patch)
        patch.setattr(growing_parts, "EVERY_S", 0.0)
        patch.setattr(growing_parts, "PAUSE_PER_WRITING", 0.0)
        outcome = CompletePartsPipeline(registry).run(request, sink)
        current_residency().close()
    return outcome, sink, folder / "out"


def test_the_best_engine_makes_the_parts_and_the_job_tells_how(completed):
    outcome, sink, out_dir = completed
    told = outcome.facts["completion"]
    assert sink.engines["completion"] == CompletionEngine.XPART
    assert told["methods"] == {"generated": 3}
    assert told["closed"] == 3
    assert (told["model"], told["steps"], told["cells"]) == ("x-part", 3, 64)
    assert any(NOTICE in warning for warning in sink.warnings)
    rows = json.loads((out_dir / "part_tree.json").read_text())["parts"]
    assert [row["method"] for row in rows] == ["generated"] * 3
    for row, part in zip(rows, trimesh.load(out_dir / "parts.glb").geometry.values(), strict=True):
        assert part.is_watertight
        assert row["volume"] == pytest.approx(part.volume, rel=1e-4)


def test_parts_are_shown_as_they_finish_and_every_file_is_listed_once(completed):
    outcome, sink, out_dir = completed
    assert sink.shown == [
        ["part_00", "part_03"],
        ["part_00", "part_01", "part_03"],
        ["part_00", "part_01", "part_02"],
    ]
    names = [file.name for file in outcome.outputs]
    assert len(names) == len(set(names))
    assert names.count("preview.glb") == 1
    assert {path.name for path in out_dir.iterdir()} == set(names)
