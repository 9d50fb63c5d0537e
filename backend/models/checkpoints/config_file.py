"""Reads the description beside the weights: config.yaml or config.json, never as code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import CheckpointConfigInvalid, WeightsMissing
from backend.models.checkpoints.optional_packages import optional_package

MOST_BYTES = 1_000_000


def read_config(path: Path) -> dict[str, Any]:
    """Read a description.

    Raises
    ------
    WeightsMissing
        There is no such file.
    CheckpointConfigInvalid
        It is no YAML or JSON of plain values. A tag that would make Python objects is refused.
    PackageMissing
        It is YAML, and no package reads that.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise WeightsMissing(f"There is no file {path}.") from None
    if len(raw) > MOST_BYTES:
        raise CheckpointConfigInvalid(f"{path} is larger than {MOST_BYTES // 10**6} MB.")
    parsed = _from_json(path, raw) if path.suffix == ".json" else _from_yaml(path, raw)
    if not isinstance(parsed, dict):
        raise CheckpointConfigInvalid(f"{path} holds no sections.")
    return parsed


def entry_of(config: Mapping[str, Any], name: str, path: Path) -> Any:
    """Return an entry of a description; raises CheckpointConfigInvalid when it is not there."""
    try:
        return config[name]
    except KeyError:
        raise CheckpointConfigInvalid(f"{path} has no entry {str(name)!r}.") from None


def section_of(config: Mapping[str, Any], name: str, path: Path) -> tuple[str, dict[str, Any]]:
    """Return the published class and the parameters of a section.

    Raises
    ------
    CheckpointConfigInvalid
        The section is not there, or is no section.
    """
    section = entry_of(config, name, path)
    target = section.get("target") if isinstance(section, dict) else None
    params = (section.get("params") or {}) if isinstance(section, dict) else None
    if not isinstance(target, str) or not isinstance(params, dict):
        raise CheckpointConfigInvalid(f"Section {name!r} of {path} has no target with params.")
    return target, params


def _from_yaml(path: Path, raw: bytes) -> Any:
    yaml = optional_package("yaml", "read the config.yaml of models")
    try:
        return yaml.safe_load(raw)
    except yaml.constructor.ConstructorError as error:
        raise CheckpointConfigInvalid(
            f"{path} asks for something that is no plain value: {error.problem}."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CheckpointConfigInvalid(f"{path} is no readable YAML.") from error


def _from_json(path: Path, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointConfigInvalid(f"{path} is no readable JSON.") from error
