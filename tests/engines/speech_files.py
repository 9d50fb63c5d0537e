"""Folders that look like a Step-Audio-EditX checkout and its models; only names are looked at."""

from __future__ import annotations

import sys
from pathlib import Path

from backend.engines.speech_setup import (
    CODE_FILES,
    EDITOR,
    EDITOR_FILES,
    TOKENIZER,
    TOKENIZER_FILES,
)
from backend.settings import Settings


def write_checkout(folder: Path) -> Path:
    """Write the code's files and a link to an interpreter."""
    folder.mkdir(parents=True)
    for name in CODE_FILES:
        (folder / name).write_text("")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return folder


def write_models(folder: Path) -> Path:
    """Write the two model folders."""
    for name, files in ((TOKENIZER, TOKENIZER_FILES), (EDITOR, EDITOR_FILES)):
        for file in files:
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    (folder / EDITOR / "model.safetensors").write_bytes(b"x")
    return folder


def speech_settings(tmp_path: Path, **more: object) -> Settings:
    """Settings of a server with both."""
    given = {
        "data_dir": tmp_path / "data",
        "speech_path": str(tmp_path / "code"),
        "speech_models": str(tmp_path / "models"),
    }
    return Settings.from_env({}, **given | more)
