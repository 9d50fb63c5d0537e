"""The part models under the names by which scripts for one small GPU call them.

Nothing is loaded before it is used, and each network is on the GPU only while it computes; the
residency manager of this process sees to that. What hands out a model returns a lease: use it in a
``with`` statement, so that nobody unloads it meanwhile::

    with VRAMEfficientModelManager("bf16").get_partformer_pipeline() as pipeline:
        scene = pipeline("toy.glb")
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.catalog import CompletionEngine
from backend.errors import InvalidParameter
from backend.hunyuan_integration import SEED, get_3d_processor
from backend.residency.controls import offload, preload, release
from backend.residency.lease import Lease
from backend.residency.process import current_residency
from backend.residency.states import ON_DEVICE, ON_DISK, Outcome, Residence
from backend.settings import FULL_WEIGHTS, INT8_WEIGHTS

P3SAM_MODEL, XPART_MODEL = "p3-sam", "x-part"
SEGMENTER, CONDITIONER = f"{P3SAM_MODEL}/segmenter", f"{XPART_MODEL}/conditioner"
_MODELS = {"p3sam": P3SAM_MODEL, "partformer": XPART_MODEL}

Boxes = NDArray[np.floating]
Scenes = tuple[trimesh.Scene, tuple[trimesh.Scene, trimesh.Scene]]


class PrecisionMode(StrEnum):
    """Number formats; ``fp8`` keeps weights in 8 bits (int8) and computes as the card likes."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"


