"""What the engine tells the denoiser is what the conditioner makes of the same points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.engines.model_networks import networks_of
from backend.engines.part_completion_steps import PartSteps
from backend.engines.part_effort import PartEffort
from backend.engines.part_points import boxed_parts, part_points
from backend.engines.part_tasks import CompletionTask
from backend.engines.point_feature_cache import feature_cache
from backend.models.checkpoints.checkpoint import Component
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.voxels import voxel_cloud
from backend.models.xpart.nearest_points import nearest_points
from backend.models.xpart.point_set_encoder import chosen_points, surface_order
from backend.profiling.recorder import record_pipeline
from tests.engines.tiny_xpart import (
    model,  # noqa: F401
    one_thread,  # noqa: F401
    weights,  # noqa: F401
)
from tests.meshes.source_shapes import ball_of_face, three_balls

SEED = 9


@pytest.mark.usefixtures("model")
def test_contexts_are_those_of_the_conditioner_part_by_part():
    mesh = three_balls(1)
    steps = PartSteps(PartEffort(), SEED)
    parts = boxed_parts(CompletionTask(mesh, ball_of_face(mesh)))
    points = part_points(parts, SEED, steps.surface_points)
    shares = []
    found = steps.encoded(points, shares.append)

    with networks_of("x-part").lease(Component.CONDITIONER) as net, torch.inference_mode():
        whole = torch.from_numpy(points.whole)[None]
        places, normals = points.whole[:, :3].astype(np.float64), points.whole[:, 3:6]
        cloud = voxel_cloud(places, normals, np.random.default_rng([SEED, 1]))
        features = net.point_features(
            torch.from_numpy(cloud.features),
            torch.from_numpy(cloud.cells),
            torch.from_numpy(cloud.inverse),
            order_permutations(torch.Generator().manual_seed(SEED)),
        )
        order = surface_order(SEED + 1, steps.surface_points)
        chosen = chosen_points(whole, order, net.config.object_encoder)
        context = net.object_context(whole, chosen, features, order)
        assert torch.allclose(found.whole, context, atol=1e-5)

        order = surface_order(SEED, steps.surface_points)
        for number, own in enumerate(points.own):  # one by one; the engine took them together
            surface = torch.from_numpy(own)[None]
            begins = chosen_points(surface, order, net.config.part_encoder)
            nearest = nearest_points(surface[0, begins[0], :3], whole[0, :, :3])[None]
            context = net.part_context(surface, begins, features, nearest, order)
            assert torch.allclose(found.own[number], context[0], atol=1e-5)
    assert shares == sorted(shares)
    assert max(shares) < 1


@pytest.mark.usefixtures("model")
def test_what_is_told_of_an_object_is_kept_for_other_parts_of_it(monkeypatch):
    feature_cache.clear()
    mesh = three_balls(1)
    steps = PartSteps(PartEffort(), SEED)
    by_ball, all_in_one = ball_of_face(mesh), np.zeros(len(mesh.faces), np.int32)

    def encoded(numbers):
        parts = boxed_parts(CompletionTask(mesh, numbers))
        points = part_points(parts, SEED, steps.surface_points)
        with record_pipeline("a run") as trace:
            found = steps.encoded(points, lambda share: None)
        (span,) = [span for span in trace.profile.spans if span.name == "encode_parts"]
        return found, span.attributes["from_cache"]

    first, was_known = encoded(by_ball)
    assert not was_known
    other, is_known = encoded(all_in_one)
    assert is_known
    assert torch.equal(first.whole, other.whole)
    again, is_known = encoded(by_ball)
    assert is_known
    assert torch.equal(first.own, again.own)
    monkeypatch.setenv("MESHKILN_FEATURE_CACHE_MB", "0")
    feature_cache.clear()
    assert [encoded(by_ball)[1] for _ in range(2)] == [False, False]
