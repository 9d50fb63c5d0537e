"""Real textured models: those of the game UFO: Alien Invasion, from Debian's ``ufoai-data``.

Vehicles, people, aliens, weapons, furniture, plants. They are not ours and not in this project:
``apt-get download ufoai-data``, ``dpkg-deb -x ufoai-data_*.deb DIR``. Half of them were held out
while the method was made, chosen by a digest of their names and never looked at.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.texturing.unseen_colour.picture_view import sampled
from bench.painted_objects import PaintedObject, Values, joined

ARCHIVE = "usr/share/games/ufoai/base/0models.pk3"
LEAST_FACES, LEAST_DEPTH = 80, 0.15
MOST_CUT_OUT = 0.02
TEXTURE_PX = 512
TURN_DEG = 35.0
NOT_COLOURS = ("_nm", "_gm", "_sm", "_rm")
HEADER, SKIN_BYTES, MD2_VERSION = struct.Struct("<17i"), 64, 8
X, Y, Z = 0, 1, 2


@dataclass(frozen=True)
class Md2:
    """The first frame of a model: places, faces by place and by texture corner, names of skins."""

    places: Values
    faces: NDArray[np.int64]
    uv_faces: NDArray[np.int64]
    uv: Values
    skins: list[str]


def game_models(folder: Path, *, held_out: bool) -> Iterator[PaintedObject]:
    """Read one coloured model of each folder of the game, shown from the front or turned.

    Parameters
    ----------
    folder : Path
        Where the package was unpacked.
    held_out : bool
        The half that nothing was tuned on, or the other.
    """
    with zipfile.ZipFile(folder / ARCHIVE) as archive:
        names = sorted(archive.namelist(), key=lambda name: PurePosixPath(name).parts)
        done = set()
        for name in names:
            path = PurePosixPath(name)
            made = None if path.suffix != ".md2" or path.parent in done else _read(archive, path)
            if made is None:
                continue
            done.add(path.parent)
            digest = int(hashlib.sha1(made.name.encode(), usedforsecurity=False).hexdigest(), 16)
            if digest % 2 == held_out:
                yield made.turned(TURN_DEG) if digest // 2 % 2 else made


def _read(archive: zipfile.ZipFile, path: PurePosixPath) -> PaintedObject | None:
    """Read a model; None where it has no texture, is flat, or its texture cuts it out."""
    model = _md2(archive.read(str(path)))
    lengths = np.sort(np.ptp(model.places, axis=0))
    if len(model.faces) < LEAST_FACES or lengths[0] < LEAST_DEPTH * lengths[2]:
        return None
    found = _texture(archive, path, model.skins)
    picture = None if found is None else _opaque(archive.read(found))
    if picture is None:
        return None
    # The game's models face +X with +Z up, and their faces are turned the other way round.
    places = (model.places / lengths[2])[:, [Y, Z, X]][model.faces[:, ::-1]].reshape(-1, 3)
    mesh = joined(places, np.arange(len(places)).reshape(-1, 3))
    corners = model.uv[model.uv_faces[:, ::-1]]
    size = np.array(picture.shape[1::-1])

    def look(faces: NDArray[np.int64], weights: Values) -> Values:
        uv = np.einsum("ij,ijk->ik", weights, corners[faces]) % 1.0
        return sampled(picture, uv * size - 0.5).astype(np.float64)

    name = "-".join(path.with_suffix("").parts[1:])
    return PaintedObject(name, mesh, look)


def _md2(data: bytes) -> Md2:
    """Take a file of id Software's MD2 format apart, as its public descriptions tell."""
    (_, version, width, height, _, skins, vertices, corners, faces, _, _,
     at_skins, at_corners, at_faces, at_frames, _, _) = HEADER.unpack_from(data)  # fmt: skip
    if version != MD2_VERSION:
        raise ValueError(f"MD2 of version {version}")
    names = [
        data[start : start + SKIN_BYTES].split(b"\0")[0].decode("latin1")
        for start in range(at_skins, at_skins + SKIN_BYTES * skins, SKIN_BYTES)
    ]
    uv = np.frombuffer(data, "<i2", 2 * corners, at_corners).reshape(-1, 2)
    triangles = np.frombuffer(data, "<u2", 6 * faces, at_faces).reshape(-1, 6).astype(np.int64)
    scale, start = np.frombuffer(data, "<f4", 6, at_frames).reshape(2, 3)
    steps = np.frombuffer(data, np.uint8, 4 * vertices, at_frames + 40).reshape(-1, 4)[:, :3]
    places = steps.astype(np.float64) * scale + start
    size = (max(width, 1), max(height, 1))
    return Md2(places, triangles[:, :3], triangles[:, 3:], uv / np.array(size), names)


def _texture(archive: zipfile.ZipFile, path: PurePosixPath, skins: list[str]) -> str | None:
    """Name the texture: as the model says, as it is called itself, or the only one beside it."""
    names = set(archive.namelist())
    beside = path.parent
    asked = [place / skin.lstrip("./") for skin in skins for place in (PurePosixPath(), beside)]
    for one in [*asked, path]:
        for suffix in (".png", ".jpg"):
            if (found := str(one.with_suffix(suffix))) in names:
                return found
    pictures = [
        name
        for name in names
        if PurePosixPath(name).parent == beside
        and name.endswith((".png", ".jpg"))
        and not PurePosixPath(name).stem.endswith(NOT_COLOURS)
    ]
    return pictures[0] if len(pictures) == 1 else None


def _opaque(data: bytes) -> NDArray[np.uint8] | None:
    """Read a texture; None where it is transparent in places, as leaves on cards are."""
    with Image.open(BytesIO(data)) as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if (alpha < 128).mean() > MOST_CUT_OUT:
            return None
        small = image.convert("RGB")
    small.thumbnail((TEXTURE_PX, TEXTURE_PX))
    return np.asarray(small)
