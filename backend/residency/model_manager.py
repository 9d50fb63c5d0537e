"""The calls of earlier model managers, as thin names over this one.

Every call that hands out a model returns a lease: use it in a ``with`` statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.residency.controls import offload, release
from backend.residency.lease import Lease
from backend.residency.process import ProcessResidency
from backend.residency.records import ModelSpec
from backend.residency.states import Outcome, Residence

P3SAM, PARTFORMER = "p3-sam/segmenter", "x-part/denoiser"


class ModelManager:
    """One manager under the names that existing scripts call.

    Parameters
    ----------
    residency : ProcessResidency
        Where the models are registered.
    """

    def __init__(self, residency: ProcessResidency) -> None:
        self._residency = residency

    def get_model(self, name: str, load_func: Callable[[], Any]) -> Lease:
        """Lease a model, which is loaded by ``load_func`` when it is needed for the first time."""
        if name not in self._residency.names:
            self._residency.register(ModelSpec(name, load_func))
        return self._residency.manager().lease(name)

    def get_p3sam_model(self) -> Lease:
        """Lease the segmentation model; raises UnknownModel where it is not installed."""
        return self._lease(P3SAM)

    def get_partformer_pipeline(self) -> Lease:
        """Lease the part completion model; raises UnknownModel where it is not installed."""
        return self._lease(PARTFORMER)

    def unload_all_models(self) -> dict[str, Outcome]:
        """Free every model; those in use go when their leases end."""
        return self.force_release(drain=True)

    def force_offload(self, name: str | None = None, *, drain: bool = True) -> dict[str, Outcome]:
        """Move one model, or all, off the device; see ``controls.offload``."""
        self._residency.require(name)
        return offload(self._residency.manager(), name, drain=drain)

    def force_release(self, name: str | None = None, *, drain: bool = False) -> dict[str, Outcome]:
        """Free one model, or all, everywhere; see ``controls.release``."""
        self._residency.require(name)
        return release(self._residency.manager(), name, drain=drain)

    @property
    def models_cpu(self) -> list[str]:
        """Names of the models whose weights wait in host memory."""
        models = self._residency.status()["models"]
        return [model["name"] for model in models if model["state"] == Residence.HOST]

    def update_timeout(self, idle_release_s: float, idle_offload_s: float | None = None) -> None:
        """Change how long idle models stay in host memory, and on the device."""
        changes = {"idle_release_s": idle_release_s}
        if idle_offload_s is not None:
            changes["idle_offload_s"] = idle_offload_s
        self._residency.change_rules(**changes)

    def get_status(self) -> dict[str, Any]:
        """Return state and place of every model, as ``GET /api/gpu/status`` shows them."""
        return self._residency.status()

    def _lease(self, name: str) -> Lease:
        self._residency.require(name)
        return self._residency.manager().lease(name)
