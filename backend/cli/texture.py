"""``texture``: a mesh is coloured by pictures of the object, here or on a running server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.catalog import (
    BackSide,
    MeshFront,
    OtherView,
    PipelineName,
    Preset,
    TextureEngine,
)
from backend.cli.parameters import add_param_arguments
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.cli.part_run import Made

LEFT_OUT = frozenset({"preview", "mask", "cutout", "thumbnail"})


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    texture = commands.add_parser(
        "texture",
        help="colour a mesh by pictures of the object",
        description="Lays pictures of an object onto a mesh of it and makes up what they do not "
        "show. The mesh stays as it is; its front is where it faces +Z, with +Y up, unless "
        "--front says otherwise.",
    )
    texture.add_argument(
        "mesh", type=Path, help="GLB, glTF with everything inside, OBJ, PLY or STL"
    )
    texture.add_argument("picture", type=Path, help="the object from its front: PNG, JPEG or WebP")
    texture.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for the files; made if it is not there",
    )
    _add_pictures(texture)
    _add_settings(texture)
    texture.set_defaults(command=_run)


def _add_pictures(texture: argparse.ArgumentParser) -> None:
    texture.add_argument("--mask", type=Path, metavar="FILE", help="grey PNG: white is the object")
    for side in OtherView:
        texture.add_argument(
            f"--{side}",
            type=Path,
            metavar="FILE",
            help=f"the object from the {side}, if you have it",
        )


def _add_settings(texture: argparse.ArgumentParser) -> None:
    texture.add_argument(
        "--engine", choices=[one.value for one in TextureEngine], help="default auto"
    )
    texture.add_argument("--preset", choices=[one.value for one in Preset])
    texture.add_argument(
        "--front",
        choices=[one.value for one in MeshFront],
        help="where the front of the mesh faces, as in --front=-x",
    )
    texture.add_argument(
        "--back-side", choices=[one.value for one in BackSide], help="default auto"
    )
    texture.add_argument("--size", type=int, metavar="PX", help="side of the texture in pixels")
    texture.add_argument("--seed", type=int)
    add_param_arguments(texture, "keep_uvs=false")


def _params(args: argparse.Namespace) -> dict[str, Any]:
    from backend.cli.parameters import given_params

    named = {
        "engine": args.engine,
        "front": args.front,
        "back_side": args.back_side,
        "texture_size_px": args.size,
        "seed": args.seed,
    }
    return {name: value for name, value in named.items() if value is not None} | given_params(args)


def _run(args: argparse.Namespace) -> int:
    from backend.cli.part_run import read_file, run_into_folder
    from backend.web.texture_inputs import PICTURE, inputs_of_texture

    others = {name: getattr(args, name) for name in ("mask", *OtherView)}
    pictures: dict[str, Path] = {PICTURE: args.picture}
    pictures |= {str(name): path for name, path in others.items() if path}

    def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
        given = {field: (path.name, read_file(path)) for field, path in pictures.items()}
        return inputs_of_texture(args.mesh, given, folder, settings)

    return run_into_folder(
        PipelineName.TEXTURE_MESH, {"file": args.mesh, **pictures}, _params(args), prepare,
        args.output, args.server, _words, LEFT_OUT,
    )  # fmt: skip


def _words(made: Made) -> str:
    width, height = made.facts["texture"]["size_px"]
    agreed = ", ".join(
        f"{side} {100 * overlap:.0f} %" for side, overlap in made.facts["outlines"].items()
    )
    return f"Texture of {width} x {height} px (outlines agree: {agreed}; seed {made.seed})."
