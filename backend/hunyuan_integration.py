"""Calls from Python without a server, named and answered as scripts for Hunyuan3D expect them.

Models of Tencent's are not needed for them: the engines of this build do the work, and the best
that can run here is chosen. Files of a call lie in a new folder that the caller may delete::

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

from backend.catalog import MAX_SEED, PipelineName, parse_params
from backend.errors import InternalError, InvalidParameter, MissingFile
from backend.meshes.part_scene import write_boxes
from backend.performance_profiler import get_performance_profiler
from backend.pipelines.catalogue import run_pipeline
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest
from backend.profiling.recorder import record_pipeline
from backend.profiling.spans import PipelineProfile
from backend.progress import SilentSink
from backend.settings import Settings
from backend.units import SystemClock, new_id
from backend.web.mesh_uploads import SentMesh, normalise_mesh
from backend.web.uploads import normalise_image

SEED = 42
USUAL_THRESHOLD = 0.95
UNMERGED, COARSEST = 0.25, 4.0

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
            0.95 gives the parts that the engine suggests; lower values merge more.

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
        inputs = {"mesh": self._read_mesh(Path(mesh_path), folder)}
        granularity = _granularity(postprocess_threshold) if postprocess else UNMERGED
        params = {"seed": seed, "granularity": granularity}
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
            What ``segment`` returned, whose parts are taken; or only its list of boxes: then the
            parts are found again, as many as there are boxes. Without it they are found here.

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
        inputs = {"mesh": self._read_mesh(Path(mesh_path), folder)}
        params: dict[str, Any] = {"seed": seed}
        if isinstance(gr_state, tuple):
            inputs["face_ids"] = Path(gr_state[1])
        elif gr_state:
            params["part_count"] = max(1, len(gr_state[0][0]))
        self._run(PipelineName.COMPLETE_PARTS, inputs, params, folder)
        boxes = folder / "boxes.glb"
        write_boxes(_boxes(folder), boxes)
        return str(folder / "parts.glb"), str(boxes), str(folder / "exploded.glb")

    def _run(
        self,
        pipeline: PipelineName,
        inputs: Mapping[str, Path],
        params: Mapping[str, Any],
        folder: Path,
    ) -> PipelineOutcome:
        request = PipelineRequest(inputs, parse_params(pipeline, dict(params)), folder)
        return run_pipeline(pipeline, request, SilentSink())

    def _read_mesh(self, path: Path, folder: Path) -> Path:
        """Let a child process read the mesh; raises BadInput."""
        try:
            with path.open("rb") as file:
                mesh = normalise_mesh(SentMesh(path.name, file), self._limits(folder))
        except OSError as error:
            raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error
        target = folder / mesh.file_name
        target.write_bytes(mesh.data)
        return target

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


def new_folder() -> Path:
    """Make a folder for the files of one call."""
    return Path(tempfile.mkdtemp(prefix="meshkiln-"))


def _granularity(threshold: float) -> float:
    if not 0 < threshold <= 1:
        raise InvalidParameter(f"postprocess_threshold is {threshold:g}, not between 0 and 1.")
    return min(USUAL_THRESHOLD / threshold, COARSEST)


def _boxes(folder: Path) -> Boxes:
    found: list[dict[str, Any]] = json.loads((folder / "boxes.json").read_text())
    return np.array([part["box"] for part in found], dtype=np.float32)


def _picture_bytes(image: Picture) -> tuple[bytes, str]:
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue(), "picture.png"
    if isinstance(image, bytes):
        return image, "picture"
    path = Path(image)
    try:
        return path.read_bytes(), path.name
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error
