"""The pages: HTML for people, built from the same service as the API."""

from __future__ import annotations

from flask import Blueprint

from backend import __version__
from backend.web.pages import (
    batches,
    batches_new,
    cutouts,
    deep_profile,
    docs,
    gallery,
    generate,
    gpu,
    job,
    live_run,
    meshes,
    models,
    part_boxes,
    parts,
    performance,
    small_pictures,
    speech,
    textures,
)
from backend.web.pages.shortcuts import SHORTCUTS

blueprint = Blueprint("pages", __name__)
for module in (
    generate, job, gallery, batches_new, batches, cutouts, gpu, performance, deep_profile, live_run,
    small_pictures, textures, docs, parts, part_boxes, meshes, models, speech,
):  # fmt: skip
    module.install(blueprint)


@blueprint.app_context_processor
def page_globals() -> dict[str, object]:
    """What the layout shows on every page."""
    return {"version": __version__, "shortcuts": SHORTCUTS}


__all__ = ["blueprint"]
