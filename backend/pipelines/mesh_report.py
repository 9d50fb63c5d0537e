"""What ``prepare_mesh`` tells of a mesh: before, after, each step, and what it could not mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.catalog import LengthUnit, MeshFileFormat, PrepareMeshParams, UpAxis
from backend.meshes.decimation.fewer_faces import DecimationMethod
from backend.meshes.mending.mesh_figures import MeshFigures
from backend.meshes.mending.repair import StepTaken

FORMAT_VERSION = 1


@dataclass(frozen=True)
class MeshReport:
    """The report; ``document`` is ``mesh_report.json``.

    Parameters
    ----------
    steps : tuple of StepTaken
        Of the repair; empty when none was asked for.
    decimation : DecimationMethod or None
        None when no number of faces was asked for.
    not_kept : list of str
        What the mesh has and its file does not.
    not_read : list of str
        What the given file holds beside the mesh.
    """

    params: PrepareMeshParams
    before: MeshFigures
    after: MeshFigures
    steps: tuple[StepTaken, ...]
    decimation: DecimationMethod | None
    file_name: str
    not_kept: list[str]
    not_read: list[str]

    def document(self) -> dict[str, Any]:
        """JSON-ready report."""
        params = self.params
        unit, up = written_as(params)
        return {
            "version": FORMAT_VERSION,
            "read_as": {
                "unit": params.from_units.value,
                "up": params.from_up.value,
                "not_read": self.not_read,
            },
            "before": self.before.document(),
            "after": self.after.document(),
            "repair": [step.document() for step in self.steps] if params.repair else None,
            "decimation": self._decimation(),
            "file": {
                "name": self.file_name,
                "format": params.format.value,
                "unit": unit.value,
                "up": up.value,
                "not_kept": self.not_kept,
            },
            "left": self.left(),
        }

    def left(self) -> list[str]:
        """Name what is still wrong with the mesh, and why it was not mended if that was tried."""
        after = self.after
        edges = f"{after.border_edges:,}"
        counted = (
            (f"Open borders, of {edges} edges in all", after.border_loops, "They are wider than "
             "asked to fill, the outline of a flat piece, or where the surface is torn."),
            ("Edges with more than two faces", after.non_manifold_edges, "Surfaces touch or run "
             "through each other there."),
            ("Edges between faces that look to different sides", after.flipped_edges, ""),
            ("Faces without an area", after.degenerate_faces, "Leaving them out would open the "
             "surface."),
            ("Faces that are there twice", after.duplicate_faces, ""),
            ("Closed pieces that are inside out", after.inward_bodies, ""),
        )  # fmt: skip
        why_shown = self.params.repair
        return [
            f"{what}: {count:,}. {why if why_shown else ''}".strip()
            for what, count, why in counted
            if count
        ]

    def warnings(self) -> list[str]:
        """Say what people should know without opening the report."""
        params, told = self.params, []
        if params.target_faces is not None and self.after.faces > params.target_faces:
            told.append(
                f"The mesh has {self.after.faces:,} faces, more than the {params.target_faces:,} "
                "that were asked for: fewer would tear it or its texture."
            )
        if self.not_read:
            told.append(f"Left behind from your file: {', '.join(self.not_read)}.")
        if self.decimation is DecimationMethod.CLUSTERING:
            told.append(
                "So few faces could only be reached by joining what lies close together: loose "
                "pieces, narrow gaps and fine detail are gone, and the texture is less exact."
            )
        if self.not_kept:
            what = ", ".join(self.not_kept)
            told.append(f"A file of the format {params.format.upper()} has no {what}.")
        is_default = (params.units, params.up) == (LengthUnit.M, UpAxis.Y)
        if params.format is MeshFileFormat.GLB and not is_default:
            told.append("GLB is in metres with Y up; the chosen unit and up-axis are not used.")
        return told

    def _decimation(self) -> dict[str, Any] | None:
        if self.decimation is None:
            return None
        asked, method = self.params.target_faces, self.decimation.value
        return {"asked": asked, "faces": self.after.faces, "method": method}


def written_as(params: PrepareMeshParams) -> tuple[LengthUnit, UpAxis]:
    """Return the unit and the up-axis of the file; those of GLB are fixed."""
    if params.format is MeshFileFormat.GLB:
        return LengthUnit.M, UpAxis.Y
    return params.units, params.up
