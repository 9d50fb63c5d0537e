"""A point of a mesh to its part, on tiny random weights: masks are noise unless they are given."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from backend.catalog import PIPELINES, PartAtPointParams, PipelineName
from backend.engines import point_prompt
from backend.engines.cloud_features import features_for, forget_features
from backend.engines.model_networks import networks_of
from backend.engines.point_feature_cache import feature_cache, term_cache
from backend.engines.point_prompt import PointAnswer
from backend.errors import InvalidParameter
from backend.meshes.mask_parts.surface_samples import SurfaceSamples
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_glb import write_source_mesh
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.p3sam.prompt_masks import PromptMasks, packed
from backend.pipelines.part_at_point import PartAtPointPipeline, pick_document
from backend.pipelines.pipeline import PipelineRequest
from tests.engines.test_p3sam import (  # noqa: F401
    folders,
    model,
)
from tests.jobs.parts.made_tree import tree_data
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.test_image_to_3d import NotingSink

POINTS, SEED = 2_000, 4
BALLS = ball_of_face(three_balls(1))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def files(tmp_path):
    """A mesh of three balls, each of which is a patch."""
    write_source_mesh(three_balls(1), tmp_path / "mesh.glb")
    (tmp_path / "part_tree.npz").write_bytes(tree_data(BALLS))
    return {"mesh": tmp_path / "mesh.glb", "part_tree": tmp_path / "part_tree.npz"}


@pytest.fixture
def cloud(model, files):  # noqa: F811
    """What is kept of the mesh once its parts were found."""
    return features_for(read_mesh(files["mesh"]), POINTS, SEED, networks_of("p3-sam"))


def params_at(place, **more):
    x, y, z = map(float, place)
    return PartAtPointParams(x=x, y=y, z=z, points=POINTS, seed=SEED, **more)


def run(files, params, sink=None):
    folder = files["mesh"].parent / "out"
    folder.mkdir(exist_ok=True)
    outcome = PartAtPointPipeline().run(
        PipelineRequest(files, params, folder), sink or NotingSink()
    )
    (output,) = outcome.outputs
    assert (output.name, output.role) == ("pick.json", "pick")
    return json.loads(output.path.read_text())


def given_masks(monkeypatch, inside, iou):
    """Let the network answer with some masks; returns the prompts that it is asked."""
    asked = []

    def answer(heads, terms, prompt, *, chunk_points):
        asked.append(prompt.numpy().copy())
        assert len(terms) == POINTS
        return PromptMasks(packed(torch.from_numpy(inside)), POINTS, torch.tensor(iou))

    monkeypatch.setattr(point_prompt, "masks_of_point", answer)
    return asked


def test_a_mesh_that_is_known_is_neither_read_nor_encoded_again(cloud, files):
    sink = NotingSink()
    params = params_at(cloud.samples.raw[0], geometry=cloud.geometry)
    known = run(files, params, sink)
    assert sink.started == [*PIPELINES[PipelineName.PART_AT_POINT].stages]
    assert known["was_known"]
    forget_features()
    anew = run(files, params)
    assert not anew["was_known"]
    assert anew["masks"] == known["masks"]
    assert run(files, params)["was_known"]
    files["mesh"].write_bytes(b"")  # so nobody looks at it
    assert run(files, params)["masks"] == known["masks"]


def test_masks_come_best_first_with_the_patches_they_cover(cloud, files, monkeypatch):
    ball = BALLS[cloud.samples.faces]
    inside = np.stack([ball == 1, ball != 0, np.zeros_like(ball, bool)])
    asked = given_masks(monkeypatch, inside, [0.4, 0.9, 0.6])
    row = int(np.flatnonzero(ball == 1)[0])
    found = run(files, params_at(cloud.samples.raw[row], geometry=cloud.geometry))
    assert asked[0] == pytest.approx(cloud.shifted[[row]], abs=1e-6), "z from 0, as in training"
    assert found["patch"] == 1
    assert [mask["iou"] for mask in found["masks"]] == [0.9, 0.6, 0.4]
    assert [mask["patches"] for mask in found["masks"]] == [[1, 2], [1], [1]]
    assert [mask["is_within_a_patch"] for mask in found["masks"]] == [False, True, False]
    shares = [(ball != 0).mean(), 0, (ball == 1).mean()]
    assert [mask["share"] for mask in found["masks"]] == pytest.approx(shares, abs=1e-6)


def test_a_processor_asks_at_some_points_and_the_others_go_with_the_nearest(
    cloud, files, monkeypatch
):
    monkeypatch.setattr(point_prompt, "ON_PROCESSOR_POINTS", 300)
    asked = []

    def answer(heads, terms, prompt, *, chunk_points):
        asked.append(len(terms))
        chosen, _ = point_prompt._asked_points(cloud.shifted)
        inside = np.tile(BALLS[cloud.samples.faces[chosen]] == 1, (3, 1))
        return PromptMasks(packed(torch.from_numpy(inside)), len(chosen), torch.ones(3))

    monkeypatch.setattr(point_prompt, "masks_of_point", answer)
    found = run(files, params_at(cloud.samples.raw[0], geometry=cloud.geometry))
    assert asked == [300]
    share = (BALLS[cloud.samples.faces] == 1).mean()
    assert found["masks"][0]["share"] == pytest.approx(share, abs=1e-6), "all points are told of"
    assert found["masks"][0]["patches"] == [1]


@pytest.mark.parametrize(("kept_mb", "computed"), [(512, 1), (0, 3)])
def test_what_all_points_share_is_kept_on_a_processor(cloud, files, monkeypatch, kept_mb, computed):
    terms, calls = MaskHeads.point_terms, []
    monkeypatch.setenv("MESHKILN_FEATURE_CACHE_MB", str(kept_mb))
    monkeypatch.setattr(
        MaskHeads, "point_terms", lambda *given: calls.append(1) or terms(*given)
    )  # fmt: skip
    for row in (0, 5, 9):
        run(files, params_at(cloud.samples.raw[row], geometry=cloud.geometry))
    assert len(calls) == computed


def test_what_questions_share_is_forgotten_with_the_features(cloud, files):
    run(files, params_at(cloud.samples.raw[0], geometry=cloud.geometry))
    assert len(term_cache) > 0
    forget_features()
    assert len(term_cache) == len(feature_cache) == 0


def test_a_point_beside_the_mesh_or_without_patches_is_refused(cloud, files):
    with pytest.raises(InvalidParameter, match="not on the mesh"):
        run(files, params_at([0, 0, 50], geometry=cloud.geometry))
    with pytest.raises(InvalidParameter, match="patches") as caught:
        run({"mesh": files["mesh"]}, params_at(cloud.samples.raw[0]))
    assert "/picks" in caught.value.advice


def test_patches_of_another_mesh_are_refused():
    samples = SurfaceSamples(*(np.zeros((4, 3)) for _ in range(3)), np.array([0, 1, 2, 9]))
    answer = PointAnswer(samples, np.ones((3, 4), bool), np.zeros(3, np.float32), 0, True)
    with pytest.raises(InvalidParameter, match="another mesh"):
        pick_document(answer, np.zeros(9, np.int32))
