"""The form that colours a mesh by pictures: its fields, and why some cannot be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.catalog import (
    BackgroundEngine,
    BackSide,
    MeshFront,
    Preset,
    TextureEngine,
    TextureMeshParams,
)
from backend.jobs.states import JobState
from backend.jobs.texture_again import KNOWN, OF_PICTURES, has_picture, params_again
from backend.web.api.models import models_document
from backend.web.other_views import SIDES
from backend.web.pages.model_choices import model_field
from backend.web.pages.parameter_form import FormField, FormGroup, fields_of
from backend.web.pages.service import job_service
from backend.web.pages.view_fields import ViewField

PAINT = TextureEngine.HUNYUAN3D_PAINT.value
TEXTURE_KIND = "texture"
FIRST = ("engine", "preset")
MORE = ("front", "back_side", "texture_size_px", "seed", "keep_uvs", "background")
OF_NETWORK = (
    "texture_model",
    "texture_steps",
    "texture_guidance",
    "texture_views",
    "view_px",
    "delight",
    "upscale",
)
LABELS = {
    "engine": "Made by",
    "preset": "Quality",
    "texture_size_px": "Texture size",
    "back_side": "Sides that no picture shows",
    "front": "The front of the mesh faces",
    "keep_uvs": "Keep its texture coordinates",
    "background": "Find the object by",
    "seed": "Seed",
    "texture_model": "Model",
    "texture_steps": "Steps",
    "texture_guidance": "Guidance",
    "texture_views": "Sides to paint",
    "view_px": "Size of a painted side",
    "delight": "Take light and shadow out",
    "upscale": "Enlarge by a network",
}
HELP = {
    "engine": "hunyuan3d_paint runs networks that paint all sides and needs weights; projection "
    "lays the pictures onto the mesh and guesses the rest. Auto takes the network where it is "
    "ready and there is a GPU, or where one of its models is chosen.",
    "preset": "Draft is faster; high makes a larger texture.",
    "back_side": "For projection. Auto looks for symmetry first; plain spreads the colours around.",
    "front": "+Y is up. The other pictures go by its front too.",
    "texture_size_px": "Pixels of a side: 512 for draft, 1024 for standard, 2048 for high.",
    "keep_uvs": "Where they are missing, overlap or repeat, new ones are made.",
    "background": "What tells the object from the background of the pictures.",
    "seed": "Same seed and settings, same texture. Drawn for you if empty.",
    "texture_model": "2.1 also paints metal and roughness; turbo is fast.",
    "texture_steps": "From noise to pictures.",
    "texture_guidance": "How strictly it follows the picture.",
    "texture_views": "2.1 takes up to 9, where six do not show enough.",
    "view_px": "512 or 768 are usual.",
    "delight": "2.0 only: light and shadow of the picture would stay in the texture.",
    "upscale": "Sharper, if its weights are here.",
}
_WORDS: dict[str, dict[str, str]] = {
    "engine": {PAINT: f"{PAINT} (network)",
               TextureEngine.PROJECTION.value: "projection (built in)"},
    "back_side": {BackSide.AUTO.value: "automatic", BackSide.MIRROR.value: "mirrored"},
    "front": {front.value: front.upper() for front in MeshFront},
    "preset": {preset.value: preset.value for preset in Preset},
    "background": {BackgroundEngine.AUTO.value: "auto"},
}  # fmt: skip
_EMPTY = {"seed": "drawn for you"}
# What the form of `image_to_3d` calls its texture engine.
ENGINE_FIELDS = ("engine", "texture_engine")


@dataclass(frozen=True)
class TextureFields:
    """Fields of the form, by where they stand.

    Parameters
    ----------
    first, more : list of FormField
        What everybody chooses, and what everybody may want to change.
    network : list of FormField
        What only the network heeds.
    has_network : bool
        Whether it may be there; unknown counts as yes.
    """

    first: list[FormField]
    more: list[FormField]
    network: list[FormField]
    has_network: bool


@dataclass(frozen=True)
class TextureAgain:
    """The form that colours the model of a job anew.

    Parameters
    ----------
    has_picture : bool
        Whether the job has a picture that is used where no other is chosen.
    views : list of ViewField
        For pictures from other sides.
    """

    fields: TextureFields
    has_picture: bool
    views: list[ViewField]


def texture_fields(values: Mapping[str, Any] | None = None) -> TextureFields:
    """Return the fields, filled with values, with what the worker says of the models."""
    document = models_document(job_service())
    made = fields_of(TextureMeshParams, LABELS, _EMPTY, values)
    fields = {field.name: explained(field, document) for field in made}
    return TextureFields(
        [fields[name] for name in FIRST],
        [fields[name] for name in MORE],
        [fields[name] for name in OF_NETWORK],
        has_network=texture_reason(document) is None,
    )


def texture_again(document: Mapping[str, Any]) -> TextureAgain | None:
    """Describe the form for a job; None where there is no model to colour."""
    is_done = document["status"] == JobState.SUCCEEDED
    roles = {output["role"] for output in document["outputs"]}
    if not is_done or document["pipeline"] not in KNOWN or "model" not in roles:
        return None
    pipeline = document["pipeline"]
    fields = texture_fields(params_again(pipeline, document["params"]))
    if pipeline in OF_PICTURES:  # the front of what a picture became is known
        fields = replace(fields, more=[one for one in fields.more if one.name != "front"])
    views = [ViewField(side, None) for side in SIDES]
    return TextureAgain(fields, has_picture(pipeline), views)


def texture_reason(document: Mapping[str, Any]) -> str | None:
    """Say why the network cannot be chosen; None where it can, or where nobody has looked."""
    reason: str | None = document.get("texture_unavailable") if document["looked_at"] else None
    return reason


def with_texture(groups: list[FormGroup], document: Mapping[str, Any]) -> list[FormGroup]:
    """Explain the fields of the texture in the form of a pipeline that makes one by the way."""
    for group in groups:
        group.fields = [
            explained(replace(field, label=LABELS.get(_own(field.name), field.label)), document)
            if field.name == "texture_engine" or field.name in (*OF_NETWORK, "back_side")
            else field
            for field in group.fields
        ]
    return groups


def explained(field: FormField, document: Mapping[str, Any]) -> FormField:
    """Put the words for people into a field; what is not ready cannot be chosen, and says why."""
    name, reason = _own(field.name), texture_reason(document)
    words = {**field.words, **_WORDS.get(name, {})}
    told = replace(field, help=HELP.get(name, field.help), words=words)
    if name == "texture_model":
        return model_field(told, document, TEXTURE_KIND)
    if name != "engine" or reason is None:
        return told
    words = {**words, PAINT: f"{words[PAINT]}: not available"}
    disabled = frozenset({PAINT} - {field.value})  # a browser does not send what is disabled
    return replace(told, words=words, disabled=disabled, hint=f"{PAINT}: {reason}.")


def _own(name: str) -> str:
    return "engine" if name in ENGINE_FIELDS else name