class LazyPartFormerPipeline:
    """X-Part, loaded network by network when it is called.

    Parameters
    ----------
    model_path : path, optional
        Folder that holds the authors' ``Hunyuan3D-Part``; from then on this process looks there,
        as if ``MESHKILN_MODEL_PATH`` said so.
    verbose : bool
        Also return the boxes, and the parts moved apart.
    dtype : torch.dtype or str, optional
        As ``PrecisionMode``; for the whole process.
    enable_mixed_precision : bool
        Without it, and without a ``dtype``, networks compute in fp32.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        verbose: bool = False,
        dtype: Any = None,
        enable_mixed_precision: bool = True,
    ) -> None:
        self._verbose = verbose
        if model_path is not None:
            os.environ["MESHKILN_MODEL_PATH"] = str(model_path)
        if dtype is not None or not enable_mixed_precision:
            use_precision(PrecisionMode.FP32 if dtype is None else _mode_of(dtype))

    def __call__(
        self,
        mesh_path: str | Path,
        aabb: Boxes | None = None,
        seed: int = SEED,
        **params: Any,
    ) -> trimesh.Scene | Scenes:
        """Make the parts of a mesh.

        Parameters
        ----------
        aabb : (p, 2, 3) float, optional
            Lowest and highest corner of each part; parts are found without them.
        **params
            Of the pipeline ``complete_parts``, such as ``part_steps``.

        Returns
        -------
        trimesh.Scene
            The parts, and behind them what is in no box, as it was given; with ``verbose``, that
            and a pair of scenes: boxes, and parts moved apart.

        Raises
        ------
        MeshkilnError
        """
        asked = {"completion": CompletionEngine.XPART} | params
        files = get_3d_processor().complete(mesh_path, seed, aabb, **asked)
        parts, boxes, exploded = (trimesh.load_scene(path, process=False) for path in files)
        return (parts, (boxes, exploded)) if self._verbose else parts

    @property
    def is_loaded(self) -> bool:
        """Whether any of its networks is in memory, on the device or beside it."""
        return any(row["state"] not in ON_DISK for row in _rows(XPART_MODEL))

    def to(self, device: Any) -> LazyPartFormerPipeline:
        """Move it: ``cpu`` takes its networks off the device, ``cuda`` brings the first one ahead.

        Raises
        ------
        WeightsMissing, LicenceNotAccepted, ModelTooLarge, ModelLoadFailed, OutOfMemory
        """
        if str(device).startswith("cpu"):
            for row in _rows(XPART_MODEL):
                if row["state"] in ON_DEVICE:
                    offload(current_residency().manager(), row["name"])
            return self
        _register(XPART_MODEL)
        preload(current_residency().manager(), CONDITIONER)
        return self

    def unload(self) -> dict[str, Outcome]:
        """Free its networks everywhere; those in use go when their leases end."""
        return _released(XPART_MODEL)


class VRAMEfficientModelManager:
    """P3-SAM and X-Part in turn on one GPU.

    Parameters
    ----------
    precision_mode : PrecisionMode or str, optional
        For the whole process; as it is set if absent.
    """

    def __init__(self, precision_mode: PrecisionMode | str | None = None) -> None:
        if precision_mode is not None:
            self.set_precision_mode(precision_mode)

    def get_p3sam_model(self) -> Lease:
        """Lease the network of P3-SAM.

        Raises
        ------
        WeightsMissing, LicenceNotAccepted, ModelTooLarge, ModelLoadFailed, OutOfMemory, GpuBusy
        """
        _register(P3SAM_MODEL)
        return current_residency().manager().lease(SEGMENTER)

    def get_partformer_pipeline(self) -> Lease:
        """Lease X-Part as one pipeline; its calls lease each network for as long as they need it.

        Raises
        ------
        WeightsMissing, LicenceNotAccepted
        """
        _register(XPART_MODEL)
        return Lease(XPART_MODEL, LazyPartFormerPipeline(), lambda lease: None)

    def unload_all_models(self) -> dict[str, Outcome]:
        """Free both; what is in use goes when its lease ends."""
        return _released(P3SAM_MODEL) | _released(XPART_MODEL)

    def set_precision_mode(self, precision_mode: PrecisionMode | str) -> None:
        """Choose the number format of what is loaded from now on; raises InvalidParameter."""
        use_precision(_mode_of(precision_mode))

    def get_memory_usage_estimate(self) -> dict[str, dict[str, Any]]:
        """Tell what the networks take, as it was measured when they were loaded.

        Returns
        -------
        dict
            For ``p3sam`` and ``partformer``: ``networks`` with the MB of weights of each, None
            before it was loaded for the first time; ``vram_mb`` and ``ram_mb`` that they hold now.
        """
        return {name: _memory(model) for name, model in _MODELS.items()}

    def get_current_model_type(self) -> str | None:
        """Return which of the two is on the device, ``p3sam`` or ``partformer``; None if none."""
        for name, model in _MODELS.items():
            if any(row["state"] == Residence.RESIDENT for row in _rows(model)):
                return name
        return None


def use_precision(mode: PrecisionMode) -> None:
    """Have networks of this process loaded in a format from now on, as the settings would."""
    is_int8 = mode is PrecisionMode.FP8
    os.environ["MESHKILN_PRECISION"] = "auto" if is_int8 else mode.value
    os.environ["MESHKILN_WEIGHTS"] = INT8_WEIGHTS if is_int8 else FULL_WEIGHTS


def _mode_of(given: Any) -> PrecisionMode:
    """Understand a mode, its name, or a dtype of torch's; raises InvalidParameter."""
    name = str(given).removeprefix("torch.")
    short = {"float32": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16"}
    try:
        return PrecisionMode(short.get(name, name))
    except ValueError as error:
        known = ", ".join(PrecisionMode)
        raise InvalidParameter(f"There is no precision {name!r}; known are {known}.") from error


def _register(model_id: str) -> None:
    """Make the networks of a model known to the residency; raises where its weights are not."""
    from backend.engines.model_networks import networks_of

    networks_of(model_id)


def _rows(model_id: str) -> list[dict[str, Any]]:
    models = current_residency().status()["models"]
    return [row for row in models if row["name"].startswith(f"{model_id}/")]


def _released(model_id: str) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    if current_residency().started:
        for row in _rows(model_id):
            found |= release(current_residency().manager(), row["name"], drain=True)
    return found


def _memory(model_id: str) -> dict[str, Any]:
    rows = _rows(model_id)
    return {
        "networks": {row["name"]: row["size_mb"] for row in rows},
        "vram_mb": sum(row["vram_mb"] for row in rows),
        "ram_mb": sum(row["ram_mb"] for row in rows),
    }
