"""Packages that only models with weights need; a server without them runs its own engines."""

from __future__ import annotations

import importlib
from typing import Any

from backend.errors import PackageMissing


def optional_package(name: str, purpose: str) -> Any:
    """Import a package that may be absent.

    Parameters
    ----------
    name : str
        As imported, such as ``safetensors``.
    purpose : str
        What it is needed for, to complete 'It is needed to'.

    Raises
    ------
    PackageMissing
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise PackageMissing(
            f"The Python package {top} is not installed. It is needed to {purpose}."
        ) from error
