"""A cancel ends a call of a network between two of its layers. Imports torch."""

from __future__ import annotations

import torch
from torch import nn

from backend.progress import stop_if_asked


def ask_before_layers(network: nn.Module) -> None:
    """Let the calls of a network end before any layer with JobCanceled; see ``heeding``.

    For processors: there one call of a large network takes longer than a canceled job has before
    its process is ended, with every model that it holds. On a card it takes a fraction of a second,
    and graphs hold no questions.

    Parameters
    ----------
    network : nn.Module
        Its layers are what it keeps in lists, but for single matrices.
    """
    for module in network.modules():
        if isinstance(module, nn.ModuleList):
            for layer in module:
                if any(True for _ in layer.children()):
                    layer.register_forward_pre_hook(_ask)


def _ask(_layer: nn.Module, _inputs: object) -> None:
    if not torch.compiler.is_compiling():  # a compiled call asks nobody
        stop_if_asked()
