"""Gets a model from the hub: only what inference needs, checked against the hub's checksums."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from backend.errors import HubUnreachable, StorageFull, WeightsDamaged
from backend.models.checkpoints.catalogue import CONFIG_FILES, WEIGHT_FILES, Model
from backend.models.checkpoints.hub import Hub, HubFile, HubListing
from backend.models.checkpoints.model_files import needed_files, optional_files
from backend.models.checkpoints.pull_record import PulledFile, PullRecord, sha256_of
from backend.units import Clock, iso

# Texts of the licence at the root of a repository; they come along.
LICENCE_NAMES = frozenset({"license", "license.txt", "license.md", "notice", "notice.txt"})
SPARE_BYTES = 500 * 2**20

Tell = Callable[[str], None]


def pull(
    model: Model,
    folder: Path,
    hub: Hub,
    clock: Clock,
    tell: Tell = lambda words: None,
) -> PullRecord:
    """Get the files of a model to a folder and record which they are.

    Run again after an interruption, it goes on where it was.

    Parameters
    ----------
    folder : Path
        Takes the layout of the repository.
    tell : callable
        Told what is done now.

    Raises
    ------
    HubUnreachable
        The hub does not answer, or lacks a file of the model.
    StorageFull
    WeightsDamaged
        A file is not what the hub says it is; it was deleted.
    """
    tell(f"Asking the hub for {model.repository}")
    listing = hub.listing(model.repository)
    wanted = wanted_files(model, listing)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _require_room(folder, wanted)
    total_gb = sum(file.size_bytes for file in wanted) / 1e9
    tell(f"Getting {len(wanted)} files, {total_gb:.2f} GB, to {folder}")
    hub.download(listing, [file.path for file in wanted], folder)
    tell("Comparing checksums")
    files = tuple(_checked(file, folder) for file in wanted)
    record = PullRecord(model.id, model.repository, listing.revision, iso(clock.now()) or "", files)
    record.write(folder)
    return record


def wanted_files(model: Model, listing: HubListing) -> tuple[HubFile, ...]:
    """Return the files of a repository that a model needs.

    Raises
    ------
    HubUnreachable
        The repository lacks one.
    """
    by_path = {file.path: file for file in listing.files}
    extra = {_inside(model, name) for name in optional_files(model.family)}
    wanted = [
        file for path, file in by_path.items() if path.lower() in LICENCE_NAMES or path in extra
    ]
    for names in _alternatives(model):
        found = next((by_path[name] for name in names if name in by_path), None)
        if found is None:
            raise HubUnreachable(
                f"{model.repository} has none of {', '.join(names)} any more.",
                advice="Its authors may have moved it; name a folder of yours with --model-path.",
            )
        wanted.append(found)
    return tuple(wanted)


def _alternatives(model: Model) -> list[tuple[str, ...]]:
    """Return paths in the repository, of each tuple of which one is needed."""
    own = [tuple(_inside(model, name) for name in names) for names in needed_files(model.family)]
    if model.vae_folder is None:
        return own
    lighter = [
        tuple(f"{model.vae_folder}/{name}" for name in names)
        for names in (CONFIG_FILES, WEIGHT_FILES)
    ]
    return own + lighter


def _inside(model: Model, name: str) -> str:
    """Return the path in the repository of a file in the folder of a model."""
    return f"{model.denoiser_folder}/{name}" if model.denoiser_folder else name


def _require_room(folder: Path, files: tuple[HubFile, ...]) -> None:
    """Refuse a pull that would fill the disk; what is there already takes no more room."""
    missing = sum(file.size_bytes for file in files if not (folder / file.path).is_file())
    free = shutil.disk_usage(folder).free
    if free < missing + SPARE_BYTES:
        raise StorageFull(
            f"{folder} has {free / 1e9:.1f} GB free; the model takes {missing / 1e9:.1f} GB.",
            advice="Free some space, or set MESHKILN_DATA_DIR to another disk.",
        )


def _checked(file: HubFile, folder: Path) -> PulledFile:
    """Compare a file with the hub's checksum; one that differs is deleted."""
    path = folder / file.path
    try:
        found = sha256_of(path)
        is_same = file.sha256 == found if file.sha256 else _is_git_object(path, file.git_id)
    except FileNotFoundError:
        raise WeightsDamaged(
            f"The hub gave no {file.path}.", advice="Run the same command again."
        ) from None
    if not is_same:
        path.unlink()
        raise WeightsDamaged(
            f"{path} is not what the hub says it is, by its checksum. It was deleted.",
            advice="Run the same command again; only this file is got anew.",
        )
    return PulledFile(file.path, path.stat().st_size, found)


def _is_git_object(path: Path, git_id: str | None) -> bool:
    """Compare a small file with git's checksum; without one it is taken as it is.

    Source
    ------
    Git's object format: SHA-1 of the word blob, the size, a zero byte and the content.
    """
    if git_id is None:
        return True
    content = path.read_bytes()
    digest = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest() == git_id
