"""The networks of one shape model, each on the device only while it is used. Imports torch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from backend.engines.chosen_attention import chosen_attention
from backend.engines.hosted_model import HostedModel
from backend.engines.weight_format import WeightFormat, weight_format
from backend.models.checkpoints.checkpoint import Component, ShapeCheckpoint
from backend.models.checkpoints.components import load_component
from backend.models.checkpoints.opening import open_model
from backend.models.checkpoints.revision import revision_of
from backend.models.quantised_linear import quantised
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.residency.controls import release
from backend.residency.process import current_residency
from backend.residency.records import ModelSpec
from backend.settings import Settings
from backend.units import SystemClock

_NAMES = {
    Component.CONDITIONER: "conditioner",
    Component.DENOISER: "denoiser",
    Component.VAE: "vae",
}


class ShapeNetworks:
    """Image encoder, denoiser and shape decoder of one model.

    Parameters
    ----------
    checkpoint : ShapeCheckpoint
        Where the weights are.
    model_id : str
        What the networks are named after, as in ``hunyuan3d-2.1/denoiser``.
    weights : WeightFormat

    Attributes
    ----------
    revision : str or None
        Commit that the files were got from, where that is known.
    """

    def __init__(self, checkpoint: ShapeCheckpoint, model_id: str, weights: WeightFormat) -> None:
        self.checkpoint = checkpoint
        self.weights = weights
        self.revision = revision_of(checkpoint.folder)
        self._model_id = model_id
        self._residency = current_residency()
        self._files = _stamps(checkpoint)
        self._hosts: dict[str, HostedModel] = {}
        for component in Component:
            name = self._name(component)
            load = partial(self._load, component)
            drop = partial(self._drop_graphs, name)
            self._residency.register(ModelSpec(name, load, name, before_offload=drop))

    def are_of(self, checkpoint: ShapeCheckpoint, weights: WeightFormat) -> bool:
        """Whether these are the networks of what lies on the disk now, in this process."""
        same = self.checkpoint == checkpoint and self._files == _stamps(checkpoint)
        return same and self.weights == weights and self._residency is current_residency()

    def forget(self) -> None:
        """Let weights that were loaded go, as soon as nobody uses them."""
        if not self._residency.started:
            return
        for component in Component:
            self._drop_graphs(self._name(component))
            release(self._residency.manager(), self._name(component), drain=True)

    @contextmanager
    def lease(self, component: Component, extra_bytes: int = 0) -> Iterator[Any]:
        """Hold a network on the device.

        Parameters
        ----------
        extra_bytes : int
            Memory that the work needs beside the weights.

        Raises
        ------
        ModelTooLarge, ModelLoadFailed, OutOfMemory, GpuBusy
        """
        manager = self._residency.manager()
        loading = profile_stage("load_model", SpanKind.LOAD, {"model": self._name(component)})
        # what is made in inference mode could never be written to outside of it
        with loading, torch.inference_mode(mode=False):
            lease = manager.lease(self._name(component), vram_extra_bytes=extra_bytes)
        with lease as network:
            yield network

    def hosted(self, component: Component, network: nn.Module, part: str = "") -> HostedModel:
        """Return a network, or a part of one, as it is called: compiled if so set, and counted."""
        name = self._name(component) + part
        module = network.get_submodule(part.strip("/")) if part else network
        known = self._hosts.get(name)
        if known is None or known.module is not module:
            known = self._hosts[name] = HostedModel(name, module, clock=SystemClock())
        return known

    def _load(self, component: Component) -> nn.Module:
        attend = chosen_attention(SystemClock())
        dtype = self.weights.of(component)
        network = load_component(self.checkpoint, component, dtype=dtype, attend=attend)
        return quantised(network) if self.weights.is_int8 else network

    def _drop_graphs(self, name: str) -> None:
        for hosted_name, hosted in tuple(self._hosts.items()):  # another thread may add one
            if hosted_name.startswith(name):
                hosted.drop_graphs()

    def _name(self, component: Component) -> str:
        return f"{self._model_id}/{_NAMES[component]}"


_known: dict[str, ShapeNetworks] = {}
_lock = threading.Lock()


def networks_of(model_id: str) -> ShapeNetworks:
    """Return the networks of a model; they stay the same until its files change.

    Weights of files that are no longer there as they were leave memory, so that what is told of
    a shape is true of the weights that made it.

    Raises
    ------
    UnknownModel, LicenceNotAccepted, WeightsMissing, CheckpointConfigInvalid
    """
    settings = Settings.from_env()
    checkpoint = open_model(model_id, settings, SystemClock())
    weights = weight_format(settings)
    with _lock:
        known = _known.get(model_id)
        if known is not None and known.are_of(checkpoint, weights):
            return known
        _known[model_id] = ShapeNetworks(checkpoint, model_id, weights)
        if known is not None:
            known.forget()
        return _known[model_id]


def _stamps(checkpoint: ShapeCheckpoint) -> tuple[tuple[Path, int, int], ...]:
    """Tell files apart from others that came in their place."""
    stats = ((path, path.stat()) for path in checkpoint.weight_files)
    return tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def device_of(network: nn.Module) -> torch.device:
    """Return where the weights of a network are."""
    return next(network.parameters()).device
