"""What one timed call took and gave. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend.meshes.triangle_mesh import TriangleMesh

MB = 2**20


@dataclass(frozen=True)
class Outcome:
    """One call.

    Parameters
    ----------
    taken_s : float
        Until the GPU has done all of it; on a CPU seconds of cores, so that whatever else runs
        there counts for little.
    result : Tensor, TriangleMesh or None
        On the host.
    peak_mb : float or None
        Most device memory that the call held, weights included; None without a GPU.
    note : str
        What a reader must know of the figure.
    """

    taken_s: float
    result: Tensor | TriangleMesh | None
    peak_mb: float | None = None
    note: str = ""


def timed(device: torch.device, call: Callable[[], Any]) -> Outcome:
    """Run a call once, with everything that it queues on the GPU."""
    if device.type != "cuda":
        started_s = time.process_time()
        result = call()
        return Outcome(time.process_time() - started_s, _on_host(result))
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    started_s = time.perf_counter()
    result = call()
    torch.cuda.synchronize(device)
    taken_s = time.perf_counter() - started_s
    return Outcome(taken_s, _on_host(result), torch.cuda.max_memory_allocated(device) / MB)


def deviation(one: Outcome, other: Outcome) -> dict[str, float | int | None]:
    """Tell how far two results are apart.

    Returns
    -------
    dict
        Of tensors: the largest difference over the largest value of the other, where both have a
        value. Of meshes: their faces and the difference in volume over that of the other.
    """
    a, b = one.result, other.result
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        both = ~(a.isnan() | b.isnan())
        if not bool(both.any()):
            return {"deviation": None}
        apart = (a[both].double() - b[both].double()).abs().max()
        return {"deviation": float(apart / b[both].double().abs().max())}
    if isinstance(a, TriangleMesh) and isinstance(b, TriangleMesh):
        return {
            "faces": len(a.faces),
            "faces_other": len(b.faces),
            "deviation": abs(volume_of(a) / volume_of(b) - 1),
        }
    return {"deviation": None}


def volume_of(mesh: TriangleMesh) -> float:
    """Return the space that a closed mesh encloses."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]].astype(float) for corner in range(3))
    return abs(float((a * _cross(b, c)).sum()) / 6)


def _cross(b: Any, c: Any) -> Any:
    import numpy as np

    return np.cross(b, c)


def _on_host(result: Any) -> Any:
    return result.detach().cpu() if isinstance(result, Tensor) else result
