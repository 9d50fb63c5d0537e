"""The form that colours a mesh, by what is here of its network."""

from __future__ import annotations

import pytest

from backend.web.pages import texture_form
from backend.web.pages.parameter_form import parameter_groups

LOOKED = "2026-11-22T00:00:00Z"


@pytest.fixture
def fields(monkeypatch):
    """The fields of the form for what the worker says."""
    monkeypatch.setattr(texture_form, "job_service", lambda: None)

    def made(reason=None, looked_at=LOOKED, items=(), **values):
        document = {"texture_unavailable": reason, "looked_at": looked_at, "items": items}
        monkeypatch.setattr(texture_form, "models_document", lambda _: document)
        return texture_form.texture_fields(values)

    return made


def named(fields, name):
    return next(one for one in [*fields.first, *fields.more, *fields.network] if one.name == name)


def test_every_parameter_has_a_field_with_a_label_and_help(fields):
    from backend.catalog import TextureMeshParams

    found = fields()
    every = [*found.first, *found.more, *found.network]
    assert {one.name for one in every} == set(TextureMeshParams.model_fields)
    assert all(one.label and one.help for one in every)


def test_a_network_that_cannot_run_cannot_be_chosen_and_says_why(fields):
    found = fields("its weights are not here")
    engine = named(found, "engine")
    assert not found.has_network
    assert engine.disabled == {"hunyuan3d_paint"}
    assert engine.words["hunyuan3d_paint"].endswith("not available")
    assert engine.hint == "hunyuan3d_paint: its weights are not here."
    chosen = named(fields("its weights are not here", engine="hunyuan3d_paint"), "engine")
    assert chosen.disabled == frozenset(), "a browser would not send it"


@pytest.mark.parametrize(("reason", "looked_at"), [(None, LOOKED), ("no worker", None)])
def test_a_network_that_may_run_can_be_chosen(fields, reason, looked_at):
    found = fields(reason, looked_at)
    assert found.has_network
    assert named(found, "engine").disabled == frozenset()


def test_models_that_are_not_ready_cannot_be_chosen(fields):
    states = {"hunyuan3d-paint-2.1": "ready", "hunyuan3d-paint-2.0": "absent"}
    items = [
        {"id": name, "title": name, "kind": "texture", "state": state}
        for name, state in states.items()
    ]
    model = named(fields(items=items), "texture_model")
    assert model.disabled == {"hunyuan3d-paint-2.0"}
    assert model.words["hunyuan3d-paint-2.1"] == "hunyuan3d-paint-2.1 (ready)"
    assert model.words["auto"] == "auto"


def test_switches_may_stay_unset(fields):
    assert named(fields(), "delight").value == ""
    assert named(fields(delight=False), "delight").value == "false"
    assert named(fields(), "delight").choices == ("", "true", "false")
    assert named(fields(), "keep_uvs").kind == "checkbox"


def test_the_front_of_a_mesh_is_chosen_in_words(fields):
    front = named(fields(front="-x"), "front")
    assert front.value == "-x"
    assert front.words == {"+z": "+Z", "+x": "+X", "-z": "-Z", "-x": "-X"}


def test_the_form_of_pictures_says_the_same_of_its_texture():
    document = {"texture_unavailable": "no weights", "looked_at": LOOKED, "items": []}
    groups = texture_form.with_texture(parameter_groups({}), document)
    texture = next(group for group in groups if group.title == "Texture")
    engine = next(one for one in texture.fields if one.name == "texture_engine")
    assert engine.label == "Made by"
    assert engine.hint == "hunyuan3d_paint: no weights."
    shape = next(group for group in groups if group.title == "Shape")
    assert next(one for one in shape.fields if one.name == "engine").hint == ""


@pytest.mark.parametrize(("pipeline", "status", "roles", "offered"), [
    ("image_to_3d", "succeeded", ["model"], True),
    ("image_to_3d", "running", ["model"], False),
    ("image_to_3d", "succeeded", [], False),
    ("segment_parts", "succeeded", ["model"], False),
    ("prepare_mesh", "succeeded", ["model"], True),
])  # fmt: skip
def test_what_has_a_model_can_be_coloured_again(fields, pipeline, status, roles, offered):
    fields()
    document = {
        "pipeline": pipeline,
        "status": status,
        "params": {"back_side": "plain", "engine": "inflate"},
        "outputs": [{"role": role} for role in roles],
    }
    found = texture_form.texture_again(document)
    assert (found is not None) is offered
    if found:
        assert found.has_picture is (pipeline != "prepare_mesh")
        assert named(found.fields, "back_side").value == "plain"
        assert named(found.fields, "engine").value == "auto"
