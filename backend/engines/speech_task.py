"""What speech engines take and give."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.catalog import SpeechTask

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Waveform:
    """Sound of one channel.

    Parameters
    ----------
    samples : (n,) float32
        From -1 to 1.
    rate_hz : int
        Samples per second.
    """

    samples: Samples
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True)
class SpokenTask:
    """A recording and what to do with it.

    Parameters
    ----------
    reference : Path
        Mono WAV, 16 bit: what the server itself wrote of the upload.
    transcript : str
        What is said in it; empty where the task needs none.
    text : str
        What is to be said; empty where the task needs none.
    style : str
        Which emotion, style or speed; empty where the task has one only.
    passes : int
        How often an edit is applied to its own result.
    seed : int
        Of this task alone.
    scratch : Path or None
        Folder for recordings between passes, of the job's own where somebody clears up after a
        worker that was killed; the system's otherwise.
    """

    task: SpeechTask
    reference: Path
    transcript: str = ""
    text: str = ""
    style: str = ""
    passes: int = 1
    seed: int = 0
    scratch: Path | None = None


@dataclass(frozen=True)
class SpokenResult:
    """What came out.

    Parameters
    ----------
    sound : Waveform
    notice : str
        For people; empty where there is nothing to say.
    facts : dict
        JSON-ready: which model, seconds of load, restore and compute, what came from a cache.
    """

    sound: Waveform
    notice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
