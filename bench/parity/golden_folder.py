"""A folder of recorded tensors, and which check a file is for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

CONFIGS = "configs.json"
# Names of weights, and of what networks are given, begin so.
GIVEN = (
    *("w.", "weights.", "model.", "vae.", "conditioner.", "in.", "mesh.", "traj.x0", "traj.v"),
    *("order_perms", "loop.in_", "loop.part_embed_idx"),
)
# Those whose names are the whole of it.
GIVEN_WHOLE = frozenset({"cam.elev_azim", "x0", "W"})


@dataclass(frozen=True)
class GoldenFile:
    """One file of recorded tensors.

    Parameters
    ----------
    name : str
        Without its ending.
    tensors : mapping
        By their names: ``in.``, ``mid.``, ``out``, and weights.
    config : mapping
        What the network was built with; empty where nothing is.
    facts : mapping
        What else was noted, such as the guidance; empty where nothing is.
    noted : mapping
        What the file itself says beside its tensors: numbers, configurations and words.
    """

    name: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    noted: Mapping[str, Any] = field(default_factory=dict)

    def weights(self, prefix: str = "w.") -> dict[str, Tensor]:
        """Return the tensors under a prefix, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }

    def has(self, name: str) -> bool:
        """Whether a tensor was recorded."""
        return name in self.tensors

    @property
    def recorded(self) -> set[str]:
        """Names of the tensors that a network is to give: all but weights and inputs."""
        return {
            name for name in self.tensors if not name.startswith(GIVEN) and name not in GIVEN_WHOLE
        }


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be read, and why."""

    name: str
    reason: str


def golden_files(folder: Path) -> Iterator[GoldenFile | UnreadableFile]:
    """Yield the files of a folder with their configurations.

    Raises
    ------
    FileNotFoundError
        There is no such file in it.
    ValueError
        The list of configurations is no JSON.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no recorded tensors (*.safetensors)")
    shared = _json(folder / CONFIGS)
    for path in paths:
        try:
            yield _golden_file(path, shared.get(path.stem))
        except (OSError, ValueError, SafetensorError) as error:
            yield UnreadableFile(path.stem, str(error))


def _golden_file(path: Path, entry: Any) -> GoldenFile:
    entry = entry if isinstance(entry, dict) else {}
    own = _json(path.with_name(f"{path.stem}.config.json"))
    facts = {name: fact for name, fact in entry.items() if name != "cfg"}
    config = own or entry.get("cfg") or {}
    return GoldenFile(path.stem, load_file(path), config, facts, _noted(path))


def _noted(path: Path) -> dict[str, Any]:
    """Read what stands in the head of a file, each entry as JSON where it is JSON."""
    with safe_open(path, "pt") as opened:
        found: dict[str, Any] = dict(opened.metadata() or {})
    for name, text in found.items():
        with suppress(ValueError):
            found[name] = json.loads(text)
    return found


def _json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text()) if path.is_file() else {}
    return found if isinstance(found, dict) else {}
