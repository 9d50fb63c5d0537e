"""Step-Audio-EditX under this server's memory manager, by the calls that existing scripts make.

The class underneath is the user's own ``tts.StepAudioTTS``, imported when it is first needed::

    tts = GPUManagedTTS("models/Step-Audio-EditX", tokenizer)
    sound, rate_hz = tts.clone("voice.wav", "what is said in it", "what to say")

Here the program lives in this process, so its packages must be installed beside ours. The engine
``step_audio`` hosts it in a process of its own instead; see docs/speech.md.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from backend.errors import EngineUnavailable, HostedEngineFailed, InvalidParameter
from backend.residency import process
from backend.residency.controls import offload, release
from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.managed.unmovable import Unmovable
from backend.residency.policies import Policy
from backend.residency.process import ProcessResidency
from backend.residency.states import ON_DEVICE, ON_DISK, Residence
from backend.settings import Settings

METHODS = ("clone", "edit")
DEFAULT_BUDGET_MB = 16_384
_UNSET: Any = object()

Sound = tuple[Tensor, int]


class GPUManagedTTS:
    """A ``StepAudioTTS`` that is loaded when it is first called, and leaves the GPU after calls.

    Parameters
    ----------
    model_path : str
        Folder of the model, as the class underneath takes it.
    audio_tokenizer : object
        As the class underneath takes it.
    model_source, tts_model_id : optional
        Passed on if given.
    quantization_config : object, optional
        Passed on. A quantised model cannot be moved: it is dropped after use and loaded again.
    torch_dtype : torch.dtype
        Passed on; bfloat16 unless given.
    device_map : str
        Passed on. Where the manager moves the model, ``cuda`` becomes ``cpu``: the class loads
        into host memory, and the manager brings it to the GPU.
    gpu_idle_timeout : float
        Seconds that an idle model stays in host memory. Not heeded where this process has a
        residency already, whose own timers hold then.
    enable_gpu_management : bool
        False calls the class as it is, and moves nothing.
    tts_class : callable, optional
        Another class to put underneath.
    name : str
        Under which the model is listed, offloaded and released.
    unmovable : sequence of Unmovable
        Hooks, see ``ManagedEngine``.
    budget_mb : int, optional
        Device memory that it takes at work, weights included.
    **more
        Passed on as they are.

    Raises
    ------
    InvalidParameter
        There is another one of this name.
    """

    def __init__(
        self,
        model_path: str,
        audio_tokenizer: Any = None,
        model_source: Any = _UNSET,
        tts_model_id: str | None = None,
        quantization_config: Any = None,
        torch_dtype: torch.dtype | None = None,
        device_map: str = "cuda",
        gpu_idle_timeout: float = 600,
        enable_gpu_management: bool = True,
        *,
        tts_class: Callable[..., Any] | None = None,
        name: str = "tts",
        unmovable: tuple[Unmovable, ...] = (),
        budget_mb: int | None = None,
        residency: ProcessResidency | None = None,
        **more: Any,
    ) -> None:
        is_moved = enable_gpu_management and quantization_config is None
        given = {
            "model_path": model_path,
            "audio_tokenizer": audio_tokenizer,
            "model_source": model_source,
            "tts_model_id": tts_model_id,
            "quantization_config": quantization_config,
            "torch_dtype": torch.bfloat16 if torch_dtype is None else torch_dtype,
            "device_map": _device_at_load(device_map) if is_moved else device_map,
        } | more
        self.name = name
        self.enable_gpu_management = enable_gpu_management
        self._class = tts_class or _step_audio_tts
        self._arguments = {key: value for key, value in given.items() if value is not _UNSET}
        self._lock = threading.RLock()
        self._plain: Any = None
        self._engine: ManagedEngine | None = None
        if enable_gpu_management:
            self._residency = residency or _residency_with(gpu_idle_timeout)
            self._engine = ManagedEngine(
                name, self._class, METHODS, title="Step-Audio-EditX", arguments=self._arguments,
                movable="auto" if is_moved else "none", unmovable=unmovable,
                budget_mb=budget_mb or (None if is_moved else DEFAULT_BUDGET_MB),
                residency=self._residency,
            )  # fmt: skip

    def clone(self, prompt_wav_path: str, prompt_text: str, target_text: str, **more: Any) -> Sound:
        """Say something in the voice of a recording.

        Returns
        -------
        (Tensor, int)
            Samples as the class underneath returns them, and its rate, 24000.

        Raises
        ------
        MeshkilnError
            What the class itself raises comes as it is.
        """
        given = {"prompt_wav_path": prompt_wav_path, "prompt_text": prompt_text}
        return self._call("clone", given | {"target_text": target_text} | more)

    def edit(
        self,
        input_audio_path: str,
        audio_text: str,
        edit_type: str,
        edit_info: str | None = None,
        text: str | None = None,
        **more: Any,
    ) -> Sound:
        """Change how a recording sounds; returns and raises as ``clone``."""
        given = {"input_audio_path": input_audio_path, "audio_text": audio_text}
        asked = {"edit_type": edit_type, "edit_info": edit_info, "text": text}
        return self._call("edit", given | asked | more)

    def get_gpu_status(self) -> dict[str, Any]:
        """Describe where the model is.

        Returns
        -------
        dict
            ``models`` (by name: ``location`` GPU, CPU or unloaded, ``idle_seconds``, and
            everything that ``GET /api/gpu/status`` says of one), ``gpu_memory_mb``,
            ``idle_timeout``, ``management``.
        """
        if self._engine is None:
            location = "unmanaged" if self._plain is not None else "unloaded"
            row = {"location": location, "idle_seconds": None}
            return {
                "management": False, "models": {self.name: row}, "gpu_memory_mb": None,
                "idle_timeout": None,
            }  # fmt: skip
        document = self._residency.status()
        models = {row["name"]: _as_scripts_read(row) for row in document["models"]}
        models[self.name] |= {"program": self._engine.status()["program"]}
        return {
            "management": True,
            "models": models,
            "gpu_memory_mb": sum(row["vram_mb"] for row in document["models"]),
            "idle_timeout": document["residency"]["idle_release_s"],
        }

    def force_offload(self, name: str | None = None) -> dict[str, str]:
        """Move the model to host memory, at once or when its call ends; returns the outcome."""
        return self._let_leave(offload, name)

    def force_release(self, name: str | None = None) -> dict[str, str]:
        """Free the model everywhere, at once or when its call ends; returns the outcome."""
        if self._engine is None:
            with self._lock:
                self._plain = None
            return {self.name: "done"}
        return self._let_leave(release, name)

    def close(self) -> None:
        """Free the model and give its name back; it is not called again."""
        if self._engine is not None:
            self._engine.close()
        with self._lock:
            self._plain = None

    def _call(self, method: str, arguments: dict[str, Any]) -> Sound:
        if self._engine is None:
            found: Sound = getattr(self._unmanaged(), method)(**arguments)
            return found
        try:
            sound: Sound = self._engine.call(method, (), arguments)
        except HostedEngineFailed as failure:
            if failure.__cause__ is None:
                raise
            raise failure.__cause__ from None
        return sound

    def _unmanaged(self) -> Any:
        with self._lock:
            if self._plain is None:
                self._plain = self._class(**self._arguments)
            return self._plain

    def _let_leave(self, leave: Callable[..., dict[str, Any]], name: str | None) -> dict[str, str]:
        if self._engine is None:
            raise InvalidParameter(
                "Nothing can be offloaded: GPU management is off.",
                advice="Make it with enable_gpu_management=True, or call force_release().",
            )
        self._residency.require(name)
        outcomes = leave(self._residency.manager(), name or self.name, drain=True)
        return {model: str(outcome.value) for model, outcome in outcomes.items()}


def _step_audio_tts(**arguments: Any) -> Any:
    """Make the user's own class.

    Raises
    ------
    EngineUnavailable
        It cannot be imported.
    """
    try:
        module = importlib.import_module("tts")
    except ImportError as error:
        raise EngineUnavailable(
            f"Step-Audio-EditX cannot be imported: {error}.",
            advice="Run in the folder of its checkout, with its packages installed; or give its "
            "folder and interpreter to the server: --speech-path, --speech-python.",
        ) from error
    return module.StepAudioTTS(**arguments)


def _device_at_load(device_map: str) -> str:
    """Where the class loads to, when the manager brings it to the device afterwards."""
    return "cpu" if str(device_map).startswith(("cuda", "auto")) else device_map


def _residency_with(idle_release_s: float) -> ProcessResidency:
    """Return this process's residency; a new one offloads after use, unless told otherwise."""
    if process.is_open():
        return process.current_residency()
    settings = Settings.from_env(idle_release_s=float(idle_release_s))
    if "residency" not in settings.provenance:
        settings = replace(settings, residency=Policy.OFFLOAD_AFTER_USE.value)
    return process.open_residency(settings)


def _as_scripts_read(row: dict[str, Any]) -> dict[str, Any]:
    state = Residence(row["state"])
    is_gone = state in ON_DISK or row["ram_mb"] == 0  # one that cannot be moved was dropped
    place = "GPU" if state in ON_DEVICE else "unloaded" if is_gone else "CPU"
    return row | {"location": place, "idle_seconds": row["idle_s"]}
