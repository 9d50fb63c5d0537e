"""A picture and what is sent along with it, as the files that a pipeline is given."""

from __future__ import annotations

from collections.abc import Mapping

from backend.errors import NoForeground
from backend.settings import Settings
from backend.web.other_views import normalised_views
from backend.web.uploads import NormalisedImage, normalise_image, normalise_mask

MASK, MASK_NAME = "mask", "mask.png"


def files_of_picture(
    files: Mapping[str, tuple[str | None, bytes]], field: str, settings: Settings
) -> tuple[NormalisedImage, dict[str, bytes]]:
    """Judge a picture, its mask and the pictures from other sides.

    Parameters
    ----------
    files : mapping of str to (filename, bytes)
        By the fields of a submit.
    field : str
        That of the picture.

    Returns
    -------
    NormalisedImage
    dict of str to bytes
        What is kept, by file name.

    Raises
    ------
    BadInput
    """
    filename, data = files[field]
    picture = normalise_image(data, filename, settings)
    kept = {picture.file_name: picture.data}
    if MASK in files:
        size = (picture.width, picture.height)
        kept[MASK_NAME] = normalise_mask(files[MASK][1], size, settings)
    elif picture.is_uniform:
        raise NoForeground("The picture is of a single colour, or fully transparent.")
    return picture, kept | normalised_views(files, settings)
