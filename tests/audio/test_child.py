"""The process that reads what strangers send."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backend.audio.__main__ import answer_for
from backend.audio.wav_file import read_wav
from tests.audio.sounds import RATE_HZ, recording, tone

ROOT = Path(__file__).parents[2]


def test_a_recording_comes_back_as_wav_with_what_was_found(tmp_path):
    with (tmp_path / "out.wav").open("wb") as output:
        child = subprocess.run(
            [sys.executable, "-m", "backend.audio", "--output", str(output.fileno())],
            input=recording(tone(), "FLAC"),
            capture_output=True,
            check=True,
            pass_fds=[output.fileno()],
            cwd=ROOT,
            env={"OPENBLAS_NUM_THREADS": "1"},
        )
    facts = json.loads(child.stdout)["facts"]
    assert len(facts.pop("peaks")) == 200
    assert facts == {
        "format": "flac",
        "channels": 1,
        "clipped_share": 0.0,
        "duration_s": 1.0,
        "rate_hz": RATE_HZ,
        "peak": 0.4,
        "loudness_dbfs": -11.0,
    }
    assert read_wav(tmp_path / "out.wav").duration_s == 1.0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-file"),
        (b"no sound", "unsupported-audio"),
        (recording(tone(2.0)), "audio-too-long"),
        (recording(tone(0.2)), "audio-unusable"),
    ],
)
def test_what_is_wrong_is_told_with_advice(data, code):
    problem = answer_for(data, 1.0, 1, None)["problem"]
    assert problem["code"] == code
    assert problem["detail"]
    assert problem["advice"]


def test_a_full_disk_is_told(tmp_path):
    with (tmp_path / "read-only").open("wb") as gone:
        number = gone.fileno()
    answer = answer_for(recording(tone()), 30.0, 1, number)
    assert answer["problem"]["code"] == "storage-full"
