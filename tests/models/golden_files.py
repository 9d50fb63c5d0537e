"""Tensors and configurations that the original networks were once recorded with."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

SHAPE = Path(__file__).parents[1] / "golden" / "shape"
PART = SHAPE.parent / "part"
TEXTURE = SHAPE.parent / "texture"


@cache
def tensors(name: str) -> dict[str, Tensor]:
    return load_file(SHAPE / f"{name}.safetensors")


def tensors_under(name: str, prefix: str) -> dict[str, Tensor]:
    """Those of a prefix, without it."""
    return {
        key.removeprefix(prefix): value
        for key, value in tensors(name).items()
        if key.startswith(prefix)
    }


def config(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHAPE / "configs.json").read_text())[name]["cfg"]
    return found


def pipeline_config(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHAPE / f"{name}.config.json").read_text())
    return found


@cache
def part_tensors(name: str) -> dict[str, Tensor]:
    return load_file(PART / f"{name}.safetensors")


def part_weights(name: str) -> dict[str, Tensor]:
    """By published name."""
    return {
        key.removeprefix("weights."): value
        for key, value in part_tensors(name).items()
        if key.startswith("weights.")
    }


@cache
def part_metadata(name: str) -> dict[str, str]:
    with safe_open(PART / f"{name}.safetensors", "pt") as file:
        return dict(file.metadata())
