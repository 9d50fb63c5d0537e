"""The model hub: what a repository holds, and getting files from it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from backend.errors import HubUnreachable, StorageFull
from backend.models.checkpoints.optional_packages import optional_package


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the hub.

    Parameters
    ----------
    sha256 : str or None
        Of large files; None for those that git keeps itself.
    git_id : str or None
        Git's own checksum, of the latter.
    """

    path: str
    size_bytes: int
    sha256: str | None
    git_id: str | None


@dataclass(frozen=True)
class HubListing:
    """A repository at one commit."""

    repository: str
    revision: str
    files: tuple[HubFile, ...]


class Hub(Protocol):
    """Where models are published."""

    def listing(self, repository: str) -> HubListing:
        """Return the newest commit; raises HubUnreachable."""

    def download(self, listing: HubListing, paths: Sequence[str], folder: Path) -> None:
        """Get files to a folder, going on where an earlier download was cut off.

        Raises
        ------
        HubUnreachable, StorageFull
        """


class HuggingFaceHub:
    """The hub through its own library, which also shows the progress on the terminal.

    Parameters
    ----------
    endpoint : str, optional
        Address of the hub; the library's own, or ``HF_ENDPOINT``, if absent.
    shows_progress : bool
    """

    def __init__(self, endpoint: str | None = None, *, shows_progress: bool = True) -> None:
        self._hub: Any = optional_package("huggingface_hub", "get models from the hub")
        self._endpoint = endpoint
        self._shows_progress = shows_progress

    def listing(self, repository: str) -> HubListing:
        """Return the newest commit; raises HubUnreachable."""
        api = self._hub.HfApi(endpoint=self._endpoint)
        with self._told(repository):
            info = api.model_info(repository, files_metadata=True)
        return HubListing(
            repository, str(info.sha), tuple(_file(each) for each in info.siblings or ())
        )

    def download(self, listing: HubListing, paths: Sequence[str], folder: Path) -> None:
        """Get files to a folder; raises HubUnreachable and StorageFull."""
        switch = self._hub.utils
        show = switch.enable_progress_bars if self._shows_progress else switch.disable_progress_bars
        show()
        with self._told(listing.repository):
            self._hub.snapshot_download(
                listing.repository,
                revision=listing.revision,
                allow_patterns=list(paths),
                local_dir=folder,
                endpoint=self._endpoint,
            )

    @contextmanager
    def _told(self, repository: str) -> Iterator[None]:
        """Turn what the library raises into errors of ours."""
        errors = self._hub.errors
        try:
            yield
        except errors.GatedRepoError as error:
            raise HubUnreachable(
                f"{repository} is open only to those who have asked its authors on the hub.",
                advice="Ask there, then log in with: .venv/bin/hf auth login",
            ) from error
        except (OSError, errors.HTTPError, errors.XetDownloadError) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise StorageFull(f"The disk filled up while {repository} was pulled.") from error
            first_line = str(error).strip().partition("\n")[0] or type(error).__name__
            raise HubUnreachable(f"{repository} could not be got from the hub: {first_line}") from (
                error
            )


def _file(sibling: Any) -> HubFile:
    return HubFile(
        path=str(sibling.rfilename),
        size_bytes=int(sibling.size or 0),
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        git_id=sibling.blob_id,
    )
