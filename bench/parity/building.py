"""Builds networks as an engine does: on the meta device, then with weights put in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


def built(
    network: Callable[[Config], Network], config: Config, folded: dict[str, Tensor]
) -> Network:
    """Build a network of a configuration and give it its folded weights, all of them."""
    with torch.device("meta"):
        module = network(config)
    module.load_state_dict(folded, strict=True, assign=True)
    return module.eval().requires_grad_(False)
