"""The form of a pipeline's parameters, drawn from the catalog so that it cannot drift."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic.fields import FieldInfo

from backend.catalog import ImageTo3DParams, PipelineParams

ELSEWHERE = frozenset({"preset", "seed"})
GROUPS = {
    "Object": ("background",),
    "Shape": (
        "engine",
        "model",
        "steps",
        "guidance",
        "decoder",
        "shape_mode",
        "depth_scale",
        "grid_resolution",
        "target_faces",
        "size_m",
    ),
    "Texture": (
        "texture",
        "texture_engine",
        "texture_size_px",
        "back_side",
        "texture_model",
        "texture_steps",
        "texture_guidance",
        "texture_views",
        "view_px",
        "delight",
        "upscale",
    ),
}
UNITS = {"_px": "pixels", "_m": "metres"}
UNSET = {"": "from the preset", "true": "yes", "false": "no"}  # a switch that need not be set


@dataclass(frozen=True)
class FormField:
    """One field: what the template needs to draw it.

    Parameters
    ----------
    words : mapping of str to str
        What choices are called, where that differs from their value.
    disabled : frozenset of str
        Choices that are shown but cannot be made.
    hint : str
        Why not; shown with a link to the models.
    """

    name: str
    label: str
    kind: str
    value: Any
    help: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: str = "any"
    placeholder: str = "from the preset"
    words: Mapping[str, str] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    hint: str = ""


@dataclass
class FormGroup:
    """Fields under one heading; ``changed`` when a value differs from its default."""

    title: str
    fields: list[FormField] = field(default_factory=list)
    changed: bool = False


def parameter_groups(values: Mapping[str, Any]) -> list[FormGroup]:
    """Groups of fields, filled with ``values`` where given."""
    groups = []
    for title, names in GROUPS.items():
        group = FormGroup(title)
        for name in names:
            info = ImageTo3DParams.model_fields[name]
            value = values.get(name, _plain(info.default))
            group.fields.append(_field(name, info, value))
            group.changed |= value != _plain(info.default)
        groups.append(group)
    return groups


def fields_of(
    params: type[PipelineParams],
    labels: Mapping[str, str],
    empty: Mapping[str, str],
    values: Mapping[str, Any] | None = None,
) -> list[FormField]:
    """Fields of a pipeline with labels of their own, in their order.

    Parameters
    ----------
    labels : mapping of str to str
        Label by parameter; those without one are left out.
    empty : mapping of str to str
        What a field without a value shows.
    values : mapping, optional
        What fields are filled with instead of their defaults.
    """
    made = []
    for name, label in labels.items():
        info = params.model_fields[name]
        plain = _field(name, info, (values or {}).get(name, _plain(info.default)))
        made.append(replace(plain, label=label, placeholder=empty.get(name, plain.placeholder)))
    return made


def _field(name: str, info: FieldInfo, value: Any) -> FormField:
    kind = _type(info)
    suffix = next((ending for ending in UNITS if name.endswith(ending)), "")
    label = name.removesuffix(suffix).replace("_", " ").capitalize()
    unit = UNITS.get(suffix, "")
    text = info.description or ""
    if kind is bool and info.default is None:
        chosen = "" if value is None else str(value).lower()
        return FormField(name, label, "select", chosen, text, choices=(*UNSET,), words=UNSET)
    if kind is bool:
        return FormField(name, label, "checkbox", value, text)
    if issubclass(kind, enum.Enum):
        return FormField(
            name, label, "select", value, text, choices=tuple(item.value for item in kind)
        )
    low, high = (_bound(info, side) for side in ("ge", "le"))
    step = "1" if kind is int else "any"
    return FormField(name, label, "number", value, text, unit, minimum=low, maximum=high, step=step)


def _type(info: FieldInfo) -> type:
    annotation: Any = info.annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    found: type = annotation
    return found


def _bound(info: FieldInfo, side: str) -> float | None:
    return next((getattr(m, side) for m in info.metadata if hasattr(m, side)), None)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
