from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

import jsonschema
import pytest

from backend.jobs.encode_probe import NAME
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.web.api.openapi import document
from tests.profiling.made_runs import made_profile

URL = "/api/performance/recommendations"
WORK = {"pipeline": "image_to_3d", "shape_key": "k"}


@pytest.fixture
def slow_export(make_server):
    """A server whose export compresses too much, and six runs that show it."""
    server = make_server(export_compression=9)
    service = server.service
    for _ in range(6):
        service.run_history.record(
            made_profile({"shape": 0.6, "mesh_export": 0.9}, started_at=service.clock.now()),
            job_id=None, engine={"shape": "inflate"},
            settings={"export_compression": 9, "export_threads": 1}, batch_size=1, **WORK,
        )  # fmt: skip
    levels = [
        {"level": 9, "seconds": [0.5] * 3, "size_bytes": 900},
        {"level": 1, "seconds": [0.1] * 3, "size_bytes": 1100},
    ]
    Measurements(service.store.engine, service.clock).keep(
        MeasuredOn(NAME, **WORK), {"levels": levels, "sampled": 1.0}, 3
    )
    return server


def checked(answer):
    """Hold an answer against its published schema."""
    schemas = document()["components"]["schemas"]
    root = {"$ref": "#/components/schemas/Recommendations", "components": {"schemas": schemas}}
    jsonschema.validate(answer.json, root)
    assert set(answer.json) == set(schemas["Recommendations"]["properties"])
    return answer.json


def test_advice_comes_with_evidence_gain_and_what_to_change(slow_export):
    found = checked(slow_export.client.get(URL))
    assert {name: found[name] for name in WORK} == WORK
    [item] = found["items"]
    assert item["gain"]["s_per_job"] == pytest.approx(0.4)
    assert (item["action"]["setting"], item["action"]["to"]) == ("export_compression", 1)
    assert item["evidence"]["n"] == 6
    assert json.dumps(found)


def test_before_the_first_run_the_shape_is_the_same(server):
    found = checked(server.client.get(URL))
    assert (found["items"], found["pipeline"]) == ([], None)
    assert "at least 5" in found["note"]


def test_another_kind_of_work_may_be_asked_for(slow_export):
    found = checked(slow_export.client.get(f"{URL}?pipeline=image_to_3d&shape_key=other"))
    assert (found["shape_key"], found["runs"], found["items"]) == ("other", 0, [])
    assert checked(slow_export.client.get(f"{URL}?pipeline=image_to_3d"))["shape_key"] == "k"
    assert slow_export.client.get(f"{URL}?shape_key=other").status_code == 422


def test_names_from_outside_do_not_fill_the_memory(slow_export):
    from backend.jobs import advice_book

    for number in range(40):
        slow_export.client.get(f"{URL}?pipeline=image_to_3d&shape_key={number}")
        slow_export.client.get(f"{URL}?pipeline={number}")
    book = advice_book._books[slow_export.service]
    assert len(book._pages) == len(book._runs) == advice_book.KEPT_WORKS
    assert len(book._most_used) <= advice_book.KEPT_WORKS


def test_polling_costs_little(slow_export):
    """The goal is 5 ms; the limit here leaves room for a busy machine."""
    slow_export.client.get(URL)
    times_s = []
    for _ in range(20):
        begun_s = time.perf_counter()
        slow_export.client.get(URL)
        times_s.append(time.perf_counter() - begun_s)
    assert median(times_s) < 0.02


def test_the_web_process_starts_without_numpy():
    code = "import sys, backend.web.app; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
