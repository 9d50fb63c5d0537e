"""``generate``: the pipeline of the server in this process, or on a running server."""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from backend.catalog import MAX_SEED, PIPELINES, OtherView, PipelineName, parse_params
from backend.cli.parameters import given_params
from backend.cli.part_run import read_file, run_into_folder
from backend.cli.remote import generate_on_server
from backend.cli.stage_bars import BarSink
from backend.errors import FieldProblem, InvalidParameter
from backend.settings import Settings

MODEL, PARTS_FOLDER = "model.glb", "parts"
AS_SUGGESTED = "auto"
Given = Mapping[str, tuple[str, bytes]]
FORMATS = {
    ".glb": "model.glb",
    ".zip": "model_obj.zip",
    ".stl": "model.stl",
    ".ply": "model.ply",
    ".png": "thumbnail.png",
}


def generate(args: argparse.Namespace) -> int:
    """Make one model and write it to ``args.output``, or its parts into that folder."""
    if args.parts is not None:
        return _generate_parts(args)
    args.output = args.output or Path(MODEL)
    console = Console(stderr=True)
    wanted = _wanted_output(args.output)
    params = _params(args)
    given = {field: (path.name, read_file(path)) for field, path in _files(args).items()}
    with BarSink(console, PIPELINES[PipelineName.IMAGE_TO_3D].stages) as sink:
        if args.server:
            generate_on_server(args.server, given, params, sink, wanted, args.output)
        else:
            _generate_here(given, params, sink, wanted, args.output)
    for warning in sink.warnings:
        console.print(f"[yellow]Note:[/] {warning}")
    console.print(f"Wrote {args.output} ({args.output.stat().st_size / 1024:.0f} KB)")
    return 0


def _generate_here(
    given: Given,
    params: dict[str, Any],
    sink: BarSink,
    wanted: str,
    output: Path,
) -> None:
    from backend.pipelines.catalogue import run_pipeline
    from backend.pipelines.pipeline import PipelineRequest

    settings = Settings.from_env()
    name = PipelineName.IMAGE_TO_3D
    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch:
        folder = Path(scratch)
        inputs = _inputs(given, folder, settings)
        out_dir = folder / "out"
        out_dir.mkdir()
        request = PipelineRequest(inputs, parse_params(name, params), out_dir)
        outcome = run_pipeline(name, request, sink)
        made = next(file.path for file in outcome.outputs if file.name == wanted)
        shutil.copyfile(made, output)


def _generate_parts(args: argparse.Namespace) -> int:
    files = _files(args)
    params = given_params(args)
    if args.seed is not None:
        params["seed"] = args.seed
    if args.parts != AS_SUGGESTED:
        params["part_count"] = args.parts

    def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
        given = {field: (path.name, read_file(path)) for field, path in files.items()}
        return _inputs(given, folder, settings)

    output = args.output or Path(PARTS_FOLDER)
    if output.suffix.lower() in FORMATS and not output.is_dir():
        problem = FieldProblem("/output", "a folder")
        raise InvalidParameter(
            f"{output}: parts are written into a folder.",
            advice=f"Name a folder: -o {output.with_suffix('')}",
            fields=(problem,),
        )
    return run_into_folder(PipelineName.IMAGE_TO_PARTS, files, params, prepare, output, args.server)


def _files(args: argparse.Namespace) -> dict[str, Path]:
    """Return what was given, by the fields of a submit."""
    others = {name: getattr(args, name, None) for name in ("mask", *OtherView)}
    return {"file": args.image} | {name: path for name, path in others.items() if path}


def _inputs(given: Given, folder: Path, settings: Settings) -> dict[str, Path]:
    """Write the pictures as the pipeline takes them; raises BadInput."""
    from backend.web.picture_files import files_of_picture

    _, kept = files_of_picture(given, "file", settings)
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    return {name.partition(".")[0]: folder / name for name in kept}


def _params(args: argparse.Namespace) -> dict[str, Any]:
    params: dict[str, Any] = {"seed": args.seed, **given_params(args)}
    if params["seed"] is None:
        params["seed"] = secrets.randbelow(MAX_SEED + 1)
    parse_params(PipelineName.IMAGE_TO_3D, params)
    return params


def _wanted_output(path: Path) -> str:
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        known = ", ".join(FORMATS)
        raise InvalidParameter(
            f"{path.name}: this file type is not made.", advice=f"Use one of: {known}"
        )
    if not path.absolute().parent.is_dir():
        raise InvalidParameter(
            f"{path}: the folder does not exist.", advice="Make it first, or choose another."
        )
    return name
