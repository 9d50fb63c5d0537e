"""Reads the arguments and calls the command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from backend import __version__, catalog
from backend.cli import (
    batch,
    complete,
    keys,
    mesh,
    models,
    segment,
    speech,
    texture,
    webhook_secret,
)
from backend.cli.parameters import add_param_arguments
from backend.errors import MeshkilnError, StartFailed
from backend.settings import RESIDENCY_POLICIES, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    Errors of ours end with one line each for what happened and what to do, status 1.
    """
    args = _parser().parse_args(arguments)
    try:
        status: int = args.command(args)
    except MeshkilnError as error:
        _explain(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader of our output has gone; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _explain(error: MeshkilnError) -> None:
    print(f"meshkiln: {error.detail}", file=sys.stderr)
    if error.advice:
        print(f"  → {error.advice}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m backend",
        description="Meshkiln: a picture becomes a textured 3D mesh, and a mesh its parts.",
    )
    parser.add_argument("--version", action="version", version=f"Meshkiln {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_serve(commands)
    _add_generate(commands)
    segment.add_parser(commands)
    complete.add_parser(commands)
    mesh.add_parser(commands)
    texture.add_parser(commands)
    speech.add_parser(commands)
    batch.add_parser(commands)
    models.add_parser(commands)
    _add_tune(commands)
    status = commands.add_parser("status", help="jobs, workers and device of a running server")
    status.add_argument("--server", default="http://127.0.0.1:7860", metavar="URL")
    status.set_defaults(command=_status)
    doctor = commands.add_parser("doctor", help="what is missing here, what that costs, the cure")
    doctor.set_defaults(command=_doctor)
    webhook_secret.add_parser(commands)
    keys.add_commands(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run Redis, the web process and the workers")
    serve.add_argument("--port", type=int, help="default 7860")
    serve.add_argument("--host", help="address to listen on, default 127.0.0.1")
    serve.add_argument("--data-dir", type=Path, help="folder of jobs and files")
    serve.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        help="another host name under which the pages may be opened; repeatable",
    )
    serve.add_argument(
        "--allow-network",
        action="store_true",
        help=argparse.SUPPRESS,  # gone; who still uses it is told what to do
    )
    serve.add_argument(
        "--only",
        choices=["web", "worker"],
        help="run a part; Redis, database and file store are shared, see docs/scaling.md",
    )
    _add_gpu_options(serve)
    _add_speech_options(serve)
    serve.set_defaults(command=_serve)


def _add_gpu_options(serve: argparse.ArgumentParser) -> None:
    gpu = serve.add_argument_group("GPU and models")
    gpu.add_argument("--gpu", metavar="WHICH", help="all, least-used, cpu, or indices or UUIDs")
    gpu.add_argument("--model-path", metavar="DIR", help="folder with the weights of models")
    gpu.add_argument(
        "--residency",
        choices=[*RESIDENCY_POLICIES],
        help="how long models stay on the GPU, default auto",
    )
    managed = gpu.add_mutually_exclusive_group()
    managed.add_argument(
        "--enable-gpu-management",
        dest="gpu_management",
        action="store_true",
        default=None,
        help="move idle models off the GPU (the default)",
    )
    managed.add_argument(
        "--disable-gpu-management",
        dest="gpu_management",
        action="store_false",
        help="keep every model on the GPU once it is loaded",
    )
    gpu.add_argument(
        "--gpu-idle-timeout",
        type=float,
        metavar="SECONDS",
        help="idle models leave host memory after this, default 600",
    )
    gpu.add_argument(
        "--gpu-idle-offload",
        type=float,
        metavar="SECONDS",
        help="idle models leave the GPU after this, default 60",
    )
    gpu.add_argument("--precision", choices=["auto", "fp32", "fp16", "bf16"], help="default auto")


def _add_speech_options(serve: argparse.ArgumentParser) -> None:
    speech = serve.add_argument_group("Speech")
    speech.add_argument(
        "--speech-path", metavar="DIR", help="folder of your Step-Audio-EditX checkout"
    )
    speech.add_argument(
        "--speech-python",
        metavar="FILE",
        help="its Python interpreter, default .venv/bin/python in that folder",
    )
    speech.add_argument(
        "--speech-models",
        metavar="DIR",
        help="folder with Step-Audio-Tokenizer and Step-Audio-EditX, default --model-path",
    )
    speech.add_argument(
        "--enable-auto-transcribe",
        dest="auto_transcribe",
        action="store_true",
        default=None,
        help="write down what is said in a recording that comes without its words",
    )


def _add_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    generate = commands.add_parser("generate", help="make a model from a picture")
    generate.add_argument("image", type=Path)
    generate.add_argument(
        "-o",
        "--output",
        type=Path,
        help="model.glb, .zip (OBJ), .stl, .ply or .png (thumbnail); default model.glb, or the "
        "folder 'parts' with --parts",
    )
    generate.add_argument(
        "--parts",
        metavar="N|auto",
        help="split the model into closed parts too: how many, or auto; OUT is a folder then",
    )
    generate.add_argument("--mask", type=Path, help="grey PNG: white is the object")
    for side in catalog.OtherView:
        generate.add_argument(
            f"--{side}",
            type=Path,
            metavar="FILE",
            help=f"the object from the {side}, if you have it",
        )
    generate.add_argument("--preset", choices=[one.value for one in catalog.Preset])
    generate.add_argument("--seed", type=int)
    add_param_arguments(generate)
    generate.set_defaults(command=_generate)


def _add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tune = commands.add_parser("tune", help="measure which settings are fastest on this machine")
    tune.add_argument(
        "--pipeline",
        choices=[one.value for one in catalog.TunedPipeline],
        help="what to tune, default image_to_3d",
    )
    tune.add_argument(
        "--preset", choices=[one.value for one in catalog.Preset], help="default standard"
    )
    tune.add_argument(
        "--image", type=Path, metavar="FILE", help="picture to work on; one is drawn if absent"
    )
    tune.add_argument(
        "--budget-s", type=float, metavar="SECONDS", help="time to spend, default 300"
    )
    tune.add_argument(
        "--vram-limit-mb",
        type=float,
        metavar="MB",
        help="refuse settings that take more GPU memory",
    )
    tune.add_argument(
        "--latency-limit-s",
        type=float,
        metavar="SECONDS",
        help="refuse settings with which a run takes longer",
    )
    tune.add_argument("--server", metavar="URL", help="measure in the worker of a running server")
    tune.add_argument("--json", type=Path, metavar="FILE", help="write the report there as well")
    tune.add_argument("--dry-run", action="store_true", help="report only, change no setting")
    tune.set_defaults(command=_tune)


def _serve(args: argparse.Namespace) -> int:
    from backend.jobs.supervisor import Part, serve

    hosts = tuple(args.allowed_host) if args.allowed_host else None
    data_dir = args.data_dir and args.data_dir.expanduser().resolve()
    settings = Settings.from_env(
        port=args.port,
        host=args.host,
        data_dir=data_dir,
        allowed_hosts=hosts,
        gpu=args.gpu,
        gpu_management=args.gpu_management,
        residency=args.residency,
        idle_release_s=args.gpu_idle_timeout,
        idle_offload_s=args.gpu_idle_offload,
        model_path=args.model_path,
        precision=args.precision,
        speech_path=args.speech_path,
        speech_python=args.speech_python,
        speech_models=args.speech_models,
        auto_transcribe=args.auto_transcribe,
    )
    if args.allow_network:
        raise StartFailed(
            "There is no --allow-network any more: beyond this machine a server asks for keys.",
            advice="Leave it out, and make a key: python -m backend keys create NAME --admin",
        )
    return serve(settings, Part(args.only) if args.only else None)


def _generate(args: argparse.Namespace) -> int:
    from backend.cli.generate import generate

    return generate(args)


def _tune(args: argparse.Namespace) -> int:
    from backend.cli.tune import tune

    return tune(args)


def _status(args: argparse.Namespace) -> int:
    from backend.cli.status import print_status

    return print_status(args.server)


def _doctor(_: argparse.Namespace) -> int:
    from backend.cli.doctor import print_report

    return print_report(Settings.from_env())
