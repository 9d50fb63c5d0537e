"""``mesh``: a mesh is counted, mended, reduced and converted, here or on a running server."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.catalog import (
    LengthUnit,
    MeshFileFormat,
    PipelineName,
    PrepareMeshParams,
    UpAxis,
    parse_params,
)
from backend.errors import InvalidParameter
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.cli.part_run import Made

_UNITS = [unit.value for unit in LengthUnit]
_AXES = [axis.value for axis in UpAxis]
_SHOWN = {
    "glb": "GLB", "obj": "OBJ with its materials", "ply": "PLY", "stl": "STL"
}  # fmt: skip


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    mesh = commands.add_parser(
        "mesh",
        help="check, repair, reduce and convert a mesh",
        description="Counts what is in a mesh and what is wrong with it, mends it, reduces its "
        "faces and writes it in another format. Textures, materials and colours stay where the "
        "format has them. With --info it is only counted.",
    )
    mesh.add_argument("mesh", type=Path, help="GLB, glTF with everything inside, OBJ, PLY or STL")
    mesh.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="folder for the files; made if it is not there",
    )
    mesh.add_argument("--info", action="store_true", help="only count, write nothing")
    mesh.add_argument("--json", action="store_true", help="with --info: as JSON")
    _add_work(mesh)
    _add_units(mesh)
    mesh.add_argument("--server", metavar="URL", help="submit to a running server instead")
    mesh.set_defaults(command=_run)


def _add_work(mesh: argparse.ArgumentParser) -> None:
    mesh.add_argument(
        "--repair", action=argparse.BooleanOptionalAction, default=None, help="on unless refused"
    )
    mesh.add_argument(
        "--hole-share",
        type=float,
        metavar="SHARE",
        help="widest hole that is filled, as a share of its piece; default 0.1, 0 fills none",
    )
    mesh.add_argument(
        "--debris-share",
        type=float,
        metavar="SHARE",
        help="drop loose pieces smaller than this share of the mesh; default 0, which drops none",
    )
    mesh.add_argument("--target-faces", type=int, metavar="N", help="at most so many faces")
    formats = [kind.value for kind in MeshFileFormat]
    mesh.add_argument("--format", choices=formats, help="default glb")


def _add_units(mesh: argparse.ArgumentParser) -> None:
    given = mesh.add_argument_group("units, metres with Y up unless told")
    given.add_argument("--from-units", choices=_UNITS, help="unit of the coordinates in the file")
    given.add_argument("--from-up", choices=_AXES, help="axis of the file that points up")
    given.add_argument("--units", choices=_UNITS, help="unit to write; GLB is in metres")
    given.add_argument("--up", choices=_AXES, help="up-axis to write; GLB has Y")
    given.add_argument("--size-m", type=float, metavar="M", help="make the longest side so long")


def _params(args: argparse.Namespace) -> dict[str, Any]:
    names = PrepareMeshParams.model_fields
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _run(args: argparse.Namespace) -> int:
    if args.info:
        if args.output or args.server:
            raise InvalidParameter(
                "--info counts here and writes nothing.", advice="Leave -o and --server out."
            )
        return _tell(args)
    if args.output is None:
        raise InvalidParameter(
            "No folder for the files was named.",
            advice="Name one with -o, or only count with --info.",
        )
    from backend.cli.part_run import LEFT_OUT, run_into_folder
    from backend.web.mesh_inputs import inputs_of_mesh

    def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
        return inputs_of_mesh(args.mesh, folder, settings)

    params = _params(args)
    kind = params.get("format", MeshFileFormat.GLB.value)
    left_out = LEFT_OUT | {"thumbnail"} | ({"model"} if kind != MeshFileFormat.GLB else set())
    return run_into_folder(
        PipelineName.PREPARE_MESH, {"file": args.mesh}, params, prepare, args.output, args.server,
        _words, left_out,
    )  # fmt: skip


def _tell(args: argparse.Namespace) -> int:
    """Count a mesh and print it, as a table or as JSON."""
    params = parse_params(PipelineName.PREPARE_MESH, _params(args))
    from backend.meshes.mending.mesh_figures import measure_mesh
    from backend.meshes.mending.mesh_scale import scaled
    from backend.pipelines.prepare_mesh import given_mesh
    from backend.web.mesh_inputs import inputs_of_mesh

    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch:
        path = inputs_of_mesh(args.mesh, Path(scratch), Settings.from_env())["mesh"]
        checked = PrepareMeshParams.model_validate(params.model_dump())
        figures = measure_mesh(scaled(*given_mesh(path, checked))).document()
    if args.json:
        print(json.dumps(figures, indent=1))
        return 0
    from rich.console import Console

    console = Console(file=sys.stdout)
    for name, value in figures_in_words(figures).items():
        console.print(f"{name:<24} {value}", markup=False, highlight=False, soft_wrap=True)
    return 0


def figures_in_words(figures: dict[str, Any]) -> dict[str, str]:
    """Write the figures of a mesh for people; what is not known says so."""
    sides = " x ".join(f"{side:.4g}" for side in figures["extents_m"])
    volume = figures["volume_m3"]
    textures = ", ".join(
        f"{one['width_px']} x {one['height_px']} px" if one["width_px"] else "unreadable"
        for one in figures["textures"]
    )
    plain = {
        "Vertices": "vertices", "Faces": "faces", "Pieces": "bodies",
        "Open border edges": "border_edges", "Open borders": "border_loops",
        "Edges of many faces": "non_manifold_edges", "Edges that clash": "flipped_edges",
        "Faces without area": "degenerate_faces", "Faces twice": "duplicate_faces",
        "Pieces inside out": "inward_bodies", "Materials": "materials",
    }  # fmt: skip
    return {
        "Size": f"{sides} m",
        "Area": f"{figures['area_m2']:.4g} m2",
        "Volume": f"{volume:.4g} m3" if volume is not None else "none, it is not closed",
        "Watertight": _yes_no(figures["is_watertight"]),
        **{name: f"{figures[key]:,}" for name, key in plain.items()},
        "Texture coordinates": _yes_no(figures["has_uvs"]),
        "Vertex colours": _yes_no(figures["has_vertex_colors"]),
        "Textures": textures or "none",
    }


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _words(made: Made) -> str:
    report = made.facts["mesh_report"]
    before, after, file = report["before"], report["after"], report["file"]
    tight = "watertight" if after["is_watertight"] else "not watertight"
    said = f"{before['faces']:,} faces became {after['faces']:,}, {tight}."
    changed = [step for step in report["repair"] or [] if step["changed"]]
    said += "".join(f"\n  {step['meaning']}: {step['changed']:,}" for step in changed)
    said += "".join(f"\n  Left. {words}" for words in report["left"])
    return f"{said}\n{_SHOWN[file['format']]} in {file['unit']}, {file['up'].upper()} up."
