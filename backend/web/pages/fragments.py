"""The part of a job page that changes, rendered from a job document."""

from __future__ import annotations

import json
from typing import Any

from flask import render_template

from backend.catalog import PipelineName
from backend.jobs.states import JobState
from backend.web.pages.waveform import BARS_OF_A_TILE, waveform

DOWNLOADS = {
    "model": ("GLB", ".glb"),
    "speech": ("Recording, WAV", ".wav"),
    "model_obj": ("OBJ + texture", "_obj.zip"),
    "model_stl": ("STL", ".stl"),
    "model_ply": ("PLY", ".ply"),
    "mesh_report": ("Report, JSON", "-report.json"),
    "parts": ("All parts, GLB", "-parts.glb"),
    "parts_zip": ("Each part as a file", "-parts.zip"),
    "exploded": ("Exploded, GLB", "-exploded.glb"),
    "face_ids": ("Part of each face", "-face_ids.npy"),
    "boxes": ("Boxes, JSON", "-boxes.json"),
}


def render_job_live(document: dict[str, Any], csrf: str = "") -> str:
    """Render ``#job-live`` from the JSON of a job.

    Parameters
    ----------
    document : dict
        From ``job_document``, brought up to date by events.
    csrf : str
        Token of the browser's forms.
    """
    outputs = document["outputs"]
    downloads = [
        {
            "url": output["url"],
            "label": DOWNLOADS[output["role"]][0],
            "ending": DOWNLOADS[output["role"]][1],
            "size": size_text(output["bytes"]),
        }
        for output in sorted(outputs, key=lambda one: [*DOWNLOADS, one["role"]].index(one["role"]))
        if output["role"] in DOWNLOADS
    ]
    is_speech = document["pipeline"] == PipelineName.SPEECH
    return render_template(
        "fragments/speech_job.html" if is_speech else "fragments/job_live.html",
        job=document,
        files=file_addresses(document),
        downloads=downloads,
        stem=document["name"].rsplit(".", 1)[0] or "model",
        settings_json=json.dumps(document["params"], indent=1),
        csrf=csrf,
    )


def file_addresses(document: dict[str, Any]) -> dict[str, str]:
    """Addresses for showing a job's files in a page, by role."""
    return {
        output["role"]: f"{output['url']}?inline=1&v={output['sha256'][:8]}"
        for output in document["outputs"]
    }


def card(document: dict[str, Any]) -> dict[str, Any]:
    """What a list shows of a job."""
    shown = file_addresses(document)
    return {
        **document,
        "thumbnail": shown.get("thumbnail") or shown.get("cutout"),
        "waveform": waveform(document["facts"].get("speech"), BARS_OF_A_TILE),
        "ended": JobState(document["status"]).is_terminal,
    }


def size_text(size: int) -> str:
    """Write a file size for people.

    >>> size_text(212), size_text(812_345), size_text(2_500_000)
    ('212 bytes', '793 KB', '2.4 MB')
    """
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{size / 1024:.0f} KB"
