from __future__ import annotations

import pytest

from backend.catalog import (
    MAX_SEED,
    PIPELINES,
    ImageTo3DParams,
    SpeechParams,
    batch_key,
    cost_key,
    parse_options,
    parse_params,
    pipeline_spec,
)
from backend.errors import InvalidParameter


def test_form_text_and_json_values_are_read_alike():
    text = parse_params("image_to_3d", {"seed": "7", "texture": "false", "size_m": "0.5"})
    assert text == parse_params("image_to_3d", {"seed": 7, "texture": False, "size_m": 0.5})


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({"glaze": 5}, "/params/glaze"),
        ({"steps": 0}, "/params/steps"),
        ({"guidance": -1}, "/params/guidance"),
        ({"model": "hunyuan3d-9"}, "/params/model"),
        ({"seed": -1}, "/params/seed"),
        ({"seed": MAX_SEED + 1}, "/params/seed"),
        ({"preset": "best"}, "/params/preset"),
        ({"grid_resolution": 99999}, "/params/grid_resolution"),
        ({"size_m": "nan"}, "/params/size_m"),
    ],
)
def test_wrong_field_is_named_by_a_pointer(raw, pointer):
    with pytest.raises(InvalidParameter) as caught:
        parse_params("image_to_3d", raw)
    assert [problem.pointer for problem in caught.value.fields] == [pointer]


def test_unknown_pipeline_lists_the_known_ones():
    with pytest.raises(InvalidParameter, match="teapot") as caught:
        pipeline_spec("teapot")
    assert "image_to_3d" in caught.value.fields[0].detail


def test_options_reject_an_unknown_priority():
    with pytest.raises(InvalidParameter):
        parse_options({"priority": "urgent"})


def test_batch_key_ignores_the_seed_and_nothing_else():
    one = batch_key("image_to_3d", ImageTo3DParams(seed=1))
    assert one == batch_key("image_to_3d", ImageTo3DParams(seed=2))
    assert one != batch_key("image_to_3d", ImageTo3DParams(size_m=2.0))


def test_every_parameter_is_described_for_people():
    for spec in PIPELINES.values():
        for name, field in spec.params.model_fields.items():
            assert field.description, f"{spec.name}.{name}"


def test_speech_of_like_length_is_like_work_and_named_in_words():
    def key(**params):
        return cost_key("speech", SpeechParams(**params))

    assert key(text="a" * 10) == key(text="b" * 199) == "speech:auto:clone:below 200 letters"
    assert key(text="a" * 200) == "speech:auto:clone:below 400 letters"
    edit = key(task="style", transcript="Hello.", passes=3)
    assert edit == "speech:auto:style:below 200 letters:3 passes"
