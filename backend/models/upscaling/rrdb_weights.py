"""Published names of the weights of RRDBNet, which are ours too. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.models.upscaling.rrdb import RrdbNet
from backend.models.upscaling.rrdb_config import RrdbConfig


def fold(state: Mapping[str, Tensor], config: RrdbConfig) -> dict[str, Tensor]:
    """Return the weights of ``RrdbNet``; nothing is copied.

    Raises
    ------
    KeyError
        A tensor is missing; its published name.
    """
    return {name: state[name] for name in upstream_shapes(config)}


def upstream_shapes(config: RrdbConfig) -> dict[str, torch.Size]:
    """Return the published names, without a prefix, and shapes."""
    with torch.device("meta"):
        network = RrdbNet(config)
    return {name: tensor.shape for name, tensor in network.state_dict().items()}
