"""How long do the networks of a shape model take to leave the device and come back?"""

from __future__ import annotations

import gc
import statistics
from functools import partial
from typing import Any

import torch
from torch import nn

from backend.residency.controls import offload
from backend.residency.cuda_device import CudaDevice
from backend.residency.device import DeviceBackend
from backend.residency.ledger_device import LedgerDevice
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Policy, ResidencyRules
from backend.residency.records import ModelSpec
from bench.shape.outcome import timed
from bench.shape.random_weights import random_conditioner, random_denoiser, random_vae
from bench.shape.sizes import Sizes

ROUNDS = 3
MB = 2**20
_PARTS = {"conditioner": random_conditioner, "denoiser": random_denoiser, "vae": random_vae}


def restores(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> list[dict[str, Any]]:
    """Take each network off the device and back, through the manager that jobs use.

    On a CPU no link is crossed: the rows then tell what the manager does beside copying.
    """
    rows = []
    for name, make in _PARTS.items():
        network: nn.Module = make(sizes, torch.device("cpu"), dtype)[0]
        size_bytes = sum(each.nbytes for each in network.parameters())
        manager = _manager(device, size_bytes)
        manager.register(ModelSpec(name, partial(_same, network)))
        manager.prepare(name)
        restore_s, offload_s = [], []
        for _ in range(ROUNDS):
            restore_s.append(timed(device, partial(_restore, manager, name)).taken_s)
            offload_s.append(timed(device, partial(offload, manager, name)).taken_s)
        best_s = statistics.median(restore_s)
        rows.append(
            {
                "stage": f"restore of {name}",
                "size_mb": round(size_bytes / MB),
                "restore_s": best_s,
                "restore_gb_per_s": size_bytes / 1e9 / best_s if device.type == "cuda" else None,
                "offload_s": statistics.median(offload_s),
            }
        )
        del manager, network
        gc.collect()
    return rows


def _restore(manager: ResidencyManager, name: str) -> None:
    manager.lease(name).release()


def _same(network: nn.Module) -> nn.Module:
    return network


def _manager(device: torch.device, size_bytes: int) -> ResidencyManager:
    room_bytes = 2 * size_bytes
    backend: DeviceBackend = LedgerDevice(room_bytes, in_place=False)
    if device.type == "cuda":
        backend = CudaDevice(device.index)
    rules = ResidencyRules(
        policy=Policy.RESIDENT,
        fraction=1.0,
        margin_bytes=0,
        pin_budget_bytes=room_bytes,
    )
    return ResidencyManager(backend, rules)
