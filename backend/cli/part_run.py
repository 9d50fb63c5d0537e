"""Runs a pipeline on a mesh, here or on a server, and writes its files into a folder."""

from __future__ import annotations

import errno
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from backend.catalog import MAX_SEED, PIPELINES, PipelineName, parse_params
from backend.cli.remote import fetch, run_on_server
from backend.cli.stage_bars import BarSink
from backend.errors import InvalidParameter, MissingFile, OutOfMemory, StorageFull
from backend.settings import Settings
from backend.units import MB

# Of use to pages only, or the same once more.
LEFT_OUT = frozenset({"surface", "part_tree_data", "parts_zip", "preview", "mask", "cutout"})
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PART_ROLES = frozenset({"part_glb", "part_stl"})

# Turns the files that were given into inputs of the pipeline, in a folder to write to.
Prepare = Callable[[Path, Settings], dict[str, Path]]
_Save = Callable[[Path], object]


@dataclass(frozen=True)
class Made:
    """What a run found, and how much was written of it; the seed is None where none is used."""

    facts: dict[str, Any]
    seed: int | None
    size_bytes: int

    @property
    def size_text(self) -> str:
        """The size for people."""
        size_mb = self.size_bytes / MB
        return f"{size_mb:.1f} MB" if size_mb >= 1 else f"{self.size_bytes / 1024:.0f} KB"


def run_into_folder(
    pipeline: PipelineName,
    files: Mapping[str, Path],
    params: dict[str, Any],
    prepare: Prepare,
    output: Path,
    server: str | None,
    summary: Callable[[Made], str] | None = None,
    left_out: frozenset[str] = LEFT_OUT,
) -> int:
    """Run, write the files to ``output``, and tell what was made; returns the exit status.

    Parameters
    ----------
    files : mapping of str to Path
        What was given, by the fields of a submit.
    params : dict
        Of the pipeline, not yet checked.
    prepare : callable
        Reads the files for a run in this process.
    server : str or None
        Address of a running server that does the work.
    summary : callable, optional
        Words for what was made; those for parts unless given.
    left_out : frozenset of str
        Roles of files that are not written.

    Raises
    ------
    MeshkilnError
    """
    drawn = {"seed": secrets.randbelow(MAX_SEED + 1)}
    given = (drawn if "seed" in PIPELINES[pipeline].params.model_fields else {}) | params
    parse_params(pipeline, given)
    console = Console(stderr=True)
    bars = BarSink(console, PIPELINES[pipeline].stages)
    with _folder(output), _limits_explained():
        if server:
            sent = {field: (path.name, read_file(path)) for field, path in files.items()}
            made = _run_there(server, pipeline, sent, given, bars, output, left_out)
        else:
            made = _run_here(pipeline, prepare, given, bars, output, left_out)
    for warning in bars.warnings:
        console.print(f"[yellow]Note:[/] {warning}")
    words = (summary or _part_words)(made)
    console.print(f"{words} Wrote {made.size_text} into {output}", soft_wrap=True)
    return 0


def read_file(path: Path) -> bytes:
    """Read a file that was named on the command line; raises MissingFile."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error


def _run_here(
    pipeline: PipelineName,
    prepare: Prepare,
    params: dict[str, Any],
    bars: BarSink,
    output: Path,
    left_out: frozenset[str],
) -> Made:
    from backend.pipelines.catalogue import run_pipeline
    from backend.pipelines.pipeline import PipelineRequest

    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch:
        folder = Path(scratch)
        inputs = prepare(folder, Settings.from_env())
        out_dir = folder / "out"
        out_dir.mkdir()
        request = PipelineRequest(inputs, parse_params(pipeline, params), out_dir)
        with bars:
            outcome = run_pipeline(pipeline, request, bars)
        made = {file.name: (file.role, _copier(file.path)) for file in outcome.outputs}
        return Made(outcome.facts, params.get("seed"), _save(made, output, left_out))


def _run_there(
    server: str,
    pipeline: PipelineName,
    files: Mapping[str, tuple[str, bytes]],
    params: dict[str, Any],
    bars: BarSink,
    output: Path,
    left_out: frozenset[str],
) -> Made:
    with bars:
        job = run_on_server(server, pipeline, files, params, bars)
    made = {file["name"]: (file["role"], _fetcher(server, file["url"])) for file in job["outputs"]}
    return Made(job["facts"], job["params"].get("seed"), _save(made, output, left_out))


def _save(made: Mapping[str, tuple[str, _Save]], output: Path, left_out: frozenset[str]) -> int:
    """Write what people use; the archive stands in where there are no single files.

    Returns
    -------
    int
        Bytes that were written.
    """
    roles = {role for role, _ in made.values()}
    if not roles & PART_ROLES:
        left_out -= {"parts_zip"}
    size_bytes = 0
    for name, (role, save) in made.items():
        if role not in left_out:
            save(output / name)
            size_bytes += (output / name).stat().st_size
    return size_bytes


def _copier(source: Path) -> _Save:
    return lambda target: shutil.copyfile(source, target)


def _fetcher(server: str, url: str) -> _Save:
    return lambda target: target.write_bytes(fetch(server, url))


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder for the block; one that the block leaves empty by an error goes again."""
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidParameter(
            f"{path}: {error.strerror}", advice="Name a folder, or one that can be made."
        ) from error
    try:
        yield
    except BaseException:
        if is_new and not any(path.iterdir()):
            path.rmdir()
        raise


@contextmanager
def _limits_explained() -> Iterator[None]:
    """Tell of a full disk and of too little memory as what they are."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(
            "The mesh takes more memory than there is.",
            advice="Give it fewer faces, or close other programs.",
        ) from error
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise StorageFull(
            f"{error.filename2 or error.filename or 'A file'}: {error.strerror}",
            advice="Free some disk space, or name another folder.",
        ) from error


def _part_words(made: Made) -> str:
    parts = made.facts["parts"]
    words = "1 part" if parts["count"] == 1 else f"{parts['count']} parts"
    if parts["count"] != parts["suggested"]:
        words += f" (the engine suggests {parts['suggested']})"
    if "completion" in made.facts:
        words += f", {made.facts['completion']['closed']} of them closed"
    return f"{words} (seed {made.seed})."
