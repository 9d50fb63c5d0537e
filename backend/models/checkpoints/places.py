"""The folders in which models are looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.settings import Settings

AUTHORS_VARIABLE = "HY3DGEN_MODELS"
OWN_FOLDER = "models"


class Origin(StrEnum):
    """Where a model was found, in the order of preference."""

    MODEL_PATH = "model path"
    AUTHORS_FOLDER = "the authors' folder"
    HUB_CACHE = "hub cache"
    OWN_FOLDER = "data folder"


@dataclass(frozen=True)
class Places:
    """The folders in which models are looked for, in the order of ``Origin``.

    Parameters
    ----------
    model_path : Path or None
        What the user named.
    authors_folder : Path
        Where the authors' programs keep their files: repository/folder.
    hub_cache : Path
        Where the library of the model hub keeps what programs got through it.
    own_folder : Path
        In the data folder; ours to write.
    """

    model_path: Path | None
    authors_folder: Path
    hub_cache: Path
    own_folder: Path

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str] | None = None) -> Places:
        """Return the places of a server.

        Parameters
        ----------
        environment : mapping, optional
            The process's own if absent.
        """
        env = os.environ if environment is None else environment
        authors = env.get(AUTHORS_VARIABLE)
        return cls(
            model_path=Path(settings.model_path).expanduser() if settings.model_path else None,
            authors_folder=Path(authors).expanduser() if authors else _authors_default(),
            hub_cache=_hub_cache(env),
            own_folder=settings.data_dir / OWN_FOLDER,
        )


def _authors_default() -> Path:
    return Path.home() / ".cache" / "hy3dgen"


def _hub_cache(env: Mapping[str, str]) -> Path:
    """Follow the hub's own variables, which its library reads only once, when it is imported."""
    if env.get("HF_HUB_CACHE"):
        return Path(env["HF_HUB_CACHE"]).expanduser()
    base = env.get("XDG_CACHE_HOME")
    caches = Path(base).expanduser() if base else Path.home() / ".cache"
    home = env.get("HF_HOME")
    return (Path(home).expanduser() if home else caches / "huggingface") / "hub"
