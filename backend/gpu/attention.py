"""Attention through whichever implementation works here, and a report of which one that was.

Every implementation takes and returns (batch, heads, tokens, head_dim). The flash-attn packages
want (batch, tokens, heads, head_dim); the conversion is made around each call to them and
nowhere else, so that a fallback can never compute over heads in place of tokens.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from backend.gpu.faults import Fault, classify

if TYPE_CHECKING:
    from torch import Tensor


AUTO = "auto"
MOST_REASONS = 32
REASON_LENGTH = 200

log = logging.getLogger(__name__)
_sdpa_flags = threading.Lock()  # torch keeps them per process, not per thread


class AttentionBackend(StrEnum):
    """Implementations of scaled dot-product attention, in the order in which they are tried."""

    FLASH_ATTN_3 = "flash_attn_3"
    FLASH_ATTN_2 = "flash_attn_2"
    SDPA_FLASH = "sdpa_flash"
    SDPA_CUDNN = "sdpa_cudnn"
    SDPA_EFFICIENT = "sdpa_efficient"
    MATH = "math"


_PACKAGES = {
    AttentionBackend.FLASH_ATTN_3: "flash_attn_interface",
    AttentionBackend.FLASH_ATTN_2: "flash_attn",
}
_SDPA_NAMES = {
    AttentionBackend.SDPA_FLASH: "FLASH_ATTENTION",
    AttentionBackend.SDPA_CUDNN: "CUDNN_ATTENTION",
    AttentionBackend.SDPA_EFFICIENT: "EFFICIENT_ATTENTION",
    AttentionBackend.MATH: "MATH",
}
_ANYWHERE = frozenset({AttentionBackend.SDPA_FLASH, AttentionBackend.MATH})


def unavailable_reason(backend: AttentionBackend, device_type: str) -> str | None:
    """Return why a backend cannot run on a kind of device, None when it may be tried.

    Parameters
    ----------
    device_type : str
        As torch names it: 'cuda' or 'cpu'.
    """
    if device_type != "cuda" and backend not in _ANYWHERE:
        return f"{backend} needs a CUDA device"
    package = _PACKAGES.get(backend)
    if package is not None and importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    return None


def unavailable_backends(device_type: str) -> frozenset[str]:
    """Return the names of the backends that cannot run on a kind of device."""
    missing = (one for one in AttentionBackend if unavailable_reason(one, device_type))
    return frozenset(one.value for one in missing)


def attend_with(
    backend: AttentionBackend, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None
) -> Tensor:
    """Compute attention with one backend and no other.

    Parameters
    ----------
    q : Tensor, shape (batch, heads, tokens, head_dim)
    k, v : Tensor, shape (batch, heads, context_tokens, head_dim)
    scale : float, optional
        Factor on the products; 1 / sqrt(head_dim) if absent.

    Returns
    -------
    Tensor, shape (batch, heads, tokens, head_dim)
        softmax(scale * q k^T) v, in the dtype of ``q``.

    Raises
    ------
    RuntimeError, ImportError
        The backend does not take these tensors, or its package is broken.

    Source
    ------
    Vaswani et al., Attention Is All You Need (2017), equation 1.
    """
    if backend in _PACKAGES:
        return _by_package(_PACKAGES[backend], q, k, v, scale)
    return _by_torch(_SDPA_NAMES[backend], q, k, v, scale)


class Attention:
    """Attention with a wanted backend, or the first that works, and a fallback to the next.

    Parameters
    ----------
    backend : AttentionBackend or 'auto'
        Tried first; those after it in the order of ``AttentionBackend`` follow.
    attend : callable
        Computes with one backend; see ``attend_with``.
    unavailable : callable
        See ``unavailable_reason``.
    """

    def __init__(
        self,
        backend: AttentionBackend | str = AUTO,
        *,
        attend: Callable[..., Tensor] = attend_with,
        unavailable: Callable[[AttentionBackend, str], str | None] = unavailable_reason,
    ) -> None:
        self._wanted = AUTO if backend == AUTO else AttentionBackend(backend)
        order = tuple(AttentionBackend)
        self._order = order if self._wanted == AUTO else order[order.index(self._wanted) :]
        self._attend = attend
        self._unavailable = unavailable
        self._lock = threading.Lock()
        self._runs: Counter[AttentionBackend] = Counter()
        self._fallbacks: Counter[tuple[AttentionBackend, AttentionBackend, str]] = Counter()
        self._last: AttentionBackend | None = None
        self._refused: dict[tuple[Any, ...], str] = {}
        self._proved: tuple[Any, ...] = ()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None) -> Tensor:
        """Compute attention; shapes as in ``attend_with``.

        Code that is being compiled cannot fall back or count. There torch chooses among its own
        kernels, unless one of them was asked for.

        Raises
        ------
        ValueError
            The shapes do not belong together.
        RuntimeError
            Memory ran out, the context is lost, or even plain products failed.
        """
        import torch

        _check(q, k, v)
        if torch.compiler.is_compiling():
            return _traced(self._wanted, q, k, v, scale)
        kind = (q.device.type, q.dtype, q.shape[-1])
        passed_over: list[tuple[AttentionBackend, str]] = []
        for backend, reason in self._candidates(kind):
            failure = reason
            if failure is None:
                try:
                    result = self._attend(backend, q, k, v, scale)
                except (RuntimeError, ImportError) as error:
                    if backend is AttentionBackend.MATH or classify(error) is not Fault.OTHER:
                        raise
                    failure = _first_line(error)
                else:
                    self._note(backend, kind, passed_over)
                    return result
            passed_over.append((backend, failure))
        raise RuntimeError("no attention backend is left")

    def report(self) -> dict[str, Any]:
        """Return which backend ran how often, and what was passed over for which reason.

        Calls inside compiled code are not in it.
        """
        with self._lock:
            return {
                "wanted": str(self._wanted),
                "last": str(self._last) if self._last else None,
                "runs": {str(backend): count for backend, count in self._runs.items()},
                "fallbacks": [
                    {"from": str(wanted), "to": str(used), "reason": reason, "calls": calls}
                    for (wanted, used, reason), calls in self._fallbacks.items()
                ],
            }

    def _candidates(self, kind: tuple[Any, ...]) -> Iterator[tuple[AttentionBackend, str | None]]:
        """Yield each backend with the known reason why it cannot run, if there is one."""
        for backend in self._order:
            key = (backend, *kind)
            known = self._refused.get(key)
            if known is None and key != self._proved:
                known = self._unavailable(backend, kind[0])
            yield backend, known

    def _note(
        self,
        used: AttentionBackend,
        kind: tuple[Any, ...],
        passed_over: list[tuple[AttentionBackend, str]],
    ) -> None:
        """Count a success; only now is it sure that the others, not the tensors, are to blame."""
        with self._lock:
            self._runs[used] += 1
            self._last, self._proved = used, (used, *kind)
            for backend, reason in passed_over:
                self._note_fallback(backend, used, kind, reason)

    def _note_fallback(
        self,
        backend: AttentionBackend,
        used: AttentionBackend,
        kind: tuple[Any, ...],
        reason: str,
    ) -> None:
        key = (backend, used, reason)
        if key not in self._fallbacks:
            log.info("attention: %s in place of %s: %s", used, backend, reason)
            if len(self._fallbacks) >= MOST_REASONS:
                del self._fallbacks[next(iter(self._fallbacks))]
        self._fallbacks[key] += 1
        if len(self._refused) < MOST_REASONS:
            self._refused[(backend, *kind)] = reason


def _by_torch(name: str, q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    attend: Callable[..., Tensor] = torch.nn.functional.scaled_dot_product_attention
    kernel = getattr(SDPBackend, name)
    with _sdpa_flags, sdpa_kernel(kernel):
        return attend(q, k, v, scale=scale)


def _traced(wanted: str, q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    attend: Callable[..., Tensor] = torch.nn.functional.scaled_dot_product_attention
    if wanted not in _SDPA_NAMES:
        return attend(q, k, v, scale=scale)
    with sdpa_kernel(getattr(SDPBackend, _SDPA_NAMES[AttentionBackend(wanted)])):
        return attend(q, k, v, scale=scale)


def _by_package(package: str, q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
    flash = importlib.import_module(package)
    tokens_first = (each.transpose(1, 2) for each in (q, k, v))
    answer = flash.flash_attn_func(*tokens_first, softmax_scale=scale)
    # some releases return the log-sum-exp beside the result
    result: Tensor = answer[0] if isinstance(answer, tuple) else answer
    return result.transpose(1, 2)


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    shapes = [tuple(each.shape) for each in (q, k, v)]
    fits = (
        all(len(shape) == 4 for shape in shapes)
        and shapes[0][:2] == shapes[1][:2]
        and shapes[0][3] == shapes[1][3]
        and shapes[1] == shapes[2]
    )
    if not fits:
        raise ValueError(f"not (batch, heads, tokens, head_dim) of one attention: {shapes}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text[:REASON_LENGTH]
