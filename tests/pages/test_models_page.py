"""The page of the models, and what the form says of engines and models."""

from __future__ import annotations

import re

import pytest

from backend.catalog import ImageTo3DParams
from backend.web.pages import generate as generate_page
from backend.web.pages import models as models_page
from backend.web.pages.model_choices import takes_views, with_models
from backend.web.pages.models import kind_sections, licence_groups
from backend.web.pages.parameter_form import parameter_groups
from tests.web.test_models_api import LICENCE, row

PART_LICENCE = {**LICENCE, "id": "tencent-hunyuan3d-part", "title": "Of parts"}
OTHER = {"id": "mit", "title": "MIT licence", "points": ["Any use."], "needs_acceptance": False}


def document(*rows, reason=None):
    return {
        "items": list(rows),
        "reason_unavailable": reason,
        "parts_unavailable": {"segmentation": None, "completion": None},
        "texture_unavailable": None,
        "looked_at": "2026-11-21T19:00:00Z",
    }


@pytest.fixture
def show(monkeypatch):
    """Let the pages read this of the worker."""

    def use(*rows, reason=None):
        for page in (generate_page, models_page):
            monkeypatch.setattr(
                page, "models_document", lambda _service: document(*rows, reason=reason)
            )

    return use


def field(groups, name):
    return next(each for group in groups for each in group.fields if each.name == name)


def option(text, value):
    return re.search(rf'<option value="{re.escape(value)}"([^>]*)>([^<]*)<', text)


def test_the_page_shows_state_size_licence_and_how_to_get_a_model(client, show):
    show(
        row(state="ready", accepted_at="2026-11-20T10:00:00Z"),
        row("hunyuan3d-2mini", "incomplete", missing=["config.yaml"], accepted=True),
        row("triposg", "absent", licence=OTHER, accepted=True, size_bytes=None),
    )
    text = client.get("/models").text
    assert "European Union" in text
    assert "4.93 GB here" in text
    assert "It lacks config.yaml." in text
    assert "python -m backend models pull triposg" in text
    assert "models pull hunyuan3d-2.0<" not in text
    assert "2026-11-20" in text
    assert "Nothing has to be accepted." in text
    assert 'name="accept"' not in text


def test_the_page_without_a_worker_claims_nothing(client):
    text = client.get("/models").text
    assert 'id="models-unknown"' in text
    assert 'hx-get="/models/list"' in text
    assert "hunyuan3d-2.1" in text
    assert "not here" not in text
    assert 'name="accept"' not in text


def test_a_licence_is_accepted_with_a_form(client, post, show, service):
    show(row())
    text = client.get("/models").text
    assert 'action="/models/hunyuan3d-2.0/accept"' in text
    assert post("/models/hunyuan3d-2.0/accept").status_code == 422
    answer = post("/models/hunyuan3d-2.0/accept", accept="yes")
    assert answer.status_code == 303
    waiting = client.get(answer.headers["Location"]).text
    assert "is recorded" in waiting
    assert "every 2s" in waiting
    show(row(state="ready"))
    settled = client.get("/models/list?accepted=hunyuan3d-2.0").text
    assert "is recorded" in settled
    assert "every 2s" not in settled
    assert (service.settings.data_dir / "models" / "accepted_licences.json").is_file()


def test_a_form_without_its_token_accepts_nothing(client, service):
    answer = client.post("/models/hunyuan3d-2.0/accept", data={"accept": "yes"})
    assert answer.status_code == 403
    assert not (service.settings.data_dir / "models").exists()


def test_an_address_with_a_name_of_its_own_is_not_repeated(client):
    assert "evil" not in client.get("/models?accepted=evil").text


def test_models_stand_under_their_licence():
    groups = licence_groups([row(), row("triposg", licence=OTHER), row("hunyuan3d-2mini")])
    assert [[model["id"] for model in group.models] for group in groups] == [
        ["hunyuan3d-2.0", "hunyuan3d-2mini"],
        ["triposg"],
    ]
    assert groups[0].licence == LICENCE


