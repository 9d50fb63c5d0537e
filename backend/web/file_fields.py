"""Which files a submit may hold: their names in a form, by pipeline."""

from __future__ import annotations

from backend.catalog import PIPELINES, PipelineName, Upload
from backend.errors import FieldProblem, InvalidParameter
from backend.web.other_views import SIDES, TAKE_VIEWS
from backend.web.picture_files import MASK
from backend.web.texture_inputs import FIELDS as TEXTURE_FIELDS

MAIN = "file"
PART_FIELDS = ("face_ids", "boxes")
FILE_FIELDS = (MAIN, *TEXTURE_FIELDS, *PART_FIELDS)

_KINDS = {Upload.IMAGE: "a picture", Upload.MESH: "a mesh", Upload.AUDIO: "a recording"}


def upload_of(pipeline: str) -> Upload:
    """What a pipeline is sent; one that does not exist takes pictures."""
    specs = (spec.upload for name, spec in PIPELINES.items() if name == pipeline)
    return next(specs, Upload.IMAGE)


def field_of(name: str, pipeline: str) -> str:
    """Name the field that is meant: what the pipeline takes may be called as it is in JSON."""
    return MAIN if name == upload_of(pipeline).value else name


def not_expected(
    name: str, pipeline: str, detail: str = "is not for this pipeline"
) -> InvalidParameter:
    """Refuse a file, and say which ones are taken."""
    kind = upload_of(pipeline)
    others = _others(pipeline)
    besides = f" This pipeline also takes: {', '.join(others)}." if others else ""
    return InvalidParameter(
        f"{name[:60]}: not expected here.",
        advice=f"Send {_KINDS[kind]} in the field '{MAIN}' (or '{kind.value}').{besides}",
        fields=(FieldProblem(f"/{name[:60]}", detail),),
    )


def _others(pipeline: str) -> tuple[str, ...]:
    if pipeline == PipelineName.TEXTURE_MESH:
        return TEXTURE_FIELDS
    if pipeline in TAKE_VIEWS:
        return (MASK, *SIDES)
    return PART_FIELDS if pipeline == PipelineName.COMPLETE_PARTS else ()
