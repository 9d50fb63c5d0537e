"""Builds the networks of a model and gives them their weights. Imports torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from backend.errors import CheckpointConfigInvalid, PackageMissing, WeightsDamaged
from backend.models.attention import Attend, plain_attention
from backend.models.checkpoints.checkpoint import Checkpoint, Component, ComponentSource
from backend.models.checkpoints.finite_check import check_finite
from backend.models.checkpoints.network_table import network_of
from backend.models.checkpoints.reading import ComponentTensors, TensorFile, open_tensors
from backend.models.checkpoints.tensor_check import TensorFinding, check_tensors, refuse_findings
from backend.models.checkpoints.tensor_entry import TensorEntry

PAINT_PACKAGE = "diffusers"


def load_component(
    checkpoint: Checkpoint,
    component: Component,
    *,
    dtype: torch.dtype | None = None,
    attend: Attend = plain_attention,
) -> nn.Module:
    """Build one network of a model and give it its weights; the others are not read.

    Parameters
    ----------
    dtype : torch.dtype, optional
        Of the weights; as in the file if absent. What has to be float32 is float32 all the same.

    Returns
    -------
    nn.Module
        On the CPU, for inference. Weights that keep their type stay mapped to the file.

    Raises
    ------
    WeightsMissing, WeightsDamaged, WeightsUnsafe
        The file cannot be read.
    TensorMissing, TensorMisshapen, TensorUnexpected
        It does not hold this network.
    CheckpointConfigInvalid, UnknownTarget
        Its description lacks an entry, or asks for what no network of ours does.
    """
    source = checkpoint.components[component]
    network = network_of(source.architecture)
    state = ComponentTensors(
        open_tensors(source.file),
        source.prefixes,
        source.added_prefix,
        dtype,
        network.float32_prefixes,
    )
    config, findings = _described(component, source, state.entries)
    refuse_findings(findings, source.file)
    with torch.device("meta"):
        module: nn.Module = _named(network.network)(config, attend)
    folded = importlib.import_module(network.weights).fold(state, config)
    try:
        module.load_state_dict(folded, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsDamaged(f"{source.file} does not fit {source.architecture}.") from error
    return module.eval().requires_grad_(False)


def check_numbers(
    checkpoint: Checkpoint, component: Component, file: TensorFile
) -> Iterator[TensorFinding]:
    """Find tensors of a network that hold what is no number; reads all of them.

    Parameters
    ----------
    file : TensorFile
        The component's own, opened.
    """
    source = checkpoint.components[component]
    unread = network_of(source.architecture).optional_prefixes
    tensors = ComponentTensors(file, source.prefixes, source.added_prefix)
    for name in tensors:
        if not name.startswith(unread):
            yield from check_finite(component, {name: tensors[name]})


def check_component(
    checkpoint: Checkpoint, component: Component, file: TensorFile
) -> list[TensorFinding]:
    """Compare the tensors of a file with those of a network; none is read.

    Parameters
    ----------
    file : TensorFile
        The component's own, opened.

    Raises
    ------
    CheckpointConfigInvalid
    """
    source = checkpoint.components[component]
    tensors = ComponentTensors(file, source.prefixes, source.added_prefix)
    return _described(component, source, tensors.entries)[1]


def _described(
    component: Component, source: ComponentSource, entries: Mapping[str, TensorEntry]
) -> tuple[Any, list[TensorFinding]]:
    """Return the config of a network, and which tensors do not fit it.

    The descriptions of lighter VAEs may not tell how light they are. Where the tensors agree with
    each other, though not with the description, they are believed; where neither fits, what fits
    better is told.
    """
    network = network_of(source.architecture)
    read = _named(network.read_config)
    config, findings = _checked(component, source, lambda: read(source.params), entries)
    if not findings or network.infer_config is None:
        return config, findings
    infer = _named(network.infer_config)
    shapes = {name: entry.shape for name, entry in entries.items()}
    try:
        inferred = _checked(component, source, lambda: infer(shapes, source.params), entries)
    except CheckpointConfigInvalid:
        return config, findings
    return min((config, findings), inferred, key=lambda each: len(each[1]))


def _checked(
    component: Component,
    source: ComponentSource,
    read: Callable[[], Any],
    entries: Mapping[str, TensorEntry],
) -> tuple[Any, list[TensorFinding]]:
    """Read the config of a network and compare tensors with what it wants.

    Raises
    ------
    CheckpointConfigInvalid
        The published parameters lack one, or make no network.
    """
    network = network_of(source.architecture)
    try:
        config = read()
        wanted = importlib.import_module(network.weights).upstream_shapes(config)
    except KeyError as error:
        raise CheckpointConfigInvalid(
            f"The description of the {source.architecture} of {source.file.parent} lacks {error}."
        ) from error
    except (
        AttributeError, IndexError, RuntimeError, TypeError, ValueError, ZeroDivisionError
    ) as error:  # fmt: skip
        raise CheckpointConfigInvalid(
            f"The description of the {source.architecture} of {source.file.parent} makes no "
            f"network: {error}."
        ) from error
    findings = check_tensors(
        component, entries, wanted, optional_prefixes=network.optional_prefixes
    )
    return config, findings


def _named(path: str) -> Any:
    """Return what a path such as ``package.module:Class.method`` names.

    Raises
    ------
    PackageMissing
        The network is written with a package that not every server has.
    """
    module, _, name = path.partition(":")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != PAINT_PACKAGE:
            raise
        raise PackageMissing(
            f"The Python package {PAINT_PACKAGE} is not installed. Networks that paint need it.",
            advice="Run: .venv/bin/python -m pip install -r requirements-paint.txt",
        ) from error
