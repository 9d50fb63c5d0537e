"""Running models without gradients, on a GPU in the precision chosen for the card."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator

from backend.gpu.precision import Precision, PrecisionRules, torch_dtype

log = logging.getLogger(__name__)


@contextlib.contextmanager
def inference_mode(precision: str = "auto", stage: str = "inference") -> Iterator[None]:
    """Switch gradients off; on CUDA let torch cast to the chosen precision.

    Without torch it does nothing, and says so in the log.
    """
    if importlib.util.find_spec("torch") is None:
        log.info("torch is not installed: nothing to switch")
        yield
        return
    import torch

    cuda = torch.cuda.is_available()
    capability = torch.cuda.get_device_capability() if cuda else None
    choice = PrecisionRules().choose(stage, Precision(precision), capability)
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if cuda and choice.precision is not Precision.FP32:
            stack.enter_context(torch.autocast("cuda", torch_dtype(choice.precision)))
        yield
