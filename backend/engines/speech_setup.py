"""What of a user's speech program is here, and what is missing. Reads the disk, starts nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import EngineUnavailable
from backend.models.checkpoints.places import Places
from backend.settings import Settings

TOKENIZER, EDITOR = "Step-Audio-Tokenizer", "Step-Audio-EditX"
TINY_MARK = "TINY"
CODE_FILES = ("tts.py", "tokenizer.py")
TOKENIZER_FILES = ("linguistic_tokenizer.npy", "speech_tokenizer_v1.onnx")
_VOCODER = "CosyVoice-300M-25Hz"
EDITOR_FILES = tuple(
    f"{_VOCODER}/{name}" for name in ("cosyvoice.yaml", "flow.pt", "hift.pt", "campplus.onnx")
)
_SHARDS = "model.safetensors.index.json"
_LFS_POINTER = b"version https://git-lfs"
SET_UP = "docs/speech.md says how to set it up."
OFF = "auto-transcribe is off (start the server with --enable-auto-transcribe)"


@dataclass(frozen=True)
class SpeechSetup:
    """A checkout that can be started.

    Parameters
    ----------
    code : Path
        Holds ``tts.py`` and ``tokenizer.py``.
    python : Path
        The interpreter whose packages it needs.
    tokenizer, editor : Path
        Folders of the two models.
    is_tiny : bool
        The stand-in of tiny random networks.
    is_quantised : bool
        Its weights cannot be moved, so that they are released instead.
    """

    code: Path
    python: Path
    tokenizer: Path
    editor: Path
    is_tiny: bool
    is_quantised: bool

    def version(self) -> str:
        """Name the files that results follow from: other files, other name."""
        return fingerprint([*self.code.glob("*.py"), *self.tokenizer.iterdir()])

    def weights(self) -> str:
        """Name the files of the model that speaks, of which nothing is kept in the cache."""
        return fingerprint([*self.editor.iterdir(), *(self.editor / _VOCODER).iterdir()])


@dataclass(frozen=True)
class TranscriberSetup:
    """A Whisper model that can be started: its folder, and an interpreter with transformers."""

    python: Path
    model: Path

    def version(self) -> str:
        """Name the files that transcripts follow from."""
        return fingerprint(self.model.iterdir())


def speech_setup(settings: Settings) -> SpeechSetup:
    """Find all that a Step-Audio-EditX checkout needs.

    Raises
    ------
    EngineUnavailable
        Says what is missing, and where it was looked for.
    """
    if not settings.speech_path:
        raise _missing("no program for speech is set up (--speech-path)")
    code = _place(settings.speech_path)
    if not code.is_dir():
        raise _missing(f"--speech-path: there is no folder {code}")
    lacking = [name for name in CODE_FILES if not (code / name).is_file()]
    if lacking:
        raise _missing(f"{code} is no checkout of Step-Audio-EditX: it lacks {_listed(lacking)}")
    python = speech_interpreter(settings)
    if python is None:
        wanted = settings.speech_python or code / ".venv" / "bin" / "python"
        raise _missing(f"there is no Python interpreter {wanted} (--speech-python)")
    places = _model_places(settings, code)
    tokenizer = _model_folder(TOKENIZER, TOKENIZER_FILES, places)
    editor = _model_folder(EDITOR, EDITOR_FILES, places)
    _check_weights(editor)
    is_tiny = (code / TINY_MARK).is_file()
    return SpeechSetup(code, python, tokenizer, editor, is_tiny, _is_quantised(editor))


def speech_obstacle(settings: Settings) -> str | None:
    """Say in words why no speech can be made here; None when it can."""
    try:
        speech_setup(settings)
    except EngineUnavailable as error:
        return error.detail
    return None


def transcriber_setup(settings: Settings) -> TranscriberSetup:
    """Find what writes down recordings.

    Raises
    ------
    EngineUnavailable
        It is off, or something is missing.
    """
    if not settings.auto_transcribe:
        raise EngineUnavailable(OFF)
    model = _whisper_folder(settings)
    if model is None:
        name = settings.transcribe_model
        raise EngineUnavailable(
            f"the model {name!r} that writes down recordings is not on this machine",
            advice="Get the model with the hub's own program ('hf download "
            f"{name}'), or name its folder in MESHKILN_TRANSCRIBE_MODEL; jobs never download it.",
        )
    python = speech_interpreter(settings) or _own_interpreter()
    if python is None:
        raise EngineUnavailable(
            "transformers, which runs the model that writes down recordings, is not installed",
            advice="Install it: .venv/bin/python -m pip install -r requirements-speech.txt.",
        )
    return TranscriberSetup(python, model)


def transcriber_obstacle(settings: Settings) -> str | None:
    """Say in words why no recording can be written down here; None when it can."""
    try:
        transcriber_setup(settings)
    except EngineUnavailable as error:
        return error.detail
    return None


def speech_interpreter(settings: Settings) -> Path | None:
    """Return the interpreter of the user's program; None where there is none."""
    if settings.speech_python:
        # its links are not followed: the place of a virtual environment's link tells its packages
        python = _place(settings.speech_python)
    elif settings.speech_path:
        python = _place(settings.speech_path) / ".venv"
    else:
        return None
    if python.is_dir():
        python = python / "bin" / "python"
    return python if python.is_file() and os.access(python, os.X_OK) else None


