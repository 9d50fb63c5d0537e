"""One line that tells how far a batch on the command line is."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


@dataclass(frozen=True)
class Standing:
    """Where a batch is. ``jobs_per_min`` and ``eta_s`` are None where nobody knows."""

    total: int
    succeeded: int = 0
    failed: int = 0
    running: int = 0
    jobs_per_min: float | None = None
    eta_s: float | None = None

    @property
    def ended(self) -> int:
        """Pictures that are through."""
        return self.succeeded + self.failed


class BatchLine:
    """Draws the line.

    Parameters
    ----------
    console : Console
        Where.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            BarColumn(), TextColumn("{task.description}"), console=console, transient=False
        )
        self._task = self._bars.add_task("", total=None)

    def __enter__(self) -> BatchLine:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, standing: Standing) -> None:
        """Draw where the batch is."""
        self._bars.update(
            self._task,
            total=standing.total,
            completed=standing.ended,
            description=words(standing),
        )

    def say(self, text: str) -> None:
        """Write a line above."""
        self._bars.console.print(text, markup=False)


def words(standing: Standing) -> str:
    """Tell where a batch is.

    >>> words(Standing(40, 10, 2, 1, 6.0, 280))
    '12 of 40 done, 2 failed, 1 running, 6.0 per minute, about 5 min left'
    >>> words(Standing(3))
    '0 of 3 done'
    """
    parts = [f"{standing.ended} of {standing.total} done"]
    if standing.failed:
        parts.append(f"{standing.failed} failed")
    if standing.running:
        parts.append(f"{standing.running} running")
    if standing.jobs_per_min is not None:
        parts.append(f"{standing.jobs_per_min:.1f} per minute")
    if standing.eta_s is not None:
        minutes = round(standing.eta_s / 60)
        left = f"{minutes} min" if minutes else f"{standing.eta_s:.0f} s"
        parts.append(f"about {left} left")
    return ", ".join(parts)
