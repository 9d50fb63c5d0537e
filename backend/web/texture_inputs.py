"""What is sent to colour a mesh: the mesh, and pictures of the object in fields of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from backend.catalog import PipelineName
from backend.errors import MissingFile
from backend.settings import Settings
from backend.web.mesh_inputs import inputs_of_mesh
from backend.web.other_views import SIDES
from backend.web.picture_files import MASK, files_of_picture

PICTURE = "image"
FIELDS = (PICTURE, MASK, *SIDES)
NO_PICTURE = (
    "Send a picture of the object in the multipart field 'image', or as 'image' or 'image_url' "
    "in JSON."
)


def picture_field(pipeline: str) -> str:
    """Name the field of the picture: that of the mesh is 'file' where a pipeline takes both."""
    return PICTURE if pipeline == PipelineName.TEXTURE_MESH else "file"


def check_has_picture(given: Iterable[str], image_url: str | None) -> None:
    """Refuse to colour a mesh by no picture; raises MissingFile."""
    if PICTURE not in given and image_url is None:
        raise MissingFile("There is no picture to take colours from.", advice=NO_PICTURE)


def inputs_of_texture(
    mesh: Path,
    pictures: Mapping[str, tuple[str, bytes]],
    folder: Path,
    settings: Settings,
) -> dict[str, Path]:
    """Judge a mesh and pictures on this machine and write what the pipeline is given.

    Parameters
    ----------
    pictures : mapping of str to (filename, bytes)
        By the fields of a submit.

    Returns
    -------
    dict of str to Path
        By role.

    Raises
    ------
    BadInput, QueueFull, StorageFull
    """
    _, kept = files_of_picture(pictures, PICTURE, settings)
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    given = {name.partition(".")[0]: folder / name for name in kept}
    return inputs_of_mesh(mesh, folder, settings) | given
