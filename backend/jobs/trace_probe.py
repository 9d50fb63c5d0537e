"""Reads the traces of deep profiles while a worker has nothing else to do."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Mapping
from typing import Any

from backend.errors import NotFound
from backend.jobs.evidence_traces import NAME
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.jobs.service import JobService
from backend.profiling.deep_profile import DeepFile
from backend.profiling.device_trace import StageTrace, read_device_trace
from backend.profiling.run_summary import StoredRun
from backend.profiling.spans import PipelineProfile
from backend.profiling.stage_parts import stage_parts

log = logging.getLogger(__name__)


class TraceProbe:
    """Sums up the newest trace once; the page that gives advice has no time for it.

    Only whole traces of a card count: one that ended early does not know all of its stages.

    Parameters
    ----------
    service : JobService
        Jobs, their runs and their deep profiles.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._measurements = Measurements(service.store.engine, service.clock)
        self._read_already: set[str] = set()

    def look(self) -> dict[str, Any] | None:
        """Read the newest trace unless that was done; no failure of it reaches the caller.

        Returns
        -------
        dict or None
            What was found and stored; None where there was nothing new.
        """
        try:
            return self._look()
        except Exception:  # a look that nobody asked for must not end the worker
            log.warning("the trace of a deep profile was not read", exc_info=True)
            return None

    def _look(self) -> dict[str, Any] | None:
        item = next(filter(_is_whole, self._service.deep_profiles.document()["items"]), None)
        if item is None or item["run"] in self._read_already:
            return None
        self._read_already.add(item["run"])
        run = self._service.run_history.run(item["run"])
        if run is None or run.summary.device is None:
            return None
        about = MeasuredOn(NAME, run.summary.pipeline, run.summary.shape_key, run.summary.device)
        known = self._measurements.newest(about)
        if known is not None and known.document.get("run") == item["run"]:
            return None
        found = self._stages(item["job_id"], run)
        if not found:
            return None
        stages = {stage: trace.to_document() for stage, trace in found.items()}
        document = {"run": item["run"], "stages": stages}
        self._measurements.keep(about, document, 1)
        return document

    def _stages(self, job_id: str, run: StoredRun) -> dict[str, StageTrace]:
        try:
            path = self._service.deep_profiles.file(job_id, DeepFile.TORCH_TRACE)
        except NotFound:  # torch was not in use
            return {}
        with gzip.open(path, "rt", encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        profile = PipelineProfile.from_document(run.profile)
        return read_device_trace(events, stage_parts(profile).keys())


def _is_whole(item: Mapping[str, Any]) -> bool:
    window = item.get("torch") or {}
    return bool(item.get("run")) and bool(window.get("kernels")) and not window["stopped_early"]
