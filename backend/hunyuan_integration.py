"""Calls from Python without a server, named and answered as scripts for Hunyuan3D expect them.

The best engine that can run here does the work: P3-SAM and X-Part where their weights are, else
those of this build. Files of a call lie in a new folder that the caller may delete::

    mesh, profile = generate_3d_model("toy.png")
    found = segment("toy.glb")
    parts, boxes, exploded = generate("toy.glb", gr_state=found)
"""

from __future__ import annotations

import io
import json
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from backend.catalog import (
    MAX_SEED,
    CompletionEngine,
    PipelineName,
    SegmentationEngine,
    parse_params,
)
from backend.engines.engine import Role
from backend.errors import InternalError, InvalidParameter, MissingFile
from backend.meshes.part_scene import write_boxes
from backend.performance_profiler import get_performance_profiler
from backend.pipelines import catalogue
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest
from backend.profiling.recorder import record_pipeline
from backend.profiling.spans import PipelineProfile
from backend.progress import SilentSink
from backend.settings import Settings
from backend.units import SystemClock, new_id
from backend.web.mesh_inputs import inputs_of_mesh
from backend.web.uploads import normalise_image

SEED = 42
USUAL_THRESHOLD, LOWEST_THRESHOLD = 0.95, 0.5
P3SAM, XPART = SegmentationEngine.P3SAM, CompletionEngine.XPART
UNMERGED, COARSEST = 0.25, 4.0

_LAZY = ("LazyPartFormerPipeline", "VRAMEfficientModelManager", "PrecisionMode")

Picture = str | Path | bytes | Image.Image
Boxes = NDArray[np.float32]
Segmented = tuple[str, str, list[tuple[Boxes, str]]]
GrState = Segmented | list[tuple[Boxes, str]]


class Processor3D:
    """Makes models and parts in this process, one call at a time.

    Parameters
    ----------
    settings : Settings, optional
        Limits of what is read; those of the environment unless given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings

    def generate_3d_model(
        self, image: Picture, **params: Any
    ) -> tuple[trimesh.Trimesh, PipelineProfile]:
        """Make a textured model of a picture.

        Parameters
        ----------
        image : path, bytes or PIL image
            PNG, JPEG or WebP.
        **params
            Of the pipeline ``image_to_3d``.

        Returns
        -------
        trimesh.Trimesh
            As the GLB holds it, with its texture.
        PipelineProfile
            What each stage took; its id is ``gen_`` and the number of the run.

        Raises
        ------
        MeshkilnError
            Never a placeholder instead of a model.
        """
        folder = new_folder()
        picture = normalise_image(*_picture_bytes(image), self._limits(folder))
        source = folder / picture.file_name
        source.write_bytes(picture.data)
        run_id = f"gen_{new_id(SystemClock().now())}"
        with record_pipeline(run_id) as trace:
            drawn = {"seed": secrets.randbelow(MAX_SEED + 1)} | params
            self._run(PipelineName.IMAGE_TO_3D, {"image": source}, drawn, folder)
        profile = trace.profile
        if profile is None:
            raise InternalError("The run was not measured.")
        get_performance_profiler().collect(profile)
        loaded: Any = trimesh.load(folder / "model.glb", force="mesh", process=False)
        mesh: trimesh.Trimesh = loaded
        return mesh, profile

    def segment(
        self,
        mesh_path: str | Path,
        postprocess: bool = True,
        postprocess_threshold: float = USUAL_THRESHOLD,
        seed: int = SEED,
    ) -> Segmented:
        """Find the parts of a mesh.

        Parameters
        ----------
        mesh_path : path
            GLB, glTF, OBJ, PLY or STL.
        postprocess : bool
            Without it, small pieces are left apart that would be merged.
        postprocess_threshold : float
            Small pieces beyond this share of the area join their neighbours. Engines without
            networks suggest parts of their own at 0.95, and merge more at lower values.

        Returns
        -------
        str
            GLB with a node and a material per part.
        str
            ``face_ids.npy``, (m,) int32: the part of each face.
        list of (boxes, mesh path)
            One pair; boxes (p, 2, 3) float32 have the lowest and highest corner of each part.
        """
        folder = new_folder()
        inputs = self._inputs(mesh_path, folder)
        params = {"seed": seed} | _division(postprocess_threshold, postprocess=postprocess)
        self._run(PipelineName.SEGMENT_PARTS, inputs, params, folder)
        boxes = _boxes(folder)
        return (
            str(folder / "parts.glb"),
            str(folder / "face_ids.npy"),
            [(boxes, str(mesh_path))],
        )

    def generate(
        self, mesh_path: str | Path, seed: int = SEED, gr_state: GrState | None = None
    ) -> tuple[str, str, str]:
        """Make each part of a mesh a closed mesh.

        Parameters
        ----------
        mesh_path : path
            The mesh that was segmented.
        gr_state : tuple or list, optional
            What ``segment`` returned, whose parts are taken; boxes in it that were changed decide
            what of the mesh X-Part is shown. Or only its list of boxes: X-Part goes by them; for
            other engines parts are found again, as many as there are boxes. Without it they are
            found here.

        Returns
        -------
        str
            GLB of the closed parts.
        str
            GLB of their boxes, as lines.
        str
            GLB of the parts moved apart.
        """
        folder = new_folder()
        params: dict[str, Any] = {"seed": seed}
        face_ids = boxes = None
        if isinstance(gr_state, tuple):
            face_ids = _bytes_of(Path(gr_state[1]))
            boxes = _changed_boxes(gr_state)
        elif gr_state and catalogue.chosen_engine(Role.COMPLETION) == XPART:
            boxes = _as_json(gr_state[0][0])
        elif gr_state:
            params["part_count"] = max(1, len(gr_state[0][0]))
        inputs = self._inputs(mesh_path, folder, face_ids, boxes)
        return self._completed(inputs, params, folder)

    def complete(
        self, mesh_path: str | Path, seed: int = SEED, boxes: Boxes | None = None, **params: Any
    ) -> tuple[str, str, str]:
        """Make each part of a mesh a closed mesh, by boxes where they are given.

        Parameters
        ----------
        boxes : (p, 2, 3) float, optional
            Lowest and highest corner of each part; parts are found without them.
        **params
            Of the pipeline ``complete_parts``.

        Returns
        -------
        tuple of str
            As ``generate``.
        """
        folder = new_folder()
        sent = None if boxes is None else _as_json(boxes)
        inputs = self._inputs(mesh_path, folder, boxes=sent)
        return self._completed(inputs, {"seed": seed} | params, folder)

    def _completed(
        self, inputs: Mapping[str, Path], params: Mapping[str, Any], folder: Path
    ) -> tuple[str, str, str]:
        drawn = inputs.get("boxes")
        self._run(PipelineName.COMPLETE_PARTS, inputs, params, folder)
        shown = folder / "boxes.glb"
        count = None if drawn is None else len(json.loads(drawn.read_text()))
        write_boxes(_boxes(folder, count), shown)  # behind them comes what is in none
        return str(folder / "parts.glb"), str(shown), str(folder / "exploded.glb")

    def _run(
        self,
        pipeline: PipelineName,
        inputs: Mapping[str, Path],
        params: Mapping[str, Any],
        folder: Path,
    ) -> PipelineOutcome:
        request = PipelineRequest(inputs, parse_params(pipeline, dict(params)), folder)
        return catalogue.run_pipeline(pipeline, request, SilentSink())

    def _inputs(
        self,
        mesh_path: str | Path,
        folder: Path,
        face_ids: bytes | None = None,
        boxes: bytes | None = None,
    ) -> dict[str, Path]:
        """Let a child process read the mesh; raises BadInput."""
        inputs = folder / "input"
        inputs.mkdir()
        limits = self._limits(inputs)
        return inputs_of_mesh(Path(mesh_path), inputs, limits, face_ids, boxes)

    def _limits(self, folder: Path) -> Settings:
        return replace(self._settings or Settings.from_env(), data_dir=folder)


_processor = Processor3D()


def get_3d_processor() -> Processor3D:
    """Return what makes models and parts in this process."""
    return _processor


def generate_3d_model(image: Picture, **params: Any) -> tuple[trimesh.Trimesh, PipelineProfile]:
    """Make a textured model of a picture; see ``Processor3D.generate_3d_model``."""
    return _processor.generate_3d_model(image, **params)


def segment(
    mesh_path: str | Path,
    postprocess: bool = True,
    postprocess_threshold: float = USUAL_THRESHOLD,
    seed: int = SEED,
) -> Segmented:
    """Find the parts of a mesh; see ``Processor3D.segment``."""
    return _processor.segment(mesh_path, postprocess, postprocess_threshold, seed)


def generate(
    mesh_path: str | Path, seed: int = SEED, gr_state: GrState | None = None
) -> tuple[str, str, str]:
    """Make each part of a mesh a closed mesh; see ``Processor3D.generate``."""
    return _processor.generate(mesh_path, seed, gr_state)


def __getattr__(name: str) -> Any:
    """Give what scripts look for here from ``lazy_pipelines``, which imports this module."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from backend import lazy_pipelines

    return getattr(lazy_pipelines, name)


