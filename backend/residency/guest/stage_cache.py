"""Results of a stage, kept on disk under a hash of all that they follow from.

Engine, version, method and arguments make the key; files count by their content. Several processes
may share one folder: entries are written aside and put in place as a whole, and one that was
damaged is removed and computed anew. What was used longest ago goes first when the room is full.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .frames import BrokenFrame, Closed, Frame, read_frame, write_frame
from .values import CannotPass, memory_of

FORMAT = "1"
DIGEST_BYTES = 32
READ_BYTES = 1024 * 1024
STALE_S = 3600.0
COUNTS = ("hits", "misses", "uncacheable", "damaged", "saved_s")


class StageCache:
    """A bounded store of results.

    Parameters
    ----------
    folder : path
        Made when the first result is stored.
    limit_bytes : int
        Most that all entries together may take; 0 keeps nothing.
    """

    def __init__(self, folder: os.PathLike[str] | str, limit_bytes: int) -> None:
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes
        self._entries = self.folder / f"v{FORMAT}"
        self._counting = threading.Lock()
        self._temporary = 0

    def get_or_compute(
        self,
        engine: str,
        version: str,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        compute: Callable[[], Any],
    ) -> Any:
        """Return the stored result, or compute and store it.

        What cannot be written down, as argument or as result, is computed each time and counted.
        """
        if self.limit_bytes <= 0:
            return compute()
        try:
            key = key_of(engine, version, method, args, kwargs)
        except (CannotPass, OSError):
            self._count(uncacheable=1)
            return compute()
        found = self.lookup(key)
        if found is not None:
            return found.value(on_device=True)
        started_s = time.perf_counter()
        value = compute()
        self.store(key, value, time.perf_counter() - started_s)
        return value

    def lookup(self, key: str) -> Frame | None:
        """Return an entry and note its use; None when there is none that is whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            self._count(misses=1)
            return None
        try:
            entry = _read_entry(data, key)
            entry.value()
        except (BrokenFrame, Closed):
            _remove(path)
            self._count(misses=1, damaged=1)
            return None
        with contextlib.suppress(OSError):  # another process has just removed it
            os.utime(path)
        self._count(hits=1, saved_s=float(entry.fields.get("elapsed_s", 0.0)))
        return entry

    def store(self, key: str, value: Any, elapsed_s: float) -> bool:
        """Keep a result that took ``elapsed_s`` to compute; returns whether it was kept."""
        body = io.BytesIO()
        try:
            write_frame(body, value, key=key, elapsed_s=elapsed_s)
        except (CannotPass, ValueError):
            self._count(uncacheable=1)
            return False
        data = body.getbuffer()
        if len(data) + DIGEST_BYTES > self.limit_bytes:
            return False
        path = self._path(key)
        try:
            self._make_folder()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, data)
            self._make_room(path.stat().st_mtime)
        except OSError:
            return False  # a full disk costs the next caller time, not this one the result
        return True

    def statistics(self) -> dict[str, Any]:
        """Return counts of all processes since the folder was made.

        Returns
        -------
        dict
            ``hits``, ``misses``, ``uncacheable``, ``damaged``, ``saved_s`` (what the results of
            hits had taken when they were computed), ``entries``, ``bytes``, ``limit_bytes``.
        """
        sizes = [size for _, size, _ in self._scan()]
        totals = {"entries": len(sizes), "bytes": sum(sizes), "limit_bytes": self.limit_bytes}
        counts = self._read_counts()
        return {**counts, "saved_s": round(counts["saved_s"], 3), **totals}

    def clear(self) -> None:
        """Remove all entries; the counts stay."""
        for _, _, path in self._scan():
            _remove(path)

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}.entry"

    def _make_folder(self) -> None:
        """Results tell of what people sent: others on this machine are kept out."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _write(self, path: Path, data: memoryview) -> None:
        with self._counting:
            self._temporary += 1
            aside = path.parent / f".{os.getpid()}-{threading.get_ident()}-{self._temporary}"
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.write(hashlib.sha256(data).digest())
            aside.replace(path)
        except OSError:
            _remove(aside)
            raise

    def _make_room(self, now: float) -> None:
        """Remove what was used longest ago, and what a killed process left half written."""
        entries = sorted(self._scan(now))
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.limit_bytes:
                return
            _remove(path)
            total -= size

    def _scan(self, now: float | None = None) -> Iterator[tuple[float, int, Path]]:
        for path in self._entries.glob("*/*"):
            try:
                facts = path.stat()
            except OSError:
                continue
            if path.suffix == ".entry":
                yield facts.st_mtime, facts.st_size, path
            elif now is not None and now - facts.st_mtime > STALE_S:
                _remove(path)

    def _count(self, **more: float) -> None:
        """Add to the counts, which all processes share."""
        with contextlib.suppress(OSError), self._counting:
            self._make_folder()
            with (self.folder / "counts.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                counts = self._read_counts()
                for name, value in more.items():
                    counts[name] += value
                aside = self.folder / ".counts"
                aside.write_text(json.dumps(counts), encoding="ascii")
                aside.replace(self.folder / "counts.json")

    def _read_counts(self) -> dict[str, Any]:
        try:
            known = json.loads((self.folder / "counts.json").read_text(encoding="ascii"))
            return {name: known[name] for name in COUNTS}
        except (OSError, ValueError, KeyError, TypeError):
            return {**dict.fromkeys(COUNTS, 0), "saved_s": 0.0}


def key_of(
    engine: str, version: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    """Hash what a result follows from; equal content gives equal keys in every process.

    Raises
    ------
    CannotPass
        An argument is no data.
    """
    digest = hashlib.sha256()
    for part in (FORMAT, engine, version, method, list(args), dict(kwargs)):
        _fold(digest, part, 0)
    return digest.hexdigest()


def _fold(digest: Any, value: Any, depth: int) -> None:
    """Feed a value with its type and length, so that no two different ones read alike."""
    if depth > 32:
        raise CannotPass("an argument is nested too deep")
    if isinstance(value, dict):
        _mark(digest, "dict", len(value))
        for key in sorted(value, key=lambda k: (type(k).__name__, repr(k))):
            _fold(digest, key, depth + 1)
            _fold(digest, value[key], depth + 1)
    elif isinstance(value, (list, tuple)) and memory_of(value) is None:
        _mark(digest, "tuple" if isinstance(value, tuple) else "list", len(value))
        for item in value:
            _fold(digest, item, depth + 1)
    elif isinstance(value, (str, os.PathLike)):
        _fold_text(digest, value)
    else:
        _fold_leaf(digest, value)


def _fold_text(digest: Any, value: str | os.PathLike[str]) -> None:
    text = os.fspath(value)
    named = isinstance(value, os.PathLike) or os.path.isabs(text)  # noqa: PTH117  any text
    if named and len(text) < 4096 and "\0" not in text and os.path.isfile(text):  # noqa: PTH113
        _mark(digest, "file", 0)
        digest.update(_digest_of_file(text))
    else:
        data = text.encode("utf-8", "surrogatepass")
        _mark(digest, "text", len(data))
        digest.update(data)


def _fold_leaf(digest: Any, value: Any) -> None:
    if value is None or isinstance(value, (bool, int, float)):
        _mark(digest, f"{type(value).__name__} {value!r}", 0)
        return
    if isinstance(value, (bytes, bytearray)):
        _mark(digest, "bytes", len(value))
        digest.update(value)
        return
    memory = memory_of(value)
    if memory is None:
        raise CannotPass(f"a {type(value).__name__} is no data")
    _mark(digest, f"{memory.kind} {memory.dtype} {memory.shape}", len(memory.data))
    digest.update(memory.data)


def _mark(digest: Any, kind: str, size: int) -> None:
    digest.update(f"<{kind}:{size}>".encode("utf-8", "surrogatepass"))


def _digest_of_file(path: str) -> bytes:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.digest()


def _read_entry(data: bytes, key: str) -> Frame:
    body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise BrokenFrame("the entry was damaged")
    file = io.BytesIO(body)

    def fill(room: memoryview) -> None:
        if file.readinto(room) != len(room):
            raise Closed("the entry ends early")

    entry = read_frame(fill)
    if entry.fields.get("key") != key:
        raise BrokenFrame("the entry belongs to another key")
    return entry


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
