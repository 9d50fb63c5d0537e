"""New jobs from the picture of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import FileStorage

from backend.catalog import PIPELINES, PipelineName, parse_options
from backend.errors import FilesExpired
from backend.jobs.records import JobRecord
from backend.jobs.service import priority_of
from backend.web.pages.service import job_service
from backend.web.security import CSRF_FIELD
from backend.web.uploads import normalise_image, normalise_mask

NOT_PARAMETERS = frozenset({"source_job", "pipeline", CSRF_FIELD, "name", "priority"})


def submit_from_source(
    form: Mapping[str, str],
    mask: FileStorage | None,
    pipeline: PipelineName = PipelineName.IMAGE_TO_3D,
) -> JobRecord:
    """Make a job from the picture of ``form['source_job']``, with a new mask if one is sent.

    Raises
    ------
    NotFound, FilesExpired, InvalidParameter
    """
    service = job_service()
    source = service.store.get(form["source_job"])
    picture = source_picture(source)
    files = {"image.png": picture}
    if mask is not None and mask.filename:
        found = normalise_image(picture, None, service.settings)
        size = (found.width, found.height)
        files["mask.png"] = normalise_mask(mask.read(), size, service.settings)
    options = parse_options({"priority": form.get("priority", "normal")})
    new = service.prepare(
        pipeline,
        form_parameters(form, pipeline),
        source.name,
        priority=priority_of(options.priority),
    )
    job, _, _ = service.submit(new, files)
    return job


def source_picture(source: JobRecord) -> bytes:
    """The picture a job was made from; raises FilesExpired when it is gone."""
    path = job_service().artefacts.input_path(source.id, "image.png")
    if path is None:
        raise FilesExpired("The picture of this job was removed.")
    return path.read_bytes()


def form_parameters(form: Mapping[str, str], pipeline: PipelineName) -> dict[str, Any]:
    """Pick the parameters of a pipeline from a form; of a checkbox the last value counts."""
    known = PIPELINES[pipeline].params.model_fields
    lists = form.lists() if hasattr(form, "lists") else ((k, [v]) for k, v in form.items())
    values = {name: many[-1] for name, many in lists if many[-1] != ""}
    return {
        name: value
        for name, value in values.items()
        if name not in NOT_PARAMETERS and (name in known or pipeline is PipelineName.IMAGE_TO_3D)
    }