def new_folder() -> Path:
    """Make a folder for the files of one call."""
    return Path(tempfile.mkdtemp(prefix="meshkiln-"))


def _division(threshold: float, *, postprocess: bool) -> dict[str, Any]:
    """Say in parameters of the engine that is here how much is merged; raises InvalidParameter."""
    if not 0 < threshold <= 1:
        raise InvalidParameter(f"postprocess_threshold is {threshold:g}, not between 0 and 1.")
    if catalogue.chosen_engine(Role.SEGMENTATION) == P3SAM:
        return {"post_process": postprocess, "threshold": max(threshold, LOWEST_THRESHOLD)}
    merged = min(USUAL_THRESHOLD / threshold, COARSEST)
    return {"granularity": merged if postprocess else UNMERGED}


def _changed_boxes(state: Segmented) -> bytes | None:
    """Return the boxes of what ``segment`` returned where somebody changed them since."""
    boxes = np.asarray(state[2][0][0], dtype=np.float32)
    found = Path(state[1]).with_name("boxes.json")
    if not found.exists() or np.array_equal(boxes, _boxes(found.parent)):
        return None
    return _as_json(boxes)


def _as_json(boxes: Boxes) -> bytes:
    return json.dumps(np.asarray(boxes, dtype=np.float64).tolist()).encode()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error


def _boxes(folder: Path, count: int | None = None) -> Boxes:
    """Read the boxes of parts, of those with numbers below a count where one is given."""
    found: list[dict[str, Any]] = json.loads((folder / "boxes.json").read_text())
    kept = [part["box"] for part in found if count is None or part["index"] < count]
    return np.array(kept, dtype=np.float32).reshape(-1, 2, 3)


def _picture_bytes(image: Picture) -> tuple[bytes, str]:
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue(), "picture.png"
    if isinstance(image, bytes):
        return image, "picture"
    path = Path(image)
    return _bytes_of(path), path.name
