"""What one request costs the web process, measured on this machine."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path

from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.app import create_app
from bench.scale_costs import Cost, measure
from bench.submit_latency import photo_2mb


def measure_web() -> dict[str, Cost]:
    """A submit with a photo of 2 MB and a status, in the web process; CPU time is what counts."""
    with tempfile.TemporaryDirectory(prefix="mk-scale-") as folder:
        settings = replace(Settings.from_env({}), data_dir=Path(folder), disk_floor_mb=1)
        service = JobService(settings)
        client = create_app(settings, service).test_client()
        photo = photo_2mb()
        ids: list[str] = []

        def submit(_: int) -> None:
            form = {"pipeline": "image_to_3d", "file": (io.BytesIO(photo), "ball.jpg")}
            answer = client.post("/api/v1/jobs", data=form)
            ids.append(answer.get_json()["id"])

        costs = {
            "web submit": measure(submit, 20, None),
            "web status": measure(lambda _: client.get(f"/api/v1/jobs/{ids[0]}"), 300, None),
        }
        service.close()
    return costs
