"""A bar per stage in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from backend.progress import SilentSink


class BarSink(SilentSink):
    """Shows how far each stage is, and keeps what is told for the end.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw.
    stages : sequence of str
        Names in order.
    """

    def __init__(self, console: Console, stages: Sequence[str]) -> None:
        self.warnings: list[str] = []
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {
            name: self._bars.add_task(name.replace("_", " "), total=1.0, start=False)
            for name in stages
        }

    def __enter__(self) -> BarSink:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage_started(self, stage: str) -> None:
        """Start the stage's clock."""
        self._bars.start_task(self._tasks[stage])

    def stage_progress(self, stage: str, step: int, steps: int) -> None:
        """Move the stage's bar."""
        self._bars.update(self._tasks[stage], completed=step / max(steps, 1))

    def stage_finished(self, stage: str, elapsed_s: float) -> None:
        """Fill the stage's bar."""
        self._bars.update(self._tasks[stage], completed=1.0)
        self._bars.stop_task(self._tasks[stage])

    def warn(self, message: str) -> None:
        """Keep the note for the end."""
        if message not in self.warnings:
            self.warnings.append(message)
