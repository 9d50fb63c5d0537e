"""What the catalog says of the pipelines that make parts."""

from __future__ import annotations

import pytest

from backend.catalog import (
    PIPELINES,
    ImageTo3DParams,
    PartStageName,
    PipelineName,
    Queue,
    StageName,
    Upload,
    batch_key,
    cost_key,
    parse_params,
)
from backend.errors import InvalidParameter

MESH_PIPELINES = (PipelineName.SEGMENT_PARTS, PipelineName.COMPLETE_PARTS)


def test_each_pipeline_says_what_it_is_sent():
    of_meshes = {name for name, spec in PIPELINES.items() if spec.upload is Upload.MESH}
    others = {
        PipelineName.PREPARE_MESH, PipelineName.PART_AT_POINT, PipelineName.TEXTURE_MESH
    }  # fmt: skip
    assert of_meshes == {*MESH_PIPELINES, *others}


def test_parts_of_a_picture_take_the_stages_of_its_model_and_end_with_the_files():
    stages = PIPELINES[PipelineName.IMAGE_TO_PARTS].stages
    model = PIPELINES[PipelineName.IMAGE_TO_3D].stages
    assert stages[:4] == model[:4]
    assert stages[4:] == (
        PartStageName.PART_SEGMENTATION, PartStageName.PART_COMPLETION, StageName.MESH_EXPORT
    )  # fmt: skip


@pytest.mark.parametrize("name", [*MESH_PIPELINES, PipelineName.IMAGE_TO_PARTS])
def test_the_division_is_asked_for_alike(name):
    params = parse_params(name, {"part_count": "8", "granularity": "0.5"}).model_dump()
    assert (params["part_count"], params["granularity"]) == (8, 0.5)
    assert parse_params(name, {}).model_dump()["part_count"] is None
    for wrong in ({"part_count": 0}, {"part_count": 1001}, {"granularity": 0.1}, {"parts": 3}):
        with pytest.raises(InvalidParameter):
            parse_params(name, wrong)
    assert PIPELINES[name].queue is Queue.GPU
    assert PIPELINES[name].listed


def test_parameters_of_a_picture_are_none_of_a_mesh():
    for name in MESH_PIPELINES:
        with pytest.raises(InvalidParameter, match="background"):
            parse_params(name, {"background": "auto"})
    known = set(ImageTo3DParams.model_fields)
    assert known < set(PIPELINES[PipelineName.IMAGE_TO_PARTS].params.model_fields)


def test_keys_tell_the_pipelines_apart_and_ignore_the_seed():
    one, other = (parse_params("segment_parts", {"seed": seed}) for seed in (1, 2))
    assert batch_key("segment_parts", one) == batch_key("segment_parts", other)
    assert cost_key("segment_parts", one) == "segment_parts:standard:auto"
    both = parse_params("complete_parts", {"engine": "p3sam", "completion": "cap_parts"})
    assert cost_key("complete_parts", both) == "complete_parts:standard:p3sam:cap_parts"
    finer = parse_params("complete_parts", {"part_steps": 20, "part_cells": 512})
    asked = "auto, steps 20, cells 512"
    assert cost_key("complete_parts", finer) == f"complete_parts:standard:auto:{asked}"
    named = parse_params("complete_parts", {"part_quality": "second_order"})
    assert (
        cost_key("complete_parts", named)
        == "complete_parts:standard:auto:auto, quality second_order"
    )
    closer = parse_params("segment_parts", {"engine": "p3sam", "points": 50_000})
    assert cost_key("segment_parts", closer) == "segment_parts:standard:p3sam, points 50000"
    image = parse_params("image_to_parts", {"preset": "draft"})
    assert cost_key("image_to_parts", image) == "image_to_parts:draft:auto:textured:auto:auto"
