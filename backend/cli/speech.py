"""``speech``: a voice says something new, or a recording changes; here or on a running server."""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from backend.catalog import MAX_SEED, PipelineName, SpeechParams, SpeechTask, parse_params
from backend.cli.parameters import add_param_arguments
from backend.errors import InvalidParameter, StorageFull
from backend.settings import Settings
from backend.speech_rules import check_speech

if TYPE_CHECKING:
    from backend.cli.stage_bars import BarSink

PIPELINE = PipelineName.SPEECH
ROLE = "speech"
ENDING = ".wav"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    speech = commands.add_parser(
        "speech",
        help="let a voice say something new, or change a recording",
        description="Takes a recording of one voice and writes a recording. Which tasks need "
        "--text, --transcript or --style is said when one is missing.",
    )
    speech.add_argument("recording", type=Path, help="WAV, FLAC, OGG or MP3")
    speech.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.wav", help="file to write"
    )
    speech.add_argument("--task", choices=[task.value for task in SpeechTask], help="default clone")
    speech.add_argument("--text", help="what is to be said, for clone and paralinguistic")
    speech.add_argument("--transcript", help="what is said in the recording, word for word")
    speech.add_argument("--style", help="which emotion, style or speed")
    speech.add_argument("--passes", type=int, help="how often an edit is applied, default once")
    speech.add_argument("--seed", type=int)
    add_param_arguments(speech, "engine=step_audio")
    speech.set_defaults(command=_run, preset=None)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from backend.catalog import PIPELINES
    from backend.cli.stage_bars import BarSink

    _check_output(args.output)
    params = {"seed": secrets.randbelow(MAX_SEED + 1)} | _params(args)
    settings = Settings.from_env()
    # whether a server can write down what is said is for that server to say
    can_transcribe = bool(args.server) or settings.auto_transcribe
    parsed = cast("SpeechParams", parse_params(PIPELINE, params))
    check_speech(parsed, can_transcribe=can_transcribe)
    console = Console(stderr=True)
    bars = BarSink(console, PIPELINES[PIPELINE].stages)
    try:
        if args.server:
            facts = _there(args.server, args.recording, params, bars, args.output)
        else:
            facts = _here(args.recording, parsed, bars, args.output, settings)
    except OSError as error:
        raise StorageFull(f"{args.output}: {error.strerror}") from error
    for warning in bars.warnings:
        console.print(f"[yellow]Note:[/] {warning}")
    console.print(f"{_words(facts, parsed)} Wrote {args.output}", soft_wrap=True)
    return 0


def _params(args: argparse.Namespace) -> dict[str, Any]:
    from backend.cli.parameters import given_params

    names = ("task", "text", "transcript", "style", "passes", "seed")
    named = {name: getattr(args, name) for name in names}
    return {name: value for name, value in named.items() if value is not None} | given_params(args)


def _check_output(output: Path) -> None:
    """Refuse a name that would be lost after all the work."""
    if output.suffix.lower() != ENDING:
        raise InvalidParameter(
            f"{output}: recordings are written as WAV.", advice="Let the name end in .wav."
        )
    if not output.parent.is_dir():
        raise InvalidParameter(
            f"{output.parent} is no folder.", advice="Make it, or name another one."
        )


def _here(
    recording: Path, params: SpeechParams, bars: BarSink, output: Path, settings: Settings
) -> Mapping[str, Any]:
    from backend.pipelines.catalogue import run_pipeline
    from backend.pipelines.pipeline import PipelineRequest
    from backend.web.audio_uploads import recording_input

    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch:
        folder = Path(scratch)
        inputs = {"reference": recording_input(recording, folder, settings)}
        out_dir = folder / "out"
        out_dir.mkdir()
        with bars:
            outcome = run_pipeline(PIPELINE, PipelineRequest(inputs, params, out_dir), bars)
        made = next(file for file in outcome.outputs if file.role == ROLE)
        shutil.copyfile(made.path, output)
        return outcome.facts


def _there(
    server: str, recording: Path, params: dict[str, Any], bars: BarSink, output: Path
) -> Mapping[str, Any]:
    from backend.cli.part_run import read_file
    from backend.cli.remote import fetch, run_on_server

    sent = {"file": (recording.name, read_file(recording))}
    with bars:
        job = run_on_server(server, PIPELINE, sent, params, bars)
    made = next(file for file in job["outputs"] if file["role"] == ROLE)
    output.write_bytes(fetch(server, made["url"]))
    facts: Mapping[str, Any] = job["facts"]
    return facts


def _words(facts: Mapping[str, Any], params: SpeechParams) -> str:
    found = facts["speech"]
    words = f"{found['duration_s']:.1f} s of speech ({found['engine']}, seed {params.seed})."
    if found.get("transcript_source") == "model":
        words += f" A model wrote down of the recording: {found['transcript']}"
    return words
