from __future__ import annotations

import base64
import io
import json
import threading

import pytest

from backend.catalog import MAX_SEED
from backend.jobs.retention import Retention


def test_a_form_is_accepted_with_the_job_and_its_address(server, small_png):
    answer = server.post(small_png, preset="draft", seed="7")
    assert answer.status_code == 202
    job = answer.json
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["status"], job["queue_position"], job["name"]) == ("queued", 1, "doll.png")
    assert job["params"]["seed"] == 7
    assert job["params"]["preset"] == "draft"
    assert len(job["id"]) == 26


def test_without_redis_the_job_is_kept_and_the_answer_says_so(server, small_png):
    assert server.submit(small_png)["warnings"] == ["broker-unavailable"]
    assert server.count() == 1


def test_with_redis_there_is_no_warning(live_server, small_png):
    assert live_server.submit(small_png)["warnings"] == []


def test_a_seed_is_drawn_and_reported(server, small_png):
    seeds = {server.submit(small_png)["params"]["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_json_with_a_data_uri(server, small_png):
    image = "data:image/png;base64," + base64.b64encode(small_png).decode()
    body = {"pipeline": "image_to_3d", "image": image, "params": {"seed": 1}, "name": "My chair"}
    answer = server.client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 202
    assert answer.json["name"] == "My chair"


def test_params_as_one_field_and_priority(server, small_png):
    job = server.submit(small_png, params=json.dumps({"preset": "high"}), priority="high")
    assert (job["params"]["preset"], job["priority"]) == ("high", "high")


def test_of_a_check_box_behind_its_hidden_twin_the_last_value_counts(server, small_png):
    form = {"pipeline": "image_to_3d", "texture": ["false", "true"], "grid_resolution": ""}
    form["file"] = (io.BytesIO(small_png), "x.png")
    answer = server.client.post("/api/v1/jobs", data=form)
    assert answer.status_code == 202
    assert answer.json["params"]["texture"] is True


def test_a_mask_is_kept_as_grey_png(server, small_png):
    job = server.submit(small_png, mask=(io.BytesIO(small_png), "m.png"))
    path = server.service.artefacts.input_path(job["id"], "mask.png")
    assert path.read_bytes()[24:26] == bytes([8, 0])  # 8 bits, grey


def test_a_mask_of_other_proportions_is_refused(server, small_png, figure_png):
    answer = server.post(small_png, mask=(io.BytesIO(figure_png), "m.png"))
    assert answer.status_code == 422


def test_cut_out_is_a_pipeline_that_lists_do_not_show(server, small_png):
    answer = server.post(small_png, pipeline="cut_out")
    assert answer.status_code == 202
    assert "seed" not in answer.json["params"]
    assert server.count() == 0


def test_same_key_and_request_give_the_same_job(server, small_png):
    headers = {"Idempotency-Key": "abc"}
    first = server.post(small_png, headers=headers)
    second = server.post(small_png, headers=headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json["id"] == second.json["id"]
    assert first.json["params"]["seed"] == second.json["params"]["seed"]
    assert server.count() == 1


def test_twenty_at_once_with_one_key_make_one_job(server, small_png):
    """Row 31 of the abuse table."""
    answers = []

    def send():
        client = server.app.test_client()
        form = {"pipeline": "image_to_3d", "file": (io.BytesIO(small_png), "doll.png")}
        answers.append(client.post("/api/v1/jobs", data=form, headers={"Idempotency-Key": "same"}))

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert server.count() == 1
    assert len(list(server.service.artefacts.job_ids())) == 1


def test_same_key_with_another_request_is_refused(server, small_png):
    """Row 31 of the abuse table."""
    headers = {"Idempotency-Key": "abc"}
    server.post(small_png, headers=headers)
    answer = server.post(small_png, headers=headers, preset="high")
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency-key-reused")
    assert server.count() == 1


@pytest.mark.parametrize("key", ["", "k" * 129])
def test_a_key_of_wrong_length_is_refused(server, small_png, key):
    answer = server.post(small_png, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")


def test_htmx_is_sent_to_the_page_of_the_job(server, small_png):
    answer = server.post(small_png, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"].startswith("/jobs/")


@pytest.mark.parametrize("swept", [False, True])
def test_a_key_whose_job_was_deleted_may_be_used_again(server, small_png, swept):
    headers = {"Idempotency-Key": "k"}
    first = server.post(small_png, headers=headers).json["id"]
    server.client.delete(f"/api/v1/jobs/{first}")
    if swept:
        Retention(server.service.settings, server.service.store, server.service.artefacts).sweep()
    again = server.post(small_png, headers=headers)
    assert again.status_code == 202
    assert again.json["id"] != first
    assert server.post(small_png, headers=headers).json["id"] == again.json["id"]
