"""Finds the files of a model, and says which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.errors import PackageMissing, WeightsMissing
from backend.models.checkpoints.catalogue import CONFIG_FILES, WEIGHT_FILES, Family, Model
from backend.models.checkpoints.identity import identified
from backend.models.checkpoints.model_files import alternatives_in, needed_files
from backend.models.checkpoints.optional_packages import optional_package
from backend.models.checkpoints.pickle_names import PICKLE_SUFFIXES, converted_path
from backend.models.checkpoints.places import Origin, Places


@dataclass(frozen=True)
class FoundModel:
    """A folder with files of a model.

    Parameters
    ----------
    root : Path
        Holds the folders of the repository.
    folder : Path
        In there: holds the description and the weights.
    vae_folder : Path or None
        Holds the lighter VAE, if that is there as a whole.
    missing : tuple of str
        Each a file, or several of which one would do.
    """

    model: Model
    origin: Origin
    root: Path
    folder: Path
    vae_folder: Path | None
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the model can be loaded from here."""
        return not self.missing


def find_model(model: Model, places: Places) -> FoundModel | None:
    """Return the first folder that holds a model as a whole, or else the first with a part of it.

    Only names decide, never sizes. None when there is not a single file of it.
    """
    partial = None
    for origin, root, folder in _candidates(model, places):
        missing = missing_files(model, folder)
        if not missing:
            return FoundModel(model, origin, root, folder, _vae_folder(model, root), ())
        if partial is None and len(missing) < len(needed_files(model.family)):
            partial = FoundModel(model, origin, root, folder, None, missing)
    return partial


def require_model(model: Model, places: Places) -> FoundModel:
    """Return a folder that holds a model as a whole.

    Raises
    ------
    WeightsMissing
        There is none; says what is missing, or where it was looked for.
    """
    found = find_model(model, places)
    if found is not None and found.is_complete:
        return found
    advice = (
        f"Run 'python -m backend models pull {model.id}', or name the folder that holds "
        f"{model.denoiser_folder or model.repository} with --model-path."
    )
    if found is not None:
        raise WeightsMissing(
            f"{model.title} is not complete: {found.folder} lacks {'; '.join(found.missing)}.",
            advice=advice,
        )
    looked = dict.fromkeys(str(folder) for _, _, folder in _candidates(model, places))
    raise WeightsMissing(
        f"{model.title} was not found. Looked in {', '.join(looked)} and {places.hub_cache}.",
        advice=advice,
    )


def pickles_of(found: FoundModel) -> tuple[Path, ...]:
    """Return the pickles among the weights of a model: those that would be loaded, or that were.

    A pickle beside a .safetensors file of another precision is none of them.
    """
    pairs = [(found.folder, names) for names in needed_files(found.model.family)]
    if found.vae_folder is not None:
        pairs.append((found.vae_folder, WEIGHT_FILES))
    return tuple(path for pair in pairs if (path := _pickle_in(*pair)) is not None)


def _pickle_in(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the pickle among files of which one is read, if it is that one or was before."""
    read = alternatives_in(folder, names)
    pickles = (folder / name for name in names if Path(name).suffix in PICKLE_SUFFIXES)
    return next((path for path in pickles if path.is_file() and _gives(path, read)), None)


def _gives(pickle: Path, read: Path | None) -> bool:
    return read in (pickle, converted_path(pickle))


def missing_files(model: Model, folder: Path) -> tuple[str, ...]:
    """Return what a folder lacks of a model; alternatives are joined by 'or'."""
    return tuple(
        " or ".join(names)
        for names in needed_files(model.family)
        if alternatives_in(folder, names) is None
    )


def _vae_folder(model: Model, root: Path) -> Path | None:
    if model.vae_folder is None:
        return None
    folder = root / model.vae_folder
    whole = all(alternatives_in(folder, names) for names in (CONFIG_FILES, WEIGHT_FILES))
    return folder if whole else None


def _candidates(model: Model, places: Places) -> Iterator[tuple[Origin, Path, Path]]:
    """Yield where a model may lie: the root of its repository, and its folder in there."""
    if places.model_path is not None:
        for root in _roots(places.model_path, model):
            yield Origin.MODEL_PATH, root, root / model.denoiser_folder
        if places.model_path.name == (model.denoiser_folder or model.repository.split("/")[-1]):
            yield Origin.MODEL_PATH, places.model_path.parent, places.model_path
        yield Origin.MODEL_PATH, places.model_path / model.id, places.model_path / model.id
        if identified(places.model_path) is model:
            yield Origin.MODEL_PATH, places.model_path, places.model_path
    root = places.authors_folder / model.repository
    yield Origin.AUTHORS_FOLDER, root, root / model.denoiser_folder
    cached = _cached_folder(model, places)
    if cached is not None:
        yield Origin.HUB_CACHE, cached, cached / model.denoiser_folder
    root = places.own_folder / model.id
    yield Origin.OWN_FOLDER, root, root / model.denoiser_folder


def _roots(path: Path, model: Model) -> tuple[Path, ...]:
    name = model.repository.split("/")[-1]
    named = (path / model.repository, path / name, path / model.id)
    # the file names of this one are those of many: only the name of its folder tells what it is
    return named if model.family is Family.DINOV2 else (*named, path)


def _cached_folder(model: Model, places: Places) -> Path | None:
    """Return the root of a repository in the hub's cache, without asking the network."""
    # the library takes its time to import, and most machines have nothing there
    if not (places.hub_cache / f"models--{model.repository.replace('/', '--')}").is_dir():
        return None
    try:
        hub = optional_package("huggingface_hub", "look into the cache of the model hub")
    except PackageMissing:
        return None
    for name in (name for names in needed_files(model.family) for name in names):
        inside = f"{model.denoiser_folder}/{name}" if model.denoiser_folder else name
        path = hub.try_to_load_from_cache(model.repository, inside, cache_dir=places.hub_cache)
        if isinstance(path, str):
            return Path(path).parents[inside.count("/")]
    return None
