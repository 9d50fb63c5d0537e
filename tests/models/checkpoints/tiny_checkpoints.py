"""Tiny models with random weights, written in the published layout; torch is imported late."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

GOLDEN = Path(__file__).parents[2] / "golden" / "shape"
SECTIONS = ("model", "vae", "conditioner")


class TinyFamily(StrEnum):
    """Which golden pipeline the weights and the description come from."""

    FLUX = "pipeline20"
    FLUX_TURBO = "pipeline20_turbo"
    PLAIN = "pipeline21"


TINY_FOLDERS = {
    TinyFamily.FLUX: "hunyuan3d-dit-v2-0",
    TinyFamily.FLUX_TURBO: "hunyuan3d-dit-v2-0-turbo",
    TinyFamily.PLAIN: "hunyuan3d-dit-v2-1",
}
TINY_IDS = {
    TinyFamily.FLUX: "hunyuan3d-2.0",
    TinyFamily.FLUX_TURBO: "hunyuan3d-2.0-turbo",
    TinyFamily.PLAIN: "hunyuan3d-2.1",
}


def tiny_config(family: TinyFamily) -> dict[str, Any]:
    """The description of a tiny model, as config.yaml has it."""
    config: dict[str, Any] = json.loads((GOLDEN / f"{family}.config.json").read_text())
    return config


def tiny_state(family: TinyFamily) -> dict[str, Tensor]:
    """The weights of a tiny model by their names in a .safetensors file."""
    from safetensors.torch import load_file

    tensors = load_file(GOLDEN / f"{family}.safetensors")
    return {name: each for name, each in tensors.items() if name.partition(".")[0] in SECTIONS}


def write_tiny_checkpoint(
    folder: Path,
    family: TinyFamily = TinyFamily.FLUX,
    *,
    weights: str = "model.fp16.safetensors",
    change_config: Callable[[dict[str, Any]], object] | None = None,
    change_state: Callable[[dict[str, Tensor]], object] | None = None,
) -> Path:
    """Write config.yaml and weights of a tiny model.

    Parameters
    ----------
    folder : Path
        Made if it is not there; its name is the caller's choice, see ``TINY_FOLDERS``.
    weights : str
        File of the weights; the ending decides between .safetensors and a pickle.
    change_config, change_state : callable, optional
        Change what is written, in place.

    Returns
    -------
    Path
        The file of the weights.
    """
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    config, state = tiny_config(family), tiny_state(family)
    if change_config is not None:
        change_config(config)
    if change_state is not None:
        change_state(state)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    write_state(folder / weights, state)
    return folder / weights


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write weights as .safetensors, or as a pickle of one dictionary for each section."""
    import torch
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(dict(state), path)
        return
    nested: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        section, _, inside = name.partition(".")
        nested.setdefault(section, {})[inside] = tensor
    torch.save(nested, path)


def write_tiny_repository(root: Path, family: TinyFamily = TinyFamily.FLUX, **options: Any) -> Path:
    """Write a tiny model in a folder under its published name; returns that folder."""
    folder = root / TINY_FOLDERS[family]
    write_tiny_checkpoint(folder, family, **options)
    return folder
