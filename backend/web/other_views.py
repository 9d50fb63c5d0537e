"""Pictures of the object from other sides, sent beside the front picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backend.catalog import OtherView, PipelineName
from backend.errors import BadInput, FieldProblem, InvalidParameter, NoForeground
from backend.settings import Settings
from backend.web.uploads import NormalisedImage, normalise_image

SIDES = tuple(side.value for side in OtherView)
OF_PICTURES = frozenset({PipelineName.IMAGE_TO_3D.value, PipelineName.IMAGE_TO_PARTS.value})
TAKE_VIEWS = OF_PICTURES | {PipelineName.TEXTURE_MESH.value}

Files = Mapping[str, tuple[str | None, bytes]]


def check_views(pipeline: str, files: Files) -> None:
    """Refuse pictures from other sides where the pipeline makes no use of them.

    Raises
    ------
    InvalidParameter
        Points at the first of them.
    """
    if pipeline not in TAKE_VIEWS:
        refuse_views(files, f"is not for this pipeline, but for {', '.join(sorted(TAKE_VIEWS))}")


def refuse_views(files: Files, reason: str) -> None:
    """Raise InvalidParameter with a reason if there is a picture from another side."""
    side = next((side for side in SIDES if side in files), None)
    if side is not None:
        problem = FieldProblem(f"/{side}", reason)
        raise InvalidParameter(f"{side}: {reason}.", fields=(problem,))


def normalised_views(files: Files, settings: Settings) -> dict[str, bytes]:
    """Turn the pictures from other sides into what is kept.

    Returns
    -------
    dict of str to bytes
        Under names such as ``left.png``; the side is the name of the input of the pipeline.

    Raises
    ------
    BadInput
        Says which picture it is about.
    """
    made = (_normalised(side, files[side], settings) for side in SIDES if side in files)
    return {picture.file_name: picture.data for picture in made}


def _normalised(side: str, file: tuple[str | None, bytes], settings: Settings) -> NormalisedImage:
    filename, data = file
    try:
        picture = normalise_image(data, filename, settings)
        if picture.is_uniform:
            raise NoForeground("The picture is of a single colour, or fully transparent.")
    except BadInput as error:
        problem = FieldProblem(f"/{side}", error.detail)
        raise type(error)(
            f"The picture from the {side}: {error.detail}", advice=error.advice, fields=(problem,)
        ) from error
    return replace(picture, file_name=picture.file_name.replace("image", side, 1))
