"""Pages and figures about everybody's work name nobody's jobs but the caller's own."""

from __future__ import annotations

import pytest

from backend.web.api import gpu_history
from tests.profiling.made_runs import made_profile
from tests.web.test_access import submitted


@pytest.mark.parametrize("path", ["/performance", "/performance/live"])
def test_the_table_of_runs_links_to_own_jobs_only(keyed, ann, ben, boss, small_png, path):
    job = submitted(ann, small_png)["id"]
    keyed.service.run_history.record(
        made_profile({"mesh_export": 1.0}), job_id=job, pipeline="image_to_3d", engine={},
        settings={}, shape_key="s", batch_size=1,
    )  # fmt: skip
    for caller, is_seen in ((ann, True), (ben, False), (boss, True), (ben, False)):
        page = caller.get(path)
        assert page.status_code == 200
        assert (job in page.text) is is_seen, caller.key.name
        assert 'data-run="' in page.text  # what it took is for everybody


def test_readings_of_a_device_name_own_jobs_only(keyed, ann, ben, boss, small_png, monkeypatch):
    job, other = (submitted(who, small_png)["id"] for who in (ann, ben))
    rows = [[1.0, 50.0, job, "mesh_export"], [2.0, 60.0, other, None], [3.0, 0.0, None, None]]
    device = {"key": "host:x", "columns": ["at_s", "cpu_pct", "job", "stage"], "rows": rows}
    monkeypatch.setattr(gpu_history, "read_history", lambda *_: [device])

    def named(caller):
        found = caller.get("/api/gpu/history").json["devices"][0]
        assert [row[:2] for row in found["rows"]] == [row[:2] for row in rows]
        return [row[2] for row in found["rows"]]

    assert named(ann) == [job, None, None]
    assert named(ben) == [None, other, None]
    assert named(boss) == [job, other, None]


def test_buttons_that_change_the_server_are_for_administrators(ann, boss):
    forms = ('id="tune-form"', 'id="deep-button"')
    for caller, is_admin in ((ann, False), (boss, True)):
        page = caller.get("/performance").text
        assert [form in page for form in forms] == [is_admin] * 2
        assert ('id="read-only"' in page) is not is_admin
        assert ('id="read-only"' in caller.get("/gpu").text) is not is_admin


def test_without_keys_everybody_may_change_the_server(server):
    for path in ("/gpu", "/performance"):
        assert 'id="read-only"' not in server.client.get(path).text
