"""Pictures from other sides in the form: without JavaScript, kept by runs that follow."""

from __future__ import annotations

import io
from urllib.parse import urlsplit

import pytest

from tests.conftest import draw_figure, png_bytes

SMALL = png_bytes(draw_figure(64))
OTHER = png_bytes(draw_figure(72))


def part(data: bytes = SMALL, name: str = "a.png"):
    return io.BytesIO(data), name


@pytest.fixture
def newest(service):
    return lambda: service.store.get(service.store.list().items[0].id)


@pytest.fixture
def make_with_views(service):
    """Make a job with a picture and one from the left and one from the back."""

    def make(pipeline="image_to_3d", **params):
        files = {"image.png": SMALL, "left.png": SMALL, "back.png": SMALL}
        return service.submit(service.prepare(pipeline, params, "doll.png"), files)[0]

    return make


def stored(service, job, name):
    return service.artefacts.input_path(job.id, name).read_bytes()


def test_the_form_takes_views_without_javascript(client, post, newest):
    assert 'name="left"' in client.get("/").text
    answer = post("/submit", file=part(), left=part(), right=part(b"", ""))
    assert answer.status_code == 303
    assert newest().inputs == ("image.png", "left.png")


def test_views_beside_several_pictures_are_refused(post, service):
    answer = post("/submit", file=[part(SMALL, "a.png"), part(OTHER, "b.png")], left=part())
    assert answer.status_code == 422
    assert service.store.list().items == []


def test_a_duplicate_shows_the_views_and_keeps_them(client, post, make_with_views, newest):
    source = make_with_views()
    text = client.get(f"/?from={source.id}").text
    assert f"/jobs/{source.id}/views/left" in text
    assert f"/jobs/{source.id}/views/right" not in text
    post("/submit", source_job=source.id)
    assert newest().inputs == ("image.png", "left.png", "back.png")


def test_a_view_is_left_out_or_replaced(post, make_with_views, newest, service):
    source = make_with_views()
    post("/submit", source_job=source.id, leave_out_view="back", left=part(OTHER))
    job = newest()
    assert job.inputs == ("image.png", "left.png")
    assert stored(service, job, "left.png") != stored(service, source, "left.png")


def test_another_picture_takes_no_views_of_the_job_before(post, make_with_views, newest):
    post("/submit", source_job=make_with_views().id, file=part(OTHER))
    assert newest().inputs == ("image.png",)


def test_a_corrected_mask_keeps_views_and_pipeline(client, post, make_with_views, newest):
    source = make_with_views("image_to_parts", part_count=3)
    carried = {"pipeline": "image_to_parts", "part_count": "3"}
    post("/submit", source_job=source.id, mask=part(), **carried)
    job = newest()
    assert set(job.inputs) == {"image.png", "left.png", "back.png", "mask.png"}
    assert (job.pipeline, job.params["part_count"]) == ("image_to_parts", 3)


def test_checking_the_cut_out_first_keeps_the_views(post, newest, service):
    answer = post("/cutouts", file=part(), pipeline="image_to_parts", right=part())
    address = urlsplit(answer.headers["Location"])
    cut_out = service.store.get(address.path.rpartition("/")[2])
    assert cut_out.pipeline == "cut_out"
    assert cut_out.inputs == ("image.png", "right.png")
    assert "run_pipeline=image_to_parts" in address.query
    post("/submit", source_job=cut_out.id, pipeline="image_to_parts")
    job = newest()
    assert (job.pipeline, job.inputs) == ("image_to_parts", ("image.png", "right.png"))


def test_a_view_can_be_looked_at_and_nothing_else(client, make_with_views):
    source = make_with_views()
    answer = client.get(f"/jobs/{source.id}/views/left")
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    for side in ("right", "image", "mask", ".."):
        assert client.get(f"/jobs/{source.id}/views/{side}").status_code == 404
