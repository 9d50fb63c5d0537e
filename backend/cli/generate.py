"""``generate``: the pipeline of the server in this process, or on a running server."""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from backend.catalog import MAX_SEED, PIPELINES, PipelineName, parse_params
from backend.cli.parameters import given_params
from backend.cli.remote import generate_on_server
from backend.errors import InvalidParameter, MissingFile
from backend.progress import SilentSink
from backend.settings import Settings

FORMATS = {
    ".glb": "model.glb",
    ".zip": "model_obj.zip",
    ".stl": "model.stl",
    ".ply": "model.ply",
    ".png": "thumbnail.png",
}


def generate(args: argparse.Namespace) -> int:
    """Make one model and write it to ``args.output``."""
    console = Console(stderr=True)
    wanted = _wanted_output(args.output)
    params = _params(args)
    image = _read(args.image)
    mask = _read(args.mask) if args.mask else None
    with BarSink(console) as sink:
        if args.server:
            generate_on_server(
                args.server, args.image.name, image, mask, params, sink, wanted, args.output
            )
        else:
            _generate_here(args.image.name, image, mask, params, sink, wanted, args.output)
    for warning in sink.warnings:
        console.print(f"[yellow]Note:[/] {warning}")
    console.print(f"Wrote {args.output} ({args.output.stat().st_size / 1024:.0f} KB)")
    return 0


def _generate_here(
    filename: str,
    image: bytes,
    mask: bytes | None,
    params: dict[str, Any],
    sink: BarSink,
    wanted: str,
    output: Path,
) -> None:
    from backend.pipelines.catalogue import run_pipeline
    from backend.pipelines.pipeline import PipelineRequest
    from backend.web.uploads import normalise_image, normalise_mask

    settings = Settings.from_env()
    name = PipelineName.IMAGE_TO_3D
    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch:
        folder = Path(scratch)
        picture = normalise_image(image, filename, settings)
        inputs = {"image": folder / picture.file_name}
        inputs["image"].write_bytes(picture.data)
        if mask is not None:
            inputs["mask"] = folder / "mask.png"
            size = (picture.width, picture.height)
            inputs["mask"].write_bytes(normalise_mask(mask, size, settings))
        out_dir = folder / "out"
        out_dir.mkdir()
        request = PipelineRequest(inputs, parse_params(name, params), out_dir)
        outcome = run_pipeline(name, request, sink)
        made = next(file.path for file in outcome.outputs if file.name == wanted)
        shutil.copyfile(made, output)


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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error


class BarSink(SilentSink):
    """A bar per stage in the terminal.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self.warnings: list[str] = []
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
        )
        stages = PIPELINES[PipelineName.IMAGE_TO_3D].stages
        self._tasks: dict[str, TaskID] = {
            name: self._bars.add_task(name.replace("_", " "), total=1.0, start=False)
            for name in stages
        }

    def __enter__(self) -> BarSink:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage_started(self, stage: str) -> None:
        """Start the stage's clock."""
        self._bars.start_task(self._tasks[stage])

    def stage_progress(self, stage: str, step: int, steps: int) -> None:
        """Move the stage's bar."""
        self._bars.update(self._tasks[stage], completed=step / max(steps, 1))

    def stage_finished(self, stage: str, elapsed_s: float) -> None:
        """Fill the stage's bar."""
        self._bars.update(self._tasks[stage], completed=1.0)
        self._bars.stop_task(self._tasks[stage])

    def warn(self, message: str) -> None:
        """Keep the note for the end."""
        if message not in self.warnings:
            self.warnings.append(message)
