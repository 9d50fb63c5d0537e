"""The networks of one model, each on the device only while it is used. Imports torch."""

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
from backend.engines.gpu_presence import has_gpu
from backend.engines.hosted_model import HostedModel
from backend.engines.layer_stops import ask_before_layers
from backend.engines.weight_format import WeightFormat, weight_format
from backend.errors import WeightsMissing
from backend.models.attention import Attend, plain_attention
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Architecture, Checkpoint, Component
from backend.models.checkpoints.components import load_component
from backend.models.checkpoints.opening import open_model
from backend.models.checkpoints.revision import revision_of
from backend.models.quantised_linear import quantised
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.residency.controls import offload, release
from backend.residency.process import current_residency
from backend.residency.records import ModelSpec
from backend.settings import Settings
from backend.units import SystemClock

_NAMES = {
    Component.CONDITIONER: "conditioner",
    Component.DENOISER: "denoiser",
    Component.VAE: "vae",
    Component.SEGMENTER: "segmenter",
    Component.UNET: "unet",
    Component.REFERENCE: "reference",
    Component.IMAGE_ENCODER: "image_encoder",
    Component.TEXT_ENCODER: "text_encoder",
    Component.UPSCALER: "upscaler",
}
_ATTENDS_IN_MANY_SHAPES = frozenset(
    {
        Architecture.P3SAM,
        Architecture.PART_CONDITIONER,
        Architecture.PAINT_UNET,
        Architecture.PAINT_REFERENCE,
        Architecture.DELIGHT_UNET,
    }
)
# Of modules inside a network: small differences of their outputs count.
_NEVER_ROUNDED = frozenset({"features"})


class ModelNetworks:
    """The networks of one model: for shapes, an image encoder, a denoiser and a decoder.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where the weights are.
    model_id : str
        What the networks are named after, as in ``hunyuan3d-2.1/denoiser``.
    weights : WeightFormat

    Attributes
    ----------
    revision : str or None
        Commit that the files were got from, where that is known.
    files : tuple
        Path, time in ns and size in bytes of each file of weights as these networks were made;
        other weights make another.
    """

    def __init__(self, checkpoint: Checkpoint, model_id: str, weights: WeightFormat) -> None:
        self.checkpoint = checkpoint
        self.weights = weights
        self.revision = revision_of(checkpoint.folder)
        self._model_id = model_id
        self._residency = current_residency()
        self.files = _stamps(checkpoint)
        self._hosts: dict[str, HostedModel] = {}
        for component in checkpoint.components:
            name = self._name(component)
            load = partial(self._load, component)
            drop = partial(self._drop_graphs, name)
            self._residency.register(ModelSpec(name, load, name, before_offload=drop))

    def are_of(self, checkpoint: Checkpoint, weights: WeightFormat) -> bool:
        """Whether these are the networks of what lies on the disk now, in this process."""
        same = self.checkpoint == checkpoint and self.files == _stamps(checkpoint)
        return same and self.weights == weights and self._residency is current_residency()

    def forget(self) -> None:
        """Let weights that were loaded go, as soon as nobody uses them."""
        if not self._residency.started:
            return
        for component in self.checkpoint.components:
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
        with self._loading(component):
            lease = manager.lease(self._name(component), vram_extra_bytes=extra_bytes)
        with lease as network:
            yield network

    def send_away(self, component: Component) -> None:
        """Let a network leave the device that a job needs no more; it stays in host memory."""
        offload(self._residency.manager(), self._name(component), drain=True)

    def weight_bytes(self, component: Component) -> int:
        """Load a network into the memory of the host; returns what it takes on the device.

        Not every layer of a network has the same number format, so sizes alone do not tell.

        Raises
        ------
        ModelTooLarge, ModelLoadFailed, OutOfMemory, GpuBusy
        """
        manager, name = self._residency.manager(), self._name(component)
        with self._loading(component):
            manager.prepare(name)
        return manager.table.find(name).size_bytes

    def held_bytes(self, component: Component) -> int:
        """Return what a network holds on the device now; 0 where it is not there."""
        manager = self._residency.manager()
        with manager.table:
            return manager.table.find(self._name(component)).block_bytes

    def hosted(self, component: Component, network: nn.Module, part: str = "") -> HostedModel:
        """Return a network, or a part of one, as it is called: compiled if so set, and counted."""
        name = self._name(component) + part
        module = network.get_submodule(part.strip("/")) if part else network
        known = self._hosts.get(name)
        if known is None or known.module is not module:
            known = self._hosts[name] = HostedModel(name, module, clock=SystemClock())
        return known

    @contextmanager
    def _loading(self, component: Component) -> Iterator[None]:
        stage = profile_stage("load_model", SpanKind.LOAD, {"model": self._name(component)})
        # what is made in inference mode could never be written to outside of it
        with stage, torch.inference_mode(mode=False):
            yield

    def _load(self, component: Component) -> nn.Module:
        attend = self._attention(component)
        dtype = self.weights.of(component)
        network = load_component(self.checkpoint, component, dtype=dtype, attend=attend)
        if self.weights.is_int8:
            quantised(network, kept=_NEVER_ROUNDED)
        if not has_gpu(Settings.from_env()):
            ask_before_layers(network)
        return network

    def _attention(self, component: Component) -> Attend:
        """Choose torch's own where measuring the others takes long and is in vain."""
        architecture = self.checkpoint.components[component].architecture
        if architecture in _ATTENDS_IN_MANY_SHAPES and not has_gpu(Settings.from_env()):
            return plain_attention
        return chosen_attention(SystemClock())

    def _drop_graphs(self, name: str) -> None:
        for hosted_name, hosted in tuple(self._hosts.items()):  # another thread may add one
            if hosted_name.startswith(name):
                hosted.drop_graphs()

    def _name(self, component: Component) -> str:
        return f"{self._model_id}/{_NAMES[component]}"


_known: dict[str, ModelNetworks] = {}
_lock = threading.Lock()


def networks_of(model_id: str) -> ModelNetworks:
    """Return the networks of a model; they stay the same until its files change.

    Weights of files that are no longer there as they were leave memory, so that what is told of
    a shape is true of the weights that made it.

    Raises
    ------
    UnknownModel, LicenceNotAccepted, WeightsMissing, CheckpointConfigInvalid
    """
    settings = Settings.from_env()
    checkpoint = open_model(model_id, settings, SystemClock())
    weights = weight_format(settings, model_of(model_id).kind)
    with _lock:
        known = _known.get(model_id)
        if known is not None and known.are_of(checkpoint, weights):
            return known
        _known[model_id] = ModelNetworks(checkpoint, model_id, weights)
        if known is not None:
            known.forget()
        return _known[model_id]


def _stamps(checkpoint: Checkpoint) -> tuple[tuple[Path, int, int], ...]:
    """Tell files apart from others that came in their place; raises WeightsMissing."""
    try:
        stats = [(path, path.stat()) for path in checkpoint.weight_files]
    except FileNotFoundError as error:
        raise WeightsMissing(f"{error.filename} is not there any more.") from error
    return tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def device_of(network: nn.Module) -> torch.device:
    """Return where the weights of a network are."""
    return next(network.parameters()).device
