"""What is there of every model: for people and programs that ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import MODELS, Family, Model, model_of
from backend.models.checkpoints.finding import FoundModel, find_model
from backend.models.checkpoints.model_files import lies_among_others, needed_files, optional_files
from backend.models.checkpoints.places import Places
from backend.models.checkpoints.revision import revision_of


@dataclass(frozen=True)
class ModelState:
    """What is there of a model.

    Parameters
    ----------
    found : FoundModel or None
        None when there is no file of it.
    size_bytes : int or None
        Of its files in that folder; None when there are none.
    revision : str or None
        Commit of the repository that the files are from; None when nobody knows.
    is_accepted : bool
        Whether its licence lets it be loaded.
    accepted_at : str or None
        RFC 3339, UTC.
    lacking : tuple of str
        Models without which it cannot be run, and that cannot be loaded themselves.
    """

    model: Model
    found: FoundModel | None
    size_bytes: int | None
    revision: str | None
    is_accepted: bool
    accepted_at: str | None
    lacking: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it can be run."""
        is_here = self.found is not None and self.found.is_complete and not self.lacking
        return is_here and self.is_accepted and self.model.unsupported is None


def model_states(places: Places, acceptances: Acceptances) -> list[ModelState]:
    """Return what is there of every model of the catalogue."""
    return [model_state(model, places, acceptances) for model in MODELS]


def model_state(model: Model, places: Places, acceptances: Acceptances) -> ModelState:
    """Return what is there of one model."""
    found = find_model(model, places)
    acceptance = acceptances.of(model)
    return ModelState(
        model=model,
        found=found,
        size_bytes=None if found is None else _size_bytes(found),
        revision=None if found is None else revision_of(found.folder),
        is_accepted=acceptances.covers(model),
        accepted_at=None if acceptance is None else acceptance.at,
        lacking=lacking_models(model, places, acceptances),
    )


def lacking_models(model: Model, places: Places, acceptances: Acceptances) -> tuple[str, ...]:
    """Return the models without which a model cannot be run, and that cannot be loaded."""
    return tuple(
        name
        for name in model.needs
        if not model_state(model_of(name), places, acceptances).is_usable
    )


def _size_bytes(found: FoundModel) -> int:
    # a folder of the hub's cache holds links, each to the file itself
    if lies_among_others(found.model):
        return _bytes_of(_names(found.model.family), found.folder)
    folders = [found.folder] if found.vae_folder is None else [found.folder, found.vae_folder]
    pattern = "*/*" if found.model.family is Family.TRIPOSG else "*"
    return sum(_bytes_in(folder, pattern) for folder in folders)


def _names(family: Family) -> list[str]:
    needed = (name for names in needed_files(family) for name in names)
    return [*needed, *optional_files(family)]


def _bytes_of(names: list[str], folder: Path) -> int:
    paths = (folder / name for name in names)
    return sum(path.stat().st_size for path in paths if path.is_file())


def _bytes_in(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())
