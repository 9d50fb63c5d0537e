"""Deals with what a server cannot have of speech programs: fixed devices, downloads, caches."""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
_CACHES = ("_cache", "past_key_values")


def stay_offline() -> None:
    """Keep the program from other machines; call it before its libraries are imported.

    Hubs whose libraries know of working offline are told to; Python code that tries all the same
    meets a network that cannot be reached, and says so.
    """
    for name in OFFLINE:
        os.environ[name] = "1"
    if not hasattr(socket.socket, "meshkiln_connect"):
        socket.socket.meshkiln_connect = socket.socket.connect  # type: ignore[attr-defined]
        socket.socket.connect = _connect  # type: ignore[method-assign]


def _connect(self: Any, address: Any) -> None:
    """Connect within this machine only."""
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_this_machine(address[0]):
        raise OSError(errno.ENETUNREACH, "the server keeps hosted programs from the network")
    self.meshkiln_connect(address)


def _is_this_machine(host: Any) -> bool:
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return bool(host == "localhost")


def keep_onnx_on_processor() -> None:
    """Have ONNX Runtime compute on the processor: what it holds on a GPU cannot be moved away.

    A program that gives a list of providers gets the one of the processor instead.
    """
    try:
        import onnxruntime  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return
    original = onnxruntime.InferenceSession
    if getattr(original, "meshkiln_on_processor", False):
        return

    class InferenceSession(original):  # type: ignore[misc,valid-type,unused-ignore]
        meshkiln_on_processor = True

        def __init__(self, path_or_bytes: Any, sess_options: Any = None, **others: Any) -> None:
            others.pop("provider_options", None)
            others["providers"] = ["CPUExecutionProvider"]
            super().__init__(path_or_bytes, sess_options, **others)

    onnxruntime.InferenceSession = InferenceSession


@contextmanager
def cuda_means_processor() -> Iterator[None]:
    """Take every "cuda" inside the block, fixed in the program's source, for the processor.

    It serves for constructing a program in host memory, and for calling it without a GPU.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    processor = torch.device("cpu")

    def redirected(value: Any) -> Any:
        if isinstance(value, torch.device):
            return processor if value.type == "cuda" else value
        if isinstance(value, str) and (value == "cuda" or value.startswith("cuda:")):
            return processor
        return value

    class Redirected(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function is torch.device:
                return redirected(function(*args, **(kwargs or {})))
            if function is torch.Tensor.cuda:
                return args[0]
            args = tuple(redirected(value) for value in args)
            kwargs = {name: redirected(value) for name, value in (kwargs or {}).items()}
            return function(*args, **kwargs)

    load = torch.load  # no function of tensors, so that the mode does not see it

    def load_there(*args: Any, **kwargs: Any) -> Any:
        args = tuple(redirected(value) for value in args)
        return load(*args, **{name: redirected(value) for name, value in kwargs.items()})

    torch.load = load_there
    try:
        with Redirected():
            yield
    finally:
        torch.load = load


def seed_all(seed: int) -> None:
    """Seed every generator that a program samples from without saying so."""
    random.seed(seed)
    for name, seed_it in (("numpy", _seed_numpy), ("torch", _seed_torch)):
        if name in sys.modules:
            seed_it(sys.modules[name], seed)


def drop_caches(roots: list[Any]) -> None:
    """Let go of keys and values that modules keep from their last call.

    Only what is one of transformers' caches, or plain tensors: other things of these names may be
    missed by the next call.
    """
    for root in roots:
        for module in root.modules():
            for name in _CACHES:
                if _holds_keys(vars(module).get(name)):
                    setattr(module, name, None)


def _holds_keys(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return bool(value) and all(_holds_keys(item) for item in value)
    kind = type(value)
    return kind.__name__.endswith("Cache") or kind.__name__ == "Tensor"


def _seed_numpy(numpy: Any, seed: int) -> None:
    numpy.random.seed(seed % 2**32)


def _seed_torch(torch: Any, seed: int) -> None:
    torch.manual_seed(seed)
