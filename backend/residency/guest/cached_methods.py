"""Inner methods of a program whose results are kept: same input, no second computation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from .module_roots import resolve
from .stage_cache import StageCache


def wrap(
    program: Any, paths: Sequence[str], cache: StageCache, engine: str, version: str
) -> list[str]:
    """Put the cache in front of methods, named by their paths such as ``tokenizer.encode``.

    Returns
    -------
    list of str
        Paths where there is no such method, or it cannot be replaced.
    """
    return [path for path in paths if not _wrap_one(program, path, cache, engine, version)]


def _wrap_one(program: Any, path: str, cache: StageCache, engine: str, version: str) -> bool:
    owner_path, _, name = path.rpartition(".")
    try:
        owner = resolve(program, owner_path)
        method = getattr(owner, name)
    except AttributeError:
        return False
    if not callable(method):
        return False

    @functools.wraps(method)
    def cached(*args: Any, **kwargs: Any) -> Any:
        return cache.get_or_compute(
            engine, version, path, args, kwargs, lambda: method(*args, **kwargs)
        )

    try:
        setattr(owner, name, cached)
    except (AttributeError, TypeError):
        return False
    return True
