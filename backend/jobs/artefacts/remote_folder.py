"""A folder of an object store or network drive, through fsspec.

A file counts only with its digest beside it, ``<name>.sha256``, which is written after the file
was read back. So nobody sees half a file, whether or not the store replaces files in one step.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from backend.errors import StartFailed, StoreUnavailable
from backend.jobs.artefacts.made_file import sha256_of, sha256_of_stream
from backend.units import Clock, SystemClock

DIGEST = ".sha256"
RETRY_AFTER_S = 30
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
_HEX = re.compile(rb"[0-9a-f]{64}")
_LOCAL = ("file", "local")

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


def open_remote_folder(url: str, patience_s: float = 0.0) -> RemoteFolder:
    """Open ``s3://bucket/folder``, ``file:///mnt/nfs/folder`` and whatever else fsspec knows.

    Parameters
    ----------
    url : str
        Address; keys and endpoints come from where the store's own library looks for them.
    patience_s : float
        How long to try again, in seconds, before StoreUnavailable is raised.

    Raises
    ------
    StartFailed
        The address is of no kind that is installed.
    """
    try:
        url_to_fs: Any = importlib.import_module("fsspec.core").url_to_fs
        local = {"auto_mkdir": True} if url.startswith("file:") else {}
        # Listings must be fresh: other machines add and remove files.
        filesystem, root = url_to_fs(url, use_listings_cache=False, **local)
    except (ImportError, ValueError) as error:
        raise StartFailed(
            f"The file store {url.partition(':')[0]}: cannot be opened: {error}",
            advice="Run: pip install -r requirements-scale.txt, and check MESHKILN_STORE_URL.",
        ) from error
    return RemoteFolder(filesystem, root, patience_s)


class RemoteFolder:
    """Files by key, such as ``0a/01m7…0a/input/image.png``.

    Parameters
    ----------
    filesystem : fsspec.AbstractFileSystem
        The store.
    root : str
        Its folder, as the filesystem spells it.
    patience_s : float
        How long failures are tried again, in seconds.
    clock : Clock, optional
        Measures that.
    """

    def __init__(
        self, filesystem: Any, root: str, patience_s: float = 0.0, clock: Clock | None = None
    ) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._patience_s = patience_s
        self._clock = clock or SystemClock()
        self._is_local = filesystem.protocol in (_LOCAL, *_LOCAL)

    def put(self, path: Path, key: str) -> None:
        """Store a file, read it back, and only then let others see it.

        Raises
        ------
        StoreUnavailable
            The store does not answer, or holds other bytes than it was given.
        """
        self._patiently(lambda: self._put(path, key))

    def fetch(self, key: str, target: Path) -> bool:
        """Copy a file to this machine: whole, or not at all.

        Returns
        -------
        bool
            False when there is no such file.

        Raises
        ------
        StoreUnavailable
            The store does not answer, or the file is damaged.
        """
        return self._patiently(lambda: self._fetch(key, target))

    def remove(self, folder: str) -> None:
        """Remove a folder with all in it; raises StoreUnavailable."""
        self._patiently(lambda: self._remove(folder))

    def listing(self) -> dict[str, int]:
        """Size in bytes of every file that counts, by key; raises StoreUnavailable."""
        return self._patiently(self._listing)

    def keys(self, folder: str = "") -> list[str]:
        """Everything below a folder, also what does not count yet; raises StoreUnavailable."""
        return self._patiently(lambda: list(self._find(folder)))

    def changed_at(self, folder: str) -> float | None:
        """When the newest file of a folder was written, seconds since 1970; None if it is empty."""

        def ask() -> float | None:
            moments: list[datetime] = [self._fs.modified(self._at(key)) for key in
                                       self._find(folder)]  # fmt: skip
            return max((moment.timestamp() for moment in moments), default=None)

        return self._patiently(ask)

    def _put(self, path: Path, key: str) -> None:
        digest = sha256_of(path)
        self._fs.put_file(str(path), self._at(key))
        if self._is_local:
            _flush(Path(self._at(key)))
        with self._fs.open(self._at(key), "rb") as file:
            stored = sha256_of_stream(file)
        if stored != digest:
            raise OSError(f"{key} was stored with other bytes than it has")
        self._fs.pipe_file(self._at(key + DIGEST), digest.encode())

    def _fetch(self, key: str, target: Path) -> bool:
        try:
            digest = self._fs.cat_file(self._at(key + DIGEST))
            if not _HEX.fullmatch(digest):
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
                partial = Path(folder) / "file"
                self._fs.get_file(self._at(key), str(partial))
                if sha256_of(partial) != digest.decode():
                    raise OSError(f"{key} is damaged")
                partial.replace(target)
        except FileNotFoundError:
            return False
        return True

    def _remove(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(self._at(folder), recursive=True)

    def _listing(self) -> dict[str, int]:
        found = self._find("")
        return {key: size for key, size in found.items() if key + DIGEST in found}

    def _find(self, folder: str) -> dict[str, int]:
        try:
            found = self._fs.find(self._at(folder), detail=True)
        except FileNotFoundError:
            return {}
        return {path[len(self._root) :].lstrip("/"): info["size"] for path, info in found.items()}

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _patiently(self, act: Callable[[], Answer]) -> Answer:
        """Try until it works or patience ends; a store that is away is no reason to lose work."""
        give_up_s = self._clock.monotonic_s() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return act()
            except Exception as error:  # the libraries of stores have errors of their own
                left_s = give_up_s - self._clock.monotonic_s()
                if left_s <= 0:
                    log.exception("the file store failed")
                    raise StoreUnavailable(
                        f"The file store failed ({type(error).__name__}).",
                        retry_after_s=RETRY_AFTER_S,
                    ) from error
                log.warning("the file store failed, trying again: %s", error)
                threading.Event().wait(min(pause_s, left_s))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
