"""What a setting must not cost, however fast it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from backend.tuning.run_figures import RunFigures


@dataclass(frozen=True)
class Limits:
    """Bounds that were asked for; None does not bind.

    Parameters
    ----------
    vram_mb : float or None
        Most memory on the GPU that any run may hold, in MB.
    latency_s : float or None
        Most time that half of the runs may take, in seconds; a job of a batch takes as long as
        the batch.
    """

    vram_mb: float | None = None
    latency_s: float | None = None

    def broken_by(self, runs: Sequence[RunFigures]) -> dict[str, str]:
        """Say which limits some runs with the same settings break.

        Parameters
        ----------
        runs : sequence of RunFigures
            At least one. A peak that was not measured breaks nothing.

        Returns
        -------
        dict
            The reason for people, by the name of the limit.

        Examples
        --------
        >>> Limits(latency_s=1.0).broken_by([RunFigures(2.0)])
        {'latency_s': 'Half of the runs took longer than 2.00 s; the limit is 1 s.'}
        """
        broken = {}
        peaks_mb = [run.vram_peak_mb for run in runs if run.vram_peak_mb is not None]
        if self.vram_mb is not None and peaks_mb and max(peaks_mb) > self.vram_mb:
            held = f"A run held {max(peaks_mb):.0f} MB on the GPU"
            broken["vram_mb"] = f"{held}; the limit is {self.vram_mb:g} MB."
        half_s = median(run.longest_job_s for run in runs)
        if self.latency_s is not None and half_s > self.latency_s:
            took = f"Half of the runs took longer than {half_s:.2f} s"
            broken["latency_s"] = f"{took}; the limit is {self.latency_s:g} s."
        return broken

    def to_document(self) -> dict[str, float | None]:
        """Write it as what JSON can hold."""
        return {"vram_mb": self.vram_mb, "latency_s": self.latency_s}
