"""What the residency bench compares: four ways in which two models share a device, and ours."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from backend.residency.controls import offload
from backend.residency.cuda_device import CudaDevice
from backend.residency.device import DeviceBackend
from backend.residency.ledger_device import LedgerDevice
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Policy, ResidencyRules
from backend.residency.records import ModelSpec
from bench.residency_models import weight_bytes

ROOM_FACTOR = 1.5  # of one model: a second one never fits beside it
OURS = "ours"


class Contender:
    """Two models, of which one is on the device at a time.

    Parameters
    ----------
    networks : sequence of Module
        Models 0 and 1, on the CPU; each contender works on copies of its own.
    device : torch.device
        Where they run.
    """

    name = ""
    is_separate = True  # offload and restore can be asked for apart from a request

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        self.device = device
        self.networks = [deepcopy(network) for network in networks]

    def request(self, index: int, tokens: Tensor) -> Tensor:
        """Run a model that is on the device, or brings itself there."""
        answer: Tensor = self.networks[index](tokens)
        return answer

    def restore(self, index: int) -> None:
        """Bring an offloaded model to the device."""
        raise NotImplementedError

    def hold(self, index: int) -> None:
        """Do what precedes and follows the work on a model that is on the device already."""
        raise NotImplementedError

    def offload(self, index: int) -> None:
        """Move a model off the device."""
        raise NotImplementedError

    def cold(self, index: int, tokens: Tensor) -> Tensor:
        """Run an offloaded model."""
        if self.is_separate:
            self.restore(index)
        return self.request(index, tokens)

    def switch(self, leaving: int, arriving: int, tokens: Tensor) -> Tensor:
        """Run a model while the other one is on the device."""
        if self.is_separate:
            self.offload(leaving)
        return self.cold(arriving, tokens)

    def host_weights(self, index: int) -> dict[str, Tensor] | None:
        """Return the weights of an offloaded model; None when the model itself has none then."""
        return dict(self.networks[index].state_dict())


class Ours(Contender):
    """The residency manager, with room for one model only."""

    name = OURS

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        self.device = device
        room_bytes = int(ROOM_FACTOR * max(weight_bytes(network) for network in networks))
        backend, fraction = _device_with_room(device, room_bytes)
        rules = ResidencyRules(
            policy=Policy.RESIDENT,
            fraction=fraction,
            margin_bytes=0,
            pin_budget_bytes=2 * room_bytes,
        )
        self.manager = ResidencyManager(backend, rules)
        for index, network in enumerate(networks):
            self.manager.register(ModelSpec(str(index), partial(deepcopy, network)))
            self.manager.prepare(str(index))
        self.networks = [self.manager.table.find(str(i)).loaded for i in range(len(networks))]

    def request(self, index: int, tokens: Tensor) -> Tensor:
        """Run under a lease."""
        with self.manager.lease(str(index)) as network:
            answer: Tensor = network(tokens)
            return answer

    def restore(self, index: int) -> None:
        """Lease, and release at once."""
        self.manager.lease(str(index)).release()

    hold = restore

    def offload(self, index: int) -> None:
        """Ask the manager."""
        offload(self.manager, str(index))

    cold = request

    def switch(self, leaving: int, arriving: int, tokens: Tensor) -> Tensor:
        """Only request: the manager sees that the other one has to leave."""
        return self.request(arriving, tokens)


class PlainTo(Contender):
    """``module.to()`` in both directions."""

    name = "plain .to()"

    def restore(self, index: int) -> None:
        """Move every tensor."""
        self.networks[index].to(self.device)

    hold = restore

    def offload(self, index: int) -> None:
        """Move every tensor back."""
        self.networks[index].to("cpu")


class AccelerateHook(Contender):
    """``accelerate.cpu_offload_with_hook``: a model stays until its hook is told to offload it."""

    name = "accelerate hook"

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        super().__init__(networks, device)
        accelerate: Any = importlib.import_module("accelerate")
        pairs = [accelerate.cpu_offload_with_hook(n, device) for n in self.networks]
        self._hooks: list[Any] = [hook for _, hook in pairs]

    def restore(self, index: int) -> None:
        """Let the hook do what it does before a forward pass.

        A string never equals a ``torch.device``, so the hook moves the model even where both
        places are the CPU; without this it would take an offloaded model for a resident one.
        """
        inner = self._hooks[index].hook
        inner.execution_device = str(self.device)
        inner.pre_forward(self.networks[index])
        inner.execution_device = self.device

    def hold(self, index: int) -> None:
        """Let the hook find the model on the device."""
        self._hooks[index].hook.pre_forward(self.networks[index])

    def offload(self, index: int) -> None:
        """Tell the hook."""
        self._hooks[index].offload()


class PerLayer(Contender):
    """Models whose layers come and go one by one during every forward pass."""

    is_separate = False


class AccelerateSequential(PerLayer):
    """``accelerate.cpu_offload``: every leaf comes before it runs and goes after."""

    name = "accelerate cpu_offload"

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        super().__init__(networks, device)
        accelerate: Any = importlib.import_module("accelerate")
        for network in self.networks:
            accelerate.cpu_offload(network, device)

    def host_weights(self, index: int) -> dict[str, Tensor] | None:
        """Return None: the weights lie in the hooks, the model holds placeholders."""
        return None


class DiffusersGroup(PerLayer):
    """``diffusers.hooks.apply_group_offloading``: leaves on a stream, on a CPU whole blocks."""

    name = "diffusers group offload"

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        super().__init__(networks, device)
        hooks: Any = importlib.import_module("diffusers.hooks")
        on_gpu = device.type == "cuda"
        for network in self.networks:
            hooks.apply_group_offloading(
                network,
                onload_device=device,
                offload_device=torch.device("cpu"),
                offload_type="leaf_level" if on_gpu else "block_level",
                num_blocks_per_group=None if on_gpu else 1,
                use_stream=on_gpu,
            )


NEEDS: dict[type[Contender], str | None] = {
    Ours: None,
    PlainTo: None,
    AccelerateHook: "accelerate",
    AccelerateSequential: "accelerate",
    DiffusersGroup: "diffusers",
}


def missing_packages() -> list[str]:
    """Name the packages without which some contenders cannot take part."""
    packages = sorted({package for package in NEEDS.values() if package})
    return [package for package in packages if importlib.util.find_spec(package) is None]


def contenders(networks: Sequence[nn.Module], device: torch.device) -> list[Contender]:
    """Set up everybody whose package is installed; ours comes first."""
    missing = missing_packages()
    return [kind(networks, device) for kind, package in NEEDS.items() if package not in missing]


def _device_with_room(device: torch.device, room_bytes: int) -> tuple[DeviceBackend, float]:
    """Return a backend, and the share of it that holds one model but not two."""
    if device.type == "cpu":
        return LedgerDevice(room_bytes, in_place=False), 1.0
    _, total_bytes = torch.cuda.mem_get_info(device)
    return CudaDevice(device.index), min(1.0, room_bytes / total_bytes)
