"""What the 3D view of a job says while there is nothing to show in it."""

from __future__ import annotations

from typing import Any

from backend.catalog import PipelineName, Upload, pipeline_spec
from backend.jobs.states import JobState

_PARTS_FOLLOW = frozenset(
    {PipelineName.SEGMENT_PARTS, PipelineName.COMPLETE_PARTS, PipelineName.IMAGE_TO_PARTS}
)
_MODEL_IS_THERE = "Turn on JavaScript to turn the model around."


def empty_view_words(document: dict[str, Any], files: dict[str, str]) -> dict[str, str]:
    """Choose the words for a job.

    Parameters
    ----------
    document : dict
        From ``job_document``.
    files : dict
        Addresses of its files by role.

    Returns
    -------
    dict
        ``now``, and ``failed``: what is said once the job has ended without a model.
    """
    of_mesh = _takes_a_mesh(document["pipeline"])
    failed = "The mesh was not read." if of_mesh else "No model was made."
    ended = JobState(document["status"]).is_terminal
    if ended:
        shown = files.get("model") or files.get("preview")
        return {"now": _MODEL_IS_THERE if shown else failed, "failed": failed}
    now = (
        "The mesh appears here as soon as it has been read"
        if of_mesh
        else "The model appears here as soon as its shape is built"
    )
    parts = document["pipeline"] in _PARTS_FOLLOW
    return {"now": now + (", then its parts." if parts else "."), "failed": failed}


def _takes_a_mesh(pipeline: str) -> bool:
    return pipeline_spec(pipeline).upload is Upload.MESH
