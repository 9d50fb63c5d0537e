"""The form that splits a mesh into parts: its fields, and why some cannot be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.catalog import (
    CompletePartsParams,
    CompletionEngine,
    CompletionParams,
    ImageToPartsParams,
    PartQuality,
    PartSolver,
    PipelineName,
    Preset,
    SegmentationEngine,
)
from backend.web.api.models import models_document
from backend.web.pages.draft_time import draft_time_text
from backend.web.pages.parameter_form import FormField, fields_of
from backend.web.pages.service import job_service

ONLY_CLOSED = frozenset(CompletionParams.model_fields)
_LABELS = {
    "engine": "Found by",
    "preset": "Quality",
    "points": "Points to look at",
    "prompts": "Points to ask for",
    "threshold": "Area in large parts",
    "post_process": "Join small parts",
    "completion": "Closed by",
    "part_quality": "Exact or lossy",
    "part_steps": "Steps",
    "part_solver": "How to take them",
    "part_cells": "Cells",
}
_HELP = {
    "engine": "p3sam runs a network and needs its weights; line_of_sight_parts goes by the shape "
    "alone and needs nothing. Auto takes the network if it is ready.",
    "preset": "For networks. Draft is faster and misses small parts.",
    "points": "More find smaller parts and take longer.",
    "prompts": "More find more parts and take longer.",
    "threshold": "Parts beyond this share of the area are small.",
    "post_process": "They join the largest part that they touch; off leaves them as they are.",
    "completion": "xpart makes up what is hidden and needs weights; cap_parts closes cuts flat.",
    "part_quality": "The lossy ones take half the time and give other parts.",
    "part_steps": "From noise to parts, in place of those of the choice above.",
    "part_solver": "midpoint gives other parts than euler.",
    "part_cells": "Along the longest side of the object.",
}
_WORDS: dict[str, dict[str, str]] = {
    "engine": {SegmentationEngine.P3SAM.value: "p3sam (network)",
               SegmentationEngine.LINE_OF_SIGHT_PARTS.value: "line_of_sight_parts (built in)"},
    "completion": {CompletionEngine.XPART.value: "xpart (network)",
                   CompletionEngine.CAP_PARTS.value: "cap_parts (built in)"},
    "part_quality": {"": "from the preset", PartQuality.EXACT.value: "exact: 50 Euler steps",
                     PartQuality.FEWER_STEPS.value: "fewer steps: 25 Euler steps, lossy",
                     PartQuality.SECOND_ORDER.value: "second order: 13 midpoint steps, lossy"},
    "part_solver": {"": "from the choice above", PartSolver.EULER.value: "euler, as published"},
    "preset": {preset.value: preset.value for preset in Preset},
}  # fmt: skip
_ENGINES = {
    "engine": (SegmentationEngine.P3SAM.value, "segmentation"),
    "completion": (CompletionEngine.XPART.value, "completion"),
}


@dataclass(frozen=True)
class MeshFields:
    """Fields of the form, by where they stand.

    Parameters
    ----------
    finding : list of FormField
        How parts are found.
    network : list of FormField
        What only the network that finds parts heeds.
    closing : list of FormField
        How parts are closed.
    completion : list of FormField
        What only the network that closes parts heeds.
    has_network, has_completion : bool
        Whether that network may be there; unknown counts as yes.
    """

    finding: list[FormField]
    network: list[FormField]
    closing: list[FormField]
    completion: list[FormField]
    has_network: bool
    has_completion: bool


def mesh_fields() -> MeshFields:
    """Return the fields with what the worker says of the models."""
    document = models_document(job_service())
    reasons = document["parts_unavailable"] if document["looked_at"] else {}
    fields = {
        field.name: _explained(field, reasons)
        for field in fields_of(CompletePartsParams, _LABELS, {})
    }
    if document["looked_at"] and not fields["engine"].disabled:
        preset = fields["preset"]
        fields["preset"] = replace(preset, help=f"{preset.help} {draft_time_text()}")

    def chosen(*names: str) -> list[FormField]:
        return [fields[name] for name in names]

    return MeshFields(
        chosen("engine", "preset"),
        chosen("points", "prompts", "threshold", "post_process"),
        chosen("completion"),
        chosen("part_quality", "part_steps", "part_solver", "part_cells"),
        has_network=not fields["engine"].disabled,
        has_completion=not fields["completion"].disabled,
    )


def part_quality_field(value: Any, document: Mapping[str, Any]) -> FormField | None:
    """Return the field of the form for pictures; None where the network it is for is not there.

    Parameters
    ----------
    value : str or None
        What it is filled with.
    document : mapping
        As ``GET /api/v1/models`` answers.
    """
    reasons = document["parts_unavailable"] if document["looked_at"] else {}
    if reasons.get("completion") is not None:
        return None
    labels = {"part_quality": "Parts exact or lossy"}
    (field,) = fields_of(ImageToPartsParams, labels, {}, {"part_quality": value})
    return _explained(field, {}, is_optional=True)


def without_foreign(pipeline: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the form holds for closed parts where none are made.

    A form without JavaScript sends all of its fields.
    """
    closes = pipeline not in (PipelineName.SEGMENT_PARTS, PipelineName.IMAGE_TO_3D)
    return {name: value for name, value in params.items() if closes or name not in ONLY_CLOSED}


def _explained(
    field: FormField, reasons: Mapping[str, str | None], *, is_optional: bool = False
) -> FormField:
    words = _WORDS.get(field.name, {})
    choices = field.choices
    if choices and (is_optional or field.value is None):
        choices = ("", *choices)
    told = replace(field, help=_HELP[field.name], words=words, choices=choices)
    return _by_model(told, reasons) if field.name in _ENGINES else told


def _by_model(field: FormField, reasons: Mapping[str, str | None]) -> FormField:
    """Say of a network that it cannot be chosen, and why; nothing where nobody has looked."""
    engine, role = _ENGINES[field.name]
    reason = reasons.get(role)
    if reason is None:
        return field
    words = {**field.words, engine: f"{field.words[engine]}: not available"}
    return replace(field, words=words, disabled=frozenset({engine}), hint=f"{engine}: {reason}.")
