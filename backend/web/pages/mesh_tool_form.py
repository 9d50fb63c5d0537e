"""The form that checks, repairs and converts a mesh, and how its report is shown."""

from __future__ import annotations

from typing import Any

from backend.catalog import PrepareMeshParams
from backend.web.pages.parameter_form import FormField, FormGroup, fields_of

_RESULT = "What to write"
_GROUPS = {
    _RESULT: {
        "format": "Format",
        "target_faces": "Most faces",
        "units": "Unit",
        "up": "Up-axis",
    },
    "Repair": {
        "repair": "Repair it",
        "hole_share": "Widest hole to fill",
        "debris_share": "Smallest piece to keep",
    },
    "Unit and size of your file": {
        "from_units": "Its unit",
        "from_up": "Its up-axis",
        "size_m": "Longest side",
    },
}
_EMPTY = {"target_faces": "all", "size_m": "as it is"}

# Figures in the order of the table, whether more than none is a fault, and how they are written.
_ROWS = (
    ("vertices", "Vertices", False),
    ("faces", "Faces", False),
    ("bodies", "Pieces", False),
    ("extents_m", "Size", False),
    ("area_m2", "Area", False),
    ("volume_m3", "Volume", False),
    ("is_watertight", "Watertight", False),
    ("border_loops", "Open borders", True),
    ("non_manifold_edges", "Edges of 3 or more faces", True),
    ("flipped_edges", "Edges where sides clash", True),
    ("degenerate_faces", "Faces without area", True),
    ("duplicate_faces", "Faces twice", True),
    ("inward_bodies", "Pieces inside out", True),
    ("has_uvs", "Texture coordinates", False),
    ("has_vertex_colors", "Colours of vertices", False),
    ("materials", "Materials", False),
    ("textures", "Textures", False),
)


def tool_fields() -> list[FormGroup]:
    """Groups of fields of the form; the first is open."""
    return [
        FormGroup(title, _fields(labels), changed=title == _RESULT)
        for title, labels in _GROUPS.items()
    ]


def report_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table: a figure before and after, and whether it tells of a fault."""
    before, after = report["before"], report["after"]
    return [
        {
            "label": label,
            "before": _words(name, before),
            "after": _words(name, after),
            "is_fault": is_fault and bool(after[name]),
            "was_fault": is_fault and bool(before[name]),
        }
        for name, label, is_fault in _ROWS
    ]


def _fields(labels: dict[str, str]) -> list[FormField]:
    return fields_of(PrepareMeshParams, labels, _EMPTY)


def _words(name: str, figures: dict[str, Any]) -> str:
    value = figures[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "extents_m":
        return " × ".join(f"{side:.4g}" for side in value) + " m"
    if name == "textures":
        return ", ".join(_texture_words(one) for one in value) or "none"
    if name == "area_m2":
        return f"{value:.4g} m²"
    if name == "volume_m3":
        return "none: not closed" if value is None else f"{value:.4g} m³"
    if name == "border_loops" and value:
        return f"{_grouped(value)} ({_grouped(figures['border_edges'])} edges)"
    return _grouped(value)


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _texture_words(texture: dict[str, Any]) -> str:
    if texture["width_px"] is None:
        return "unreadable"
    return f"{texture['width_px']} × {texture['height_px']} px"
