"""What the 3D view of a job says while there is nothing to show in it."""

from __future__ import annotations

from typing import Any

from backend.catalog import PipelineName, Upload, pipeline_spec
from backend.jobs.states import JobState

_PARTS_FOLLOW = frozenset(
    {PipelineName.SEGMENT_PARTS, PipelineName.COMPLETE_PARTS, PipelineName.IMAGE_TO_PARTS}
)
_MODEL_IS_THERE = "Loading the model…"
_WITHOUT_SCRIPT = "Turn on JavaScript to turn the model around."


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
        ``now``; ``failed``, said once the job has ended without a model; and ``without_script``,
        said in place of ``now`` where JavaScript is off, or "".
    """
    of_mesh = _takes_a_mesh(document["pipeline"])
    failed = "Nothing was made of the mesh." if of_mesh else "No model was made."
    ended = JobState(document["status"]).is_terminal
    if ended:
        shown = files.get("model") or files.get("preview")
        if shown:
            return {"now": _MODEL_IS_THERE, "failed": failed, "without_script": _WITHOUT_SCRIPT}
        return {"now": failed, "failed": failed, "without_script": ""}
    now = (
        "The mesh appears here as soon as it has been read"
        if of_mesh
        else "The model appears here as soon as its shape is built"
    )
    parts = document["pipeline"] in _PARTS_FOLLOW
    words = now + (", then its parts." if parts else ".")
    return {"now": words, "failed": failed, "without_script": ""}


def _takes_a_mesh(pipeline: str) -> bool:
    return pipeline_spec(pipeline).upload is Upload.MESH
