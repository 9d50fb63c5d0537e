"""The plain implementation that the bench compares with gives what the original has recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from bench.parity.golden_folder import golden_files
from bench.parts import (
    reference_conditioner,
    reference_decode,
    reference_denoiser,
    reference_faces,
    reference_heads,
    reference_masks,
    reference_sonata,
)
from bench.parts.reference_layers import under
from bench.parts.sizes import SIZES, Scale
from bench.parts.stage import equal_share, rows_within, within
from bench.parts.stages import stages_of
from tests.models.golden_files import PART


@pytest.fixture(scope="module")
def recorded():
    return {file.name: file for file in golden_files(PART)}


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def close(ours, expected, tolerance=5e-5):
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=tolerance)


def test_features_of_points(recorded):
    file = recorded["sonata_tiny"]
    given = file.tensors
    found = reference_sonata.point_features(
        file.weights("weights."),
        file.noted["config"],
        given["transform.feat"],
        given["transform.grid_coord"],
        given["order_perms"],
    )
    close(found[given["transform.inverse"]], given["out.point_feat"])


@pytest.mark.parametrize("iterations", [1, 2])
def test_masks_of_prompts(recorded, iterations):
    file = recorded["p3sam_heads_tiny"]
    given = [file.tensors[f"in.{name}"] for name in ("feats", "points", "prompts")]
    found = reference_heads.head_answers(file.weights("weights."), *given, iterations)
    close(found.iou, file.tensors[f"out.iou_iter{iterations}"], 1e-5)
    for mask in range(3):
        expected = file.tensors[f"out.mask{mask + 1}_prob_iter{iterations}"]
        close(found.probabilities[..., mask].T, expected, 1e-5)


@pytest.mark.parametrize("name", ["post", "nopost", "holes"])
def test_faces_of_masks(recorded, name):
    file = recorded[f"p3sam_postprocess_{name}"]
    given = {key: tensor.numpy() for key, tensor in file.tensors.items()}
    points, iou = given["in.points_normalised"], given["in.iou"]
    three = [
        np.unpackbits(given[f"in.mask{mask}_packbits_axis0"], axis=0, count=len(points))
        for mask in (1, 2, 3)
    ]
    masks = np.stack(three)[iou.argmax(1), :, np.arange(len(iou))].T.astype(bool)
    labels = reference_masks.point_labels(masks, iou.max(1), points)
    mesh = trimesh.Trimesh(given["mesh.vertices"], given["mesh.faces"], process=False)
    ids, boxes = reference_faces.face_parts(
        reference_faces.Solid.of(mesh),
        given["in.face_idx"],
        labels,
        threshold=0.95,
        post_process=file.noted["post_process"] == "True",
    )
    assert np.array_equal(ids, given["out.face_ids"])
    assert np.array_equal(boxes, given["out.aabb"])


def test_contexts_of_parts(recorded):
    file = recorded["xpart_conditioner_tiny"]
    given, weights = file.tensors, file.weights("weights.")
    semantics = reference_sonata.point_features(
        under(weights, "seg_feat_encoder."),
        file.noted["sonata_config"],
        given["in.sonata_selected_feat"],
        given["in.sonata_selected_grid_coord"],
        given["in.sonata_order_perms"],
    )
    whole, parts = reference_conditioner.contexts(
        weights,
        file.noted["vae_config"],
        given["in.object_surface"],
        given["in.part_surface"],
        semantics[given["in.sonata_inverse"]],
        (given["in.geo_randperm"], given["in.obj_randperm"]),
    )
    close(whole, given["out.obj_cond"], 2e-5)
    close(parts, given["out.geo_cond"], 2e-5)


def test_velocity_of_parts(recorded):
    file = recorded["xpart_dit_tiny"]
    given = [
        file.tensors[f"in.{name}"] for name in ("x", "t", "obj_cond", "geo_cond", "part_embed_idx")
    ]
    found = reference_denoiser.velocity(file.weights("weights."), file.noted["config"], *given)
    close(found, file.tensors["out.velocity"])


def test_values_of_points(recorded):
    file = recorded["xpart_vae_tiny"]
    weights, config = file.weights("weights."), file.noted["config"]
    for number, latents in enumerate(file.tensors["in.latents"].split(1)):
        ask = reference_decode.field_of_part(weights, config, latents)
        found = ask(file.tensors["in.queries"][number])
        close(found, file.tensors["out.logits"][number], 2e-5)


@pytest.mark.parametrize("name", [name for name in stages_of(SIZES[Scale.TINY]) if name != "step"])
def test_stages_of_the_bench_give_the_same_both_ways(name):
    stage = stages_of(SIZES[Scale.TINY])[name](torch.device("cpu"), torch.float32)
    told = stage.compare(stage.ours(), stage.reference())
    assert told["holds"], told


def test_results_that_differ_do_not_hold():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert within(1e-3)(rows, rows)["holds"]
    assert not within(1e-3)(rows + 0.1, rows)["holds"]
    one_off = rows + torch.tensor([[0.0, 0.0], [0.0, 0.1]])
    assert rows_within(1e-3, 0.5)(one_off, rows)["equal_rows"] == 0.5
    assert not rows_within(1e-3, 0.6)(one_off, rows)["holds"]
    assert equal_share()(np.array([1, 2]), np.array([1, 3])) == {
        "equal_share": 0.5,
        "holds": False,
    }
