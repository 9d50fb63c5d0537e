from __future__ import annotations

import io
import re

import pytest

from backend.catalog import ImageTo3DParams
from backend.errors import NoForeground
from backend.jobs.records import OutputRecord
from backend.web.pages.parameter_form import ELSEWHERE, GROUPS

HOSTILE = "<img src=x onerror=alert(1)>"


def html(answer):
    assert answer.status_code == 200, answer.text
    return answer.text


def test_every_parameter_has_a_field(client):
    page = html(client.get("/"))
    for name in ImageTo3DParams.model_fields:
        assert f'name="{name}"' in page
    grouped = {name for names in GROUPS.values() for name in names}
    assert grouped | ELSEWHERE == set(ImageTo3DParams.model_fields)


def test_preset_times_come_from_runs_only(client, make_job, claim, service):
    assert html(client.get("/")).count("not measured yet here") == 3
    for seconds in (1.0, 2.0, 3.0):
        make_job(preset="draft")
        held = claim()
        service.claims.update_stage(held, "mesh_export", 100, {"elapsed_s": seconds})
        service.claims.finish(held, [], {})
    page = html(client.get("/"))
    assert "1.0 to 3.0 s here" in page
    assert page.count("not measured yet here") == 2


def test_empty_gallery_leads_to_the_first_model(client):
    assert "No models yet" in html(client.get("/gallery"))


def test_gallery_pages_through_everything_once(client, make_job):
    ids = {make_job(f"job {i}").id for i in range(30)}
    first = html(client.get("/gallery"))
    following = re.search(r'hx-get="(/gallery\?[^"]+)"', first)[1].replace("&amp;", "&")
    second = html(client.get(following, headers={"HX-Request": "true"}))
    assert "<html" not in second
    seen = [re.findall(r'id="tile-(\w{26})"', page) for page in (first, second)]
    assert set(seen[0]).isdisjoint(seen[1])
    assert set(seen[0]) | set(seen[1]) == ids


@pytest.mark.parametrize("path", ["/", "/gallery", "/jobs/{id}"])
def test_names_are_shown_as_text(client, make_job, path):
    job = make_job(HOSTILE)
    page = html(client.get(path.format(id=job.id)))
    assert HOSTILE not in page
    assert "&lt;img src=x" in page


def test_failed_job_says_why_and_what_to_do(client, make_job, claim, service):
    job = make_job()
    service.claims.fail(claim(), NoForeground("Nothing there."))
    page = html(client.get(f"/jobs/{job.id}"))
    for text in ("Failed", "Nothing there.", NoForeground.default_advice, "no-foreground"):
        assert text in page


def test_running_job_without_history_gives_no_estimate(client, make_job, claim):
    job = make_job()
    claim()
    page = html(client.get(f"/jobs/{job.id}"))
    assert "no estimate yet" in page
    assert f'hx-ws:connect="/ws/jobs/{job.id}?format=html"' in page


def test_done_job_offers_its_files_under_its_name(client, make_job, claim, service):
    job = make_job("Red chair.png")
    output = OutputRecord("model.glb", "glb", "model", 2048, "0" * 64)
    service.claims.finish(claim(), [output], {})
    page = html(client.get(f"/jobs/{job.id}"))
    assert 'download="Red chair.glb"' in page
    assert "2 KB" in page
    assert "hx-ws:connect" not in page, "an ended job needs no socket"


def test_duplicate_is_filled_from_the_old_job(client, make_job):
    job = make_job(preset="high", size_m=0.25, seed=77)
    page = html(client.get(f"/?from={job.id}"))
    assert 'value="0.25"' in page
    assert re.search(r'value="high"\s+checked', page)
    assert 'name="seed" min="0" max="9223372036854775807" step="1" value="77"' in page


