"""The residency of this worker process: rules at once, a device only when a model needs one."""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from typing import Any

from backend.errors import EngineUnavailable, UnknownModel
from backend.gpu.choice import CPU
from backend.gpu.presets import preset_for
from backend.gpu.telemetry import has_cuda_device
from backend.residency.device import BackendName, DeviceBackend
from backend.residency.device_with_guests import DeviceWithGuests
from backend.residency.host_memory import default_pin_budget_bytes, host_limit_bytes, is_wsl
from backend.residency.housekeeper import Housekeeper
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Policy, ResidencyRules
from backend.residency.records import ModelSpec
from backend.residency.share_keeper import ShareKeeper
from backend.residency.share_view import DeviceShare
from backend.residency.shared_device import SharedDevice, ShareState, share_status
from backend.residency.snapshot import residency_status, status_before_start
from backend.settings import Settings
from backend.units import MB, Clock, SystemClock

CATALOGUE_VARIABLE = "MESHKILN_MODEL_CATALOGUE"

log = logging.getLogger(__name__)
_current: ProcessResidency | None = None


class ProcessResidency:
    """The models of this process.

    The manager, torch and the device's context come into being with the first lease or preload,
    so that an idle worker holds no memory of the GPU.

    Parameters
    ----------
    settings : Settings
        Policy, timers, limits, which device.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        select: Callable[[Settings], DeviceBackend] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._select = select or select_device
        self._rules = rules_from(settings)
        self._specs: dict[str, ModelSpec] = {}
        self._manager: ResidencyManager | None = None
        self._housekeeper: Housekeeper | None = None
        self._share_keeper: ShareKeeper | None = None
        self._shared: SharedDevice | None = None
        self._lock = threading.Lock()
        self.on_move: Callable[[], None] = lambda: None
        self.open_share: Callable[[DeviceBackend], DeviceShare | None] | None = None
        self.enabled = settings.gpu_management
        self.degraded_reason = degraded_reason(settings)

    @property
    def started(self) -> bool:
        """Whether a device is in use."""
        return self._manager is not None

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._rules.policy

    @property
    def names(self) -> list[str]:
        """Names of the models that are known."""
        return list(self._specs)

    def register(self, spec: ModelSpec) -> None:
        """Make a model known; nothing is loaded."""
        with self._lock:
            self._specs[spec.name] = spec
            if self._manager is not None:
                self._manager.register(spec)

    @property
    def is_opening(self) -> bool:
        """Whether a device is being opened."""
        return self._manager is None and self._lock.locked()

    def manager(self) -> ResidencyManager:
        """Return the manager; the first call opens the device.

        Raises
        ------
        EngineUnavailable
            torch is not installed.
        """
        with self._lock:
            if self._manager is None:
                self._manager = self._open()
            return self._manager

    def require(self, name: str | None) -> None:
        """Raise UnknownModel unless the name is None or known."""
        if name is not None and name not in self._specs:
            raise UnknownModel(f"No model is called {name!r}.")

    def change_rules(self, **changes: Any) -> None:
        """Replace some of the rules, before or after the device was opened."""
        with self._lock:
            self._rules = replace(self._rules, **changes)
            if self._manager is not None:
                self._manager.change_rules(**changes)

    def status(self) -> dict[str, Any]:
        """Describe models and memory; see ``residency_status``. Never waits for a transfer."""
        manager = self._manager
        if manager is None:
            document = status_before_start([*self._specs.values()], self._rules)
        else:
            document = residency_status(manager)
        document["residency"]["enabled"] = self.enabled
        document["residency"]["share"] = self._share_status()
        return document | {
            "degraded": self.degraded_reason is not None,
            "degraded_reason": self.degraded_reason,
        }

    def close(self) -> None:
        """Stop the timers; the driver takes the memory back when the process ends."""
        if self._housekeeper is not None:
            self._housekeeper.stop()
        if self._share_keeper is not None:
            self._share_keeper.stop()

    def _open(self) -> ResidencyManager:
        device = DeviceWithGuests(self._select(self._settings))
        expected = self._settings.gpu != CPU and has_cuda_device()
        if expected and device.name is BackendName.CPU and self.degraded_reason is None:
            self.degraded_reason = (
                "the GPU is not used: torch finds no CUDA device (is the driver too old for it?)"
            )
        self._shared = self._share(device)
        manager = ResidencyManager(self._shared or device, self._rules, self._clock)
        manager.table.on_move = lambda: self.on_move()
        for spec in self._specs.values():
            manager.register(spec)
        link = device.link_bytes_per_s()
        log.info("models go to %s; the link carries %s bytes/s", device.name, link)
        self._housekeeper = Housekeeper(manager)
        self._housekeeper.start()
        if self._shared is not None:
            self._share_keeper = ShareKeeper(manager, self._shared, gives=self.enabled)
            self._share_keeper.start()
        return manager

    def _share(self, device: DeviceBackend) -> SharedDevice | None:
        share = self.open_share(device) if self.open_share else None
        return None if share is None else SharedDevice(device, share, self._clock)

    def _share_status(self) -> dict[str, Any]:
        if self._shared is not None:
            return self._shared.status()
        waits = self.open_share is not None and not self.started
        return share_status(ShareState.UNUSED if waits else ShareState.OFF)


def rules_from(settings: Settings) -> ResidencyRules:
    """Write the settings as rules; without management models stay where they are."""
    pin_mb = settings.pin_budget_mb
    pinned = default_pin_budget_bytes(host_limit_bytes(), wsl=is_wsl())
    managed = settings.gpu_management
    return ResidencyRules(
        policy=Policy(settings.residency) if managed else Policy.RESIDENT,
        idle_offload_s=settings.idle_offload_s if managed else -1.0,
        idle_release_s=settings.idle_release_s if managed else -1.0,
        fraction=settings.vram_fraction,
        margin_bytes=settings.vram_reserve_mb * MB,
        pin_budget_bytes=pinned if pin_mb < 0 else pin_mb * MB,
    )


def select_device(settings: Settings) -> DeviceBackend:
    """Open the GPU if there is one that torch can use, else a ledger in host memory.

    Raises
    ------
    EngineUnavailable
        torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise EngineUnavailable(
            "torch is not installed, so no model can be loaded.",
            advice="Run: .venv/bin/pip install -r requirements-gpu.txt",
        ) from error
    if settings.gpu != CPU and has_cuda_device() and torch.cuda.is_available():
        from backend.residency.cuda_device import CudaDevice

        torch.backends.cudnn.benchmark = preset_for(None).cudnn_benchmark
        torch.cuda.set_per_process_memory_fraction(settings.vram_fraction)
        return CudaDevice()
    from backend.residency.ledger_device import LedgerDevice

    if settings.ledger_vram_mb:
        return LedgerDevice(settings.ledger_vram_mb * MB)
    return LedgerDevice(host_limit_bytes() // max(1, settings.cpu_workers), in_place=True)


def degraded_reason(settings: Settings) -> str | None:
    """Say why a GPU that is there is not used; None when all is as it should be."""
    if settings.gpu == CPU or not has_cuda_device():
        return None
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "the GPU is not used: torch is not installed (pip install -r requirements-gpu.txt)"
    if version.endswith("+cpu"):
        return (
            f"the GPU is not used: torch {version} was built without CUDA "
            "(pip install --force-reinstall -r requirements-gpu.txt)"
        )
    return None


def open_residency(settings: Settings) -> ProcessResidency:
    """Make this process's residency, with the models that a catalogue registers.

    ``MESHKILN_MODEL_CATALOGUE`` names a function ``module:name`` that registers models; tests use
    it for their tiny models.
    """
    global _current
    residency = ProcessResidency(settings)
    module, _, function = os.environ.get(CATALOGUE_VARIABLE, "").partition(":")
    if module:
        getattr(importlib.import_module(module), function)(residency)
    _current = residency
    return residency


def is_open() -> bool:
    """Whether this process has a residency, by whomever it was opened."""
    return _current is not None


def current_residency() -> ProcessResidency:
    """Return this process's residency, for engines; opened with the environment's settings."""
    return _current or open_residency(Settings.from_env())
