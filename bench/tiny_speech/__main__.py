"""Writes the stand-in's model folders: ``python -m bench.tiny_speech FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.tiny_speech.model_folders import write_model_folders
from bench.tiny_speech.whisper_folder import write_whisper_folder

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = write_model_folders(Path(sys.argv[1])).resolve()
    write_whisper_folder(folder / "tiny-whisper")
    here = Path(__file__).parent
    print(f"Written. Use: --speech-path {here} --speech-models {folder} --speech-python PYTHON")
    print("and, to have recordings written down: MESHKILN_TRANSCRIBE_MODEL=tiny-whisper")
