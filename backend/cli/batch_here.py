"""A batch in this process, one picture after the other; no server is needed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.catalog import MAX_SEED, PipelineName, parse_params
from backend.cli.batch_ledger import Ledger, Picture
from backend.cli.batch_progress import BatchLine, Standing
from backend.errors import MeshkilnError
from backend.progress import SilentSink
from backend.settings import Settings


def process_here(
    todo: Sequence[Picture], params: dict[str, Any], ledger: Ledger, line: BatchLine
) -> None:
    """Make a model of each picture; what fails is noted and stops no other.

    Parameters
    ----------
    todo : sequence of Picture
        What to do, in this order.
    params : dict
        Of the pipeline.
    ledger : Ledger
        Where outcomes are noted.
    line : BatchLine
        Shows how far it is.
    """
    settings = Settings.from_env()
    began_s = time.monotonic()
    failed = 0
    for done, picture in enumerate(todo):
        spent_s = time.monotonic() - began_s
        rate = 60 * done / spent_s if done else None
        left_s = spent_s / done * (len(todo) - done) if done else None
        line.show(Standing(len(todo), done - failed, failed, 1, rate, left_s))
        try:
            files = _make(picture, params, ledger.folder(picture.name), settings)
            ledger.succeed(picture.name, files)
        except MeshkilnError as error:
            failed += 1
            ledger.fail(picture.name, error.detail)
    line.show(Standing(len(todo), len(todo) - failed, failed))


def _make(picture: Picture, params: dict[str, Any], folder: Path, settings: Settings) -> list[str]:
    from backend.pipelines.catalogue import run_pipeline
    from backend.pipelines.pipeline import PipelineRequest
    from backend.web.uploads import normalise_image

    name = PipelineName.IMAGE_TO_3D
    drawn = {"seed": secrets.randbelow(MAX_SEED + 1), **params}
    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch:
        image = normalise_image(picture.path.read_bytes(), picture.path.name, settings)
        source, out_dir = Path(scratch) / image.file_name, Path(scratch) / "out"
        source.write_bytes(image.data)
        out_dir.mkdir()
        request = PipelineRequest({"image": source}, parse_params(name, drawn), out_dir)
        outcome = run_pipeline(name, request, SilentSink())
        for file in outcome.outputs:
            shutil.copyfile(file.path, folder / file.name)
        return [file.name for file in outcome.outputs]