def test_form_makes_a_job_and_leads_to_it(post, service, figure_png):
    answer = post(
        "/submit",
        file=(io.BytesIO(figure_png), "doll.png"),
        preset="draft",
        texture=["false", "true"],
        seed="",
        priority="high",
    )
    assert answer.status_code == 303
    job = service.store.get(answer.location.rsplit("/", 1)[-1])
    assert (job.name, job.params["preset"], job.params["texture"]) == ("doll.png", "draft", True)
    assert job.priority.name == "HIGH"


def test_form_with_several_pictures_makes_several_jobs(post, service, figure_png):
    files = [(io.BytesIO(figure_png), f"{i}.png") for i in range(3)]
    answer = post("/submit", file=files, texture="false")
    assert answer.location == "/gallery"
    jobs = service.store.list().items
    assert {job.name for job in jobs} == {"0.png", "1.png", "2.png"}
    assert not any(job.params["texture"] for job in jobs)


def test_form_takes_the_picture_of_an_old_job_with_a_new_mask(
    post, service, make_job, figure_png, opaque_figure_png
):
    job = make_job()
    mask = (io.BytesIO(opaque_figure_png), "mask.png")
    answer = post("/submit", source_job=job.id, preset="draft", mask=mask)
    again = service.store.get(answer.location.rsplit("/", 1)[-1])
    assert again.inputs == ("image.png", "mask.png")
    assert again.name == job.name


def test_form_without_a_picture_is_an_error_page(post):
    answer = post("/submit", preset="draft")
    assert answer.status_code == 400
    assert "No picture was chosen" in answer.text


def test_wrong_form_value_names_the_field(post, figure_png):
    answer = post("/submit", file=(io.BytesIO(figure_png), "d.png"), size_m="-3")
    assert answer.status_code == 422
    assert "/params/size_m" in answer.text


def test_cutout_runs_apart_from_the_models(post, service, client, figure_png):
    answer = post("/cutouts", file=(io.BytesIO(figure_png), "doll.png"), preset="draft", size_m="2")
    assert answer.status_code == 303
    page = html(client.get(answer.location))
    assert "Looking for the object" in page
    assert service.store.list().items == [], "it is not listed among the models"
    job_id = answer.location.split("/")[2].split("?")[0]
    assert service.store.get(job_id).pipeline == "cut_out"
    assert "run_size_m=2" in answer.location


def test_buttons_work_without_javascript(post, service, make_job, claim):
    job = make_job()
    assert post(f"/jobs/{job.id}/rename", name="chair\u202e").status_code == 303
    assert service.store.get(job.id).name == "chair"
    assert post(f"/jobs/{job.id}/rename", name=" ").status_code == 422
    assert post(f"/jobs/{job.id}/cancel").location == f"/jobs/{job.id}"
    again = post(f"/jobs/{job.id}/retry").location.rsplit("/", 1)[-1]
    assert service.store.get(again).retry_of == job.id
    assert post(f"/jobs/{job.id}/delete").location == "/gallery"
    assert post(f"/jobs/{job.id}/cancel").status_code == 404


def test_selection_is_deleted_or_run_again(post, service, make_job):
    jobs = [make_job(str(i)) for i in range(3)]
    service.cancel(jobs[0].id)
    post("/gallery/selection", action="retry", job=[jobs[0].id, jobs[1].id, "gone"])
    assert len(service.store.list().items) == 4
    post("/gallery/selection", action="delete", job=[job.id for job in jobs])
    assert len(service.store.list().items) == 1
    assert post("/gallery/selection", action="explode", job="x").status_code == 422


def test_documentation_lists_every_route_and_problem(client):
    assert "/api/v1/jobs/{job_id}" in html(client.get("/docs/api"))
    problems = html(client.get("/docs/problems"))
    assert 'id="no-foreground"' in problems
    assert 'id="job-timed-out"' in problems


def test_pages_of_unknown_jobs_are_polite(client):
    for path in ("/jobs/nope", "/cutouts/nope", "/jobs/nope/picture", "/?from=nope", "/nope"):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 404, path
        assert "Back to Generate" in answer.text
