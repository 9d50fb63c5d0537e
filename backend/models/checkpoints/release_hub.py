"""Gets a file that is published outside of the model hub, by its address."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path

import requests

from backend.errors import HubUnreachable, StorageFull
from backend.models.checkpoints.catalogue import Release
from backend.models.checkpoints.hub import HubFile, HubListing

TIMEOUT_S = 60.0
CHUNK_BYTES = 2**16
PARTIAL_SUFFIX = ".incomplete"


class ReleaseHub:
    """A hub of one file whose size and checksum are known beforehand.

    Parameters
    ----------
    release : Release
    """

    def __init__(self, release: Release) -> None:
        self._release = release

    def listing(self, repository: str) -> HubListing:
        """Return the one file; nobody is asked."""
        name = self._release.url.rpartition("/")[2]
        file = HubFile(name, self._release.size_bytes, self._release.sha256, git_id=None)
        return HubListing(repository, self._release.version, (file,))

    def download(self, listing: HubListing, paths: Sequence[str], folder: Path) -> None:
        """Get the file to a folder, going on where an earlier download was cut off.

        Raises
        ------
        HubUnreachable, StorageFull
        """
        for name in paths:
            if not (folder / name).is_file():
                self._get(folder / name, listing.repository)

    def _get(self, path: Path, repository: str) -> None:
        partial = path.with_name(path.name + PARTIAL_SUFFIX)
        start = partial.stat().st_size if partial.is_file() else 0
        if start >= self._release.size_bytes:
            start = 0  # it holds something else
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with requests.get(
                self._release.url, headers=headers, stream=True, timeout=TIMEOUT_S
            ) as answer:
                answer.raise_for_status()
                goes_on = answer.status_code == requests.codes.partial_content
                _append(partial, answer.iter_content(CHUNK_BYTES), anew=not goes_on)
        except requests.RequestException as error:
            raise HubUnreachable(
                f"{path.name} of {repository} could not be got from {self._release.url}: {error}.",
                advice=f"Get it from there yourself and put it into {path.parent}.",
            ) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StorageFull(f"The disk filled up while {path.name} was pulled.") from error
            raise
        partial.replace(path)


def _append(path: Path, chunks: Iterable[bytes], *, anew: bool) -> None:
    with path.open("wb" if anew else "ab") as file:
        for chunk in chunks:
            file.write(chunk)