def test_models_for_parts_stand_under_headings_of_their_own(client, show):
    parts = {"licence": PART_LICENCE, "views": None, "guidance": None}
    show(
        row(state="ready"),
        row("p3-sam", kind="segmentation", steps=None, **parts),
        row("x-part", "absent", kind="completion", **parts),
    )
    text = client.get("/models").text
    headings = [text.index(f'id="kind-{kind}"') for kind in ("shape", "segmentation", "completion")]
    places = [text.index(f'id="model-{name}"') for name in ("hunyuan3d-2.0", "p3-sam", "x-part")]
    assert sorted(headings + places) == [
        place for pair in zip(headings, places, strict=True) for place in pair
    ]
    assert text.count('name="accept"') == 1, "one licence is accepted in one place"
    assert 'action="/models/p3-sam/accept"' in text
    assert "made for None" not in text


def test_a_licence_for_several_purposes_is_told_once():
    rows = [row(), row("p3-sam", kind="segmentation", licence=PART_LICENCE),
            row("x-part", kind="completion", licence=PART_LICENCE)]  # fmt: skip
    sections = kind_sections(rows)
    assert [section.kind for section in sections] == ["shape", "segmentation", "completion"]
    assert [section.groups[0].is_shown_before for section in sections] == [False, False, True]
    assert [section.kind for section in kind_sections(rows[1:2])] == ["segmentation"]


def test_the_form_for_pictures_does_not_mind_models_for_parts():
    shown = document(row(state="ready"), row("p3-sam", "absent", kind="segmentation"))
    asked = field(with_models(parameter_groups({}), shown), "model")
    assert not asked.disabled
    assert asked.hint == ""


def test_models_that_are_not_ready_cannot_be_chosen(client, show):
    show(row(state="ready"), row("hunyuan3d-2mini", "absent", title="Hunyuan3D 2 mini"))
    text = client.get("/").text
    assert "disabled" not in option(text, "hunyuan3d-2.0")[1]
    assert "(ready)" in option(text, "hunyuan3d-2.0")[2]
    assert "disabled" in option(text, "hunyuan3d-2mini")[1]
    assert "disabled" not in option(text, "hunyuan3d")[1]


def test_an_engine_that_cannot_run_says_why(client, show):
    show(row("hunyuan3d-2.0", "absent"), reason="no weights of a model are here")
    text = client.get("/").text
    assert "disabled" in option(text, "hunyuan3d")[1]
    assert "no weights of a model are here" in text
    assert "disabled" not in option(text, "inflate")[1]


def test_without_a_worker_every_choice_can_be_made(client):
    text = client.get("/").text
    for value in ("hunyuan3d", "hunyuan3d-2mv", "hunyuan3d-2.1"):
        assert "disabled" not in option(text, value)[1]


def test_what_an_earlier_job_used_stays_chosen():
    shown = document(row("hunyuan3d-2mini", "absent"), reason="none")
    values = {"engine": "hunyuan3d", "model": "hunyuan3d-2mini"}
    groups = with_models(parameter_groups(values), shown)
    assert "hunyuan3d" not in field(groups, "engine").disabled
    assert "hunyuan3d-2mini" not in field(groups, "model").disabled


def test_every_choice_of_the_catalogue_has_its_place():
    groups = with_models(parameter_groups({}), document(row(state="ready")))
    shown = {each.name for group in groups for each in group.fields}
    assert shown == set(ImageTo3DParams.model_fields) - {"preset", "seed"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("hunyuan3d-2mv", "ready", views=4)], True),
        ([row("hunyuan3d-2mv", "absent", views=4), row(state="ready")], False),
    ],
)
def test_views_are_of_use_with_a_model_of_several_views(rows, expected):
    assert takes_views(document(*rows)) is expected
    assert takes_views(document(*rows) | {"looked_at": None}) is None


def test_what_belongs_to_a_model_that_paints_is_shown(client, show):
    show(
        row(
            "hunyuan3d-paint-2.1", "incomplete", kind="texture", missing=["the model dinov2-giant"],
            needs=["dinov2-giant"], uses=["realesrgan-x4plus"],
        ),
        row("dinov2-giant", "absent", kind="companion", licence=OTHER, accepted=True),
    )  # fmt: skip
    text = client.get("/models").text
    assert text.index("Textures") < text.index("What the models of textures take along")
    assert "It lacks the model dinov2-giant." in text
    assert "It needs dinov2-giant." in text
    assert "use it with realesrgan-x4plus; it runs without" in text
    assert "From huggingface.co/tencent/Hunyuan3D-2" in text