def fingerprint(files: Iterable[Path]) -> str:
    """Name files by name, size and time of change."""
    stats = sorted((path.name, path.stat()) for path in files if path.is_file())
    return ";".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


def _own_interpreter() -> Path | None:
    there = all(importlib.util.find_spec(name) for name in ("transformers", "torch"))
    return Path(sys.executable) if there else None


def _model_places(settings: Settings, code: Path) -> list[Path]:
    """Return the folders that may hold the two models; named ones leave no others."""
    named = settings.speech_models or settings.model_path
    places = [_place(named)] if named else []
    return places if settings.speech_models else [*places, code]


def _model_folder(name: str, files: tuple[str, ...], places: list[Path]) -> Path:
    found = [place / name for place in places if (place / name).is_dir()]
    if not found:
        looked = " and ".join(str(place) for place in places)
        raise _missing(f"the folder {name} with its model is not in {looked} (--speech-models)")
    lacking = {folder: _lacking(folder, files) for folder in found}
    whole = [folder for folder in found if not lacking[folder]]
    if not whole:
        raise _missing(f"{found[0]} lacks {_listed(lacking[found[0]])}")
    _refuse_pointers(whole[0], files)
    return whole[0]


def _check_weights(editor: Path) -> None:
    """Refuse a model without its weights, or with some of them; raises EngineUnavailable."""
    there = sorted(path.name for path in editor.glob("*.safetensors"))
    if not there:
        raise _missing(f"{editor} lacks its weights (*.safetensors)")
    lacking = _lacking(editor, _shards(editor))
    if lacking:
        raise _missing(f"{editor} lacks {_listed(lacking)}")
    _refuse_pointers(editor, there)


def _shards(editor: Path) -> list[str]:
    """Name the files that a model in several parts says it has."""
    try:
        listed = json.loads((editor / _SHARDS).read_text(encoding="utf-8"))["weight_map"]
        return sorted({str(name) for name in listed.values()})
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _refuse_pointers(folder: Path, files: Iterable[str]) -> None:
    """Refuse what git writes in place of large files where git-lfs is missing."""
    pointers = [name for name in files if _is_pointer(folder / name)]
    if pointers:
        raise _missing(
            f"{folder}: {_listed(pointers)} was not fetched, only git's pointer to it "
            "(run 'git lfs pull' there)"
        )


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def _lacking(folder: Path, files: Iterable[str]) -> list[str]:
    return [name for name in files if not (folder / name).is_file()]


def _is_quantised(editor: Path) -> bool:
    try:
        config = json.loads((editor / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and bool(config.get("quantization_config"))


def _whisper_folder(settings: Settings) -> Path | None:
    """Return a folder with the model: as named, in the models' folder, or in the hub's cache."""
    name = settings.transcribe_model
    places = [_place(name)]
    last = name.rstrip("/").rpartition("/")[2]
    named = [path for path in (settings.speech_models, settings.model_path) if path]
    places += [_place(path) / last for path in named]
    cache = Places.of(settings).hub_cache / f"models--{name.replace('/', '--')}"
    try:
        revision = (cache / "refs" / "main").read_text(encoding="utf-8").strip()
        places.append(cache / "snapshots" / revision)
    except (OSError, ValueError):
        pass
    return next((place for place in places if (place / "config.json").is_file()), None)


def _place(text: str) -> Path:
    """Return a folder or file as a user wrote it; ``~name`` of nobody stays as it is."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return path.absolute()


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def _missing(detail: str) -> EngineUnavailable:
    return EngineUnavailable(detail, advice=SET_UP)
