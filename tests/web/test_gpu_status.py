from __future__ import annotations

from backend.web.api.gpu import DEVICE_KEYS
from tests.web.test_health import beat

DEVICE = {
    "available": True, "backend": "nvml", "reason_unavailable": None, "driver": "580.1",
    "cuda": "13.0",
    "devices": [{"index": 0, "name": "Card", "vram_total_mb": 1000, "vram_used_mb": 250,
                 "vram_free_mb": 750, "gpu_util_pct": 40}],
    "host": {"cpu_pct": 3.0, "ram_total_mb": 8000},
}  # fmt: skip


def test_silence_is_offline_and_unknown_is_null(server):
    status = server.client.get("/api/gpu/status").json
    assert status["worker"]["state"] == "offline"
    assert status["available"] is False
    assert status["total_mb"] is status["utilization"] is status["sampled_at"] is None
    assert status["memory"]["used_mb"] is None
    assert "no GPU worker" in status["reason_unavailable"]


def test_the_full_shape_from_the_heartbeat(live_server):
    live_server.service.events.client.flushall()
    beat(live_server, "cpu", device={})
    beat(live_server, "gpu", state="busy", current_job="j", mode="gpu", device=DEVICE)
    status = live_server.client.get("/api/gpu/status").json
    assert status["available"] is True
    assert status["worker"] == {"state": "busy", "current_job": "j", "stage": None,
                                "progress": None, "current_jobs": []}  # fmt: skip
    assert (status["total_mb"], status["used_mb"], status["utilization"]) == (1000, 250, 25.0)
    assert status["memory"]["utilization_percent"] == 25.0
    assert status["devices"][0]["gpu_util_pct"] == 40, "computing is another figure than memory"
    assert set(status["devices"][0]) == set(DEVICE_KEYS)
    assert status["devices"][0]["pcie"]["gen"] is None
    assert status["age_ms"] < 5000
    assert live_server.client.get("/gpu/status").json["devices"] == status["devices"]


def test_the_shape_of_earlier_optimizers_is_carried_too(live_server):
    live_server.service.events.client.flushall()
    held = {"vram_used_by_us_mb": {"allocated": 100, "reserved": 160, "peak": 170}}
    device = DEVICE | {"devices": [DEVICE["devices"][0] | held | {"vram_used_mb": 970}]}
    trends = {"trend": "stable", "avg_utilization": 97.0, "peak_utilization": 97.0,
              "min_utilization": 97.0, "variance": 0.0, "stable": True}  # fmt: skip
    beat(live_server, "gpu", mode="gpu", device=device, trends=trends)
    status = live_server.client.get("/api/gpu/status").json
    assert status["memory"] == {
        "total_mb": 1000, "used_mb": 970, "free_mb": 750, "cached_mb": 60,
        "utilization_percent": 97.0,
    }  # fmt: skip
    assert status["trends"] == trends
    assert status["recommendations"][0].startswith("⚠️ 97.0 % of the GPU's memory is in use")
    assert status["timestamp"] == status["sampled_at"]


def test_queue_depth(server, small_png):
    server.submit(small_png)
    assert server.client.get("/api/gpu/status").json["queue"]["depth"] == 1


def test_htmx_gets_a_fragment(server):
    answer = server.client.get("/api/gpu/status", headers={"HX-Request": "true"})
    assert answer.mimetype == "text/html"
    assert "<html" not in answer.text


def test_all_jobs_that_a_worker_holds_are_told_and_shown(live_server):
    live_server.service.events.client.flushall()
    held = [
        {"id": "first", "stage": "shape_generation", "progress": 45.4, "waits": False},
        {"id": "second", "stage": None, "progress": 0.0, "waits": True},
    ]
    beat(live_server, "gpu", state="busy", current_job="first", current_jobs=held, device=DEVICE)
    assert live_server.client.get("/api/gpu/status").json["worker"]["current_jobs"] == held
    page = live_server.client.get("/gpu/live").text
    words = " ".join(page[page.index('id="gpu-jobs"') :].partition("</p>")[0].split())
    assert '<a href="/jobs/first">first</a> (shape generation, 45 %)' in words
    assert "(starting, 0 %, waits for the device or for the others)" in words
    beat(live_server, "gpu", state="idle", current_jobs=[], device=DEVICE)
    assert "gpu-jobs" not in live_server.client.get("/gpu/live").text
