"""The part explorer of a job page, and the table of parts for browsers that cannot show it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from backend.catalog import Upload, pipeline_spec
from backend.errors import MeshkilnError, NotFound
from backend.jobs.parts.picking import can_pick
from backend.jobs.records import file_url, job_document
from backend.web.api.parts import parts_service
from backend.web.pages.fragments import file_addresses
from backend.web.pages.part_boxes import boxes_view
from backend.web.pages.service import job_service

SURFACE_ROLE = "surface"
TREE_ROLE = "part_tree"
MESH_NAME = "mesh.glb"


def install(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/jobs/<job_id>/parts", view_func=parts)


def parts(job_id: str) -> str:
    """The explorer alone, for a page that was open before the parts were there."""
    found = explorer(job_document(job_service().store.get(job_id)))
    if found is None:
        raise NotFound("This job has no parts.")
    return render_template("fragments/parts.html", explorer=found)


def explorer(document: dict[str, Any]) -> dict[str, Any] | None:
    """Describe the explorer of a job; None if the job has no parts, or their files are gone."""
    files = file_addresses(document)
    if SURFACE_ROLE not in files or TREE_ROLE not in files:
        return None
    try:
        latest = parts_service().look(document["id"])
        versions = parts_service().versions(document["id"])["items"]
    except MeshkilnError:
        return None
    return {
        "job_id": document["id"],
        "name": document["name"],
        "surface": files[SURFACE_ROLE],
        "tree": files[TREE_ROLE],
        "url": f"/api/v1/jobs/{document['id']}/parts",
        "mesh": _mesh_address(document),
        "picks": f"/api/v1/jobs/{document['id']}/picks" if can_pick(document["facts"]) else None,
        "boxes": boxes_view(job_service().store.get(document["id"])),
        "picture": files.get("thumbnail"),
        "document": latest.document(),
        "versions": versions,
    }


def _mesh_address(document: dict[str, Any]) -> str | None:
    """Where the mesh is whose faces the part numbers count; None if it was made by the job."""
    is_sent = pipeline_spec(document["pipeline"]).upload is Upload.MESH
    return file_url(document["id"], MESH_NAME) if is_sent else None
