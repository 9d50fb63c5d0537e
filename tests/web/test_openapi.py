from __future__ import annotations

import re

from openapi_spec_validator import validate

from backend.catalog import PipelineName
from backend.web.api.openapi import document

OTHER_BLUEPRINTS = {"pages", "login", "share_forms", "share_page"}


def routes(app):
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or rule.endpoint.split(".")[0] in OTHER_BLUEPRINTS:
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield path, method.lower()


def documented():
    for path, operations in document()["paths"].items():
        for method in operations:
            yield path, method


def test_every_route_is_documented_and_every_document_is_a_route(server):
    assert set(routes(server.app)) == set(documented())


def test_it_is_openapi(server):
    answer = server.client.get("/openapi.json")
    assert answer.json["openapi"].startswith("3.1")
    validate(answer.json)
    assert answer.headers["ETag"]


def test_parameters_of_each_pipeline_are_there():
    schemas = document()["components"]["schemas"]
    assert schemas["ImageTo3DParams"]["additionalProperties"] is False
    assert "grid_resolution" in schemas["ImageTo3DParams"]["properties"]
    assert schemas["PipelineName"]["enum"] == [*PipelineName]


def test_a_real_job_has_the_documented_members(server, small_png):
    job = server.submit(small_png)
    assert set(job) == set(document()["components"]["schemas"]["Job"]["properties"])
    status = server.client.get("/api/gpu/status").json
    assert set(status) == set(document()["components"]["schemas"]["GpuStatus"]["properties"])


def test_problem_members(server):
    problem = server.client.get("/api/v1/jobs/x").json
    named = document()["components"]["schemas"]["Problem"]["properties"]
    assert set(problem) == set(named)


def test_a_change_without_its_version_is_documented():
    patch = document()["paths"]["/api/v1/jobs/{job_id}/parts"]["patch"]
    assert {"412", "428"} <= set(patch["responses"])
    assert "428 `version-needed`" in patch["summary"]


def test_operation_ids_are_unique():
    operations = [op for path in document()["paths"].values() for op in path.values()]
    ids = [op["operationId"] for op in operations]
    assert len(ids) == len(set(ids))
