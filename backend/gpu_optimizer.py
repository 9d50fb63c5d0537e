"""The public face of ``backend.gpu``: memory, batch size, advice, timing, inference mode.

``python -m backend.gpu_optimizer`` prints what it sees and recommends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import InvalidParameter
from backend.gpu.allocator import AllocatorSettings, allocator_settings
from backend.gpu.attention_choice import AttentionChoice, AttentionShape, choose_attention
from backend.gpu.batch_history import BatchHistory, BatchKey
from backend.gpu.batch_size import BatchSizeRecommendation, Margins, recommend
from backend.gpu.cache_clearing import CacheClearer, ClearingRule, Occasion
from backend.gpu.inference import inference_mode
from backend.gpu.memory_profile import GPUMemoryProfile, memory_profile
from backend.gpu.memory_trend import MemoryTrend, memory_trend
from backend.gpu.peak_model import Basis, BatchOutcome, BatchSample, PeakModel, fit
from backend.gpu.precision import Precision, PrecisionChoice, PrecisionRules
from backend.gpu.presets import TARGET, preset_for
from backend.gpu.recommendations import Advice, advise, should_reduce_batch
from backend.gpu.telemetry import device_status
from backend.gpu.torch_telemetry import cuda_in_use
from backend.gpu.work_room import DeviceUse, WorkRoom, room_for_work
from backend.profiling.peak_growth import PeakGrowth
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.settings import Settings
from backend.units import MB, Clock, SystemClock

if TYPE_CHECKING:
    import torch

    from backend.gpu.compilation import CompiledModel

BUILT_IN_MB, BUILT_IN_SIDE_PX = 2000.0, 512
BUCKET_PX = 64
WARM_UP = "warm_up"
CLEAR_CACHE = "clear_cache"
KEPT_READINGS, KEPT_TIMINGS = 100, 200

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """One timed operation; memory is None while torch does not use a GPU here."""

    name: str
    elapsed_s: float
    memory_change_mb: float | None


class GPUOptimizer:
    """Measures the device and recommends how to use it.

    Parameters
    ----------
    target_utilization : float
        Share of the device's memory that batches aim at; below the hard cap of 0.9.
    profile : str
        Preset: ``auto`` goes by the card.
    history : BatchHistory, optional
        What batches took; in the data folder unless given.
    read_status : callable
        Reads the device, as ``backend.gpu.telemetry.device_status``.
    margins : Margins, optional
        What is left free.

    Raises
    ------
    InvalidParameter
        The target is not between 0 and the hard cap.
    """

    def __init__(
        self,
        target_utilization: float = TARGET,
        profile: str = "auto",
        *,
        history: BatchHistory | None = None,
        read_status: Callable[[], dict[str, Any]] = device_status,
        margins: Margins | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._read_status = read_status
        self._history = history
        self._clock = clock or SystemClock()
        memory = self._read()
        preset = preset_for(memory.total_mb, profile, memory.name)
        self.preset = preset.aiming_at(target_utilization)
        self._margins = margins or Margins(fraction=preset.memory_fraction)
        rule = ClearingRule(preset.empty_cache_threshold, least_mb=preset.min_reclaim_mb)
        self._cache = CacheClearer(self._clock, rule)
        self._used_pct: deque[float] = deque(maxlen=KEPT_READINGS)
        self.timings: deque[Timing] = deque(maxlen=KEPT_TIMINGS)
        self._queue_size = 0

    @property
    def target_utilization(self) -> float:
        """Share of the device's memory that batches aim at."""
        return self.preset.target_utilization

    @property
    def history(self) -> BatchHistory:
        """What batches took so far; opened when first needed."""
        if self._history is None:
            self._history = BatchHistory(history_path(Settings.from_env()))
        return self._history

    def aim_at(self, target_utilization: float) -> None:
        """Change the target; raises InvalidParameter."""
        self.preset = self.preset.aiming_at(target_utilization)

    # Memory

    def get_current_memory_profile(self) -> GPUMemoryProfile:
        """Read the memory of the whole device; unknown figures are None."""
        memory = self._read()
        if memory.utilization_percent is not None:
            self._used_pct.append(memory.utilization_percent)
        return memory

    def get_memory_trends(self, window_size: int = 20) -> dict[str, Any] | None:
        """Summarise the last readings; None below four."""
        trend = self._trend(max(1, window_size))
        return None if trend is None else asdict(trend) | {"stable": trend.is_stable}

    def should_reduce_batch_size(self) -> bool:
        """Whether memory is above 95 %, or rising and above 85 %."""
        return should_reduce_batch(self.get_current_memory_profile(), self._trend())

    def optimize_cache(self) -> float | None:
        """Collect garbage, then give unused cache back to the driver; returns the MB freed.

        None without a GPU in use; 0.0 when there was nothing to give back.
        """
        with profile_stage(CLEAR_CACHE, SpanKind.GPU):
            return self._cache.clear()

    def clear_cache_if_worth_it(self, occasion: Occasion = Occasion.ROUTINE) -> float | None:
        """Give unused cache back where that gains something; see ``ClearingRule``."""
        with profile_stage(CLEAR_CACHE, SpanKind.GPU):
            return self._cache.clear(occasion)

    def get_gpu_info(self) -> dict[str, Any]:
        """Return the whole reading of the first device; {} without one."""
        devices = self._read_status().get("devices") or [{}]
        return dict(devices[0])

    def _read(self) -> GPUMemoryProfile:
        return memory_profile(self._read_status())

    def _trend(self, window_size: int = 20) -> MemoryTrend | None:
        return memory_trend(list(self._used_pct)[-window_size:])

    def work_room(self, use: DeviceUse, weights_bytes: int) -> WorkRoom:
        """Decide how much the work of a network may take beside its weights.

        Parameters
        ----------
        use : DeviceUse
            Who holds what, without the network itself, and the limits that are set.
        """
        return room_for_work(use, weights_bytes)

    # Batch size

    def calculate_optimal_batch_size(
        self,
        image_size: tuple[int, int] = (512, 512),
        inference_steps: int = 50,
        current_queue_size: int = 1,
        *,
        stage: str = "shape_generation",
        key: BatchKey | None = None,
        prior: PeakModel | None = None,
    ) -> BatchSizeRecommendation:
        """Recommend a batch size from what batches like this one took.

        Parameters
        ----------
        image_size : (height, width)
            In pixels; decides which measurements apply.
        inference_steps : int
            Enters the estimated time only: steps do not cost memory.
        current_queue_size : int
            Jobs that wait.
        key : BatchKey, optional
            Names model, precision and so on; ``stage`` alone otherwise.
        prior : PeakModel, optional
            Used when nothing was measured, see ``backend.gpu.batch_prior``.

        Raises
        ------
        InvalidParameter
            A size or number of steps below one, or a negative queue.
        """
        height, width = image_size
        if height < 1 or width < 1:
            raise InvalidParameter(f"A picture of {width} by {height} pixels has no pixels.")
        self._queue_size = current_queue_size
        memory = self.get_current_memory_profile()
        key = key or self.batch_key(stage, image_size, memory)
        samples = self._recall(key)
        model = fit(samples) or self._scaled(key, height * width) or prior
        return recommend(
            memory,
            model or _built_in(height * width),
            samples,
            queue_size=current_queue_size,
            target_utilization=self.target_utilization,
            margins=self._margins,
            steps=inference_steps,
        )

    def record_batch_performance(
        self,
        batch_size: int,
        elapsed_s: float,
        *,
        peak_mb: float | None = None,
        key: BatchKey | None = None,
        out_of_memory: bool = False,
        free_mb: float | None = None,
        steps: int | None = None,
        image_size: tuple[int, int] = (512, 512),
        stage: str = "shape_generation",
    ) -> None:
        """Remember what a batch took, for the next recommendation.

        Parameters
        ----------
        peak_mb : float, optional
            Growth of memory over the start of the batch.
        free_mb : float, optional
            Free when the batch began.

        Raises
        ------
        InvalidParameter
            The batch was empty.
        """
        outcome = BatchOutcome.OUT_OF_MEMORY if out_of_memory else BatchOutcome.OK
        sample = BatchSample(batch_size, elapsed_s, peak_mb, free_mb, outcome, steps)
        self._remember(key or self.batch_key(stage, image_size), sample)

    @contextlib.contextmanager
    def measure_batch(
        self, key: BatchKey, batch_size: int, steps: int | None = None
    ) -> Iterator[None]:
        """Run a batch, measure time and growth of memory, and remember both.

        Put a loop that halves batches around this, not into it.
        """
        before = self._read()
        growth = PeakGrowth()
        started_s = self._clock.monotonic_s()
        outcome: BatchOutcome | None = None
        try:
            yield
            outcome = BatchOutcome.OK
        except BaseException as error:
            if _is_out_of_memory(error):
                outcome = BatchOutcome.OUT_OF_MEMORY
            raise
        finally:
            growth_mb = growth.stop()
            if outcome is not None:
                elapsed_s = self._clock.monotonic_s() - started_s
                free_mb = before.available_for_processing
                self._remember(
                    key, BatchSample(batch_size, elapsed_s, growth_mb, free_mb, outcome, steps)
                )

    def batch_key(
        self, stage: str, image_size: tuple[int, int], memory: GPUMemoryProfile | None = None
    ) -> BatchKey:
        """Name a stage and a resolution bucket on this device."""
        height, width = (-(-side // BUCKET_PX) * BUCKET_PX for side in image_size)
        name = (memory or self._read()).name or "cpu"
        return BatchKey(name, "any", stage, f"{height}x{width}", torch=_torch_version())

    def _remember(self, key: BatchKey, sample: BatchSample) -> None:
        """Keep a sample; a history that fails must not fail a good batch."""
        if sample.batch_size < 1:
            raise InvalidParameter(f"A batch of {sample.batch_size} items cannot have run.")
        try:
            self.history.record(key, sample)
        except (sqlite3.Error, OSError) as error:
            log.warning("what a batch took could not be kept: %s", error)

    def _recall(self, key: BatchKey) -> list[BatchSample]:
        try:
            return self.history.samples(key)
        except (sqlite3.Error, OSError) as error:
            log.warning("what batches took cannot be read: %s", error)
            return []

    def _other_buckets(self, key: BatchKey) -> dict[str, list[BatchSample]]:
        try:
            return self.history.other_buckets(key)
        except (sqlite3.Error, OSError):
            return {}

    def _scaled(self, key: BatchKey, pixels: int) -> PeakModel | None:
        """Scale the line of the nearest other resolution by the number of pixels."""
        fitted = {b: fit(s) for b, s in self._other_buckets(key).items() if _pixels(b)}
        known = {b: model for b, model in fitted.items() if model is not None}
        if not known:
            return None
        bucket = min(known, key=lambda b: abs(_pixels(b) - pixels))
        model, factor = known[bucket], pixels / _pixels(bucket)
        return PeakModel(
            model.fixed_mb * max(1.0, factor),
            model.per_item_mb * factor,
            Basis.OTHER_RESOLUTION,
            model.residual_mb * factor,
        )

    # How a stage computes

    def choose_precision(
        self, stage: str, wanted: str | None = None, rules: PrecisionRules | None = None
    ) -> PrecisionChoice:
        """Choose the number format of a stage on this card.

        Parameters
        ----------
        wanted : str, optional
            ``fp32``, ``fp16``, ``bf16`` or ``auto``; the preset's unless given.
        rules : PrecisionRules, optional
            Which stages allow which formats.
        """
        text = self.get_gpu_info().get("compute_capability")
        capability = tuple(int(part) for part in text.split(".")) if text else None
        precision = Precision(wanted or self.preset.precision)
        return (rules or PrecisionRules()).choose(
            stage, precision, (capability[0], capability[1]) if capability else None
        )

    def choose_attention(
        self, shape: AttentionShape, dtype: torch.dtype, device: torch.device
    ) -> AttentionChoice:
        """Choose the attention backend that is fastest at this shape and right; measured once."""
        return choose_attention(shape, dtype, device, self._clock)

    def warm_up(self, model: CompiledModel, *example: Any) -> float:
        """Compile a model ahead of its first use, as the stage ``warm_up`` of the profile.

        Parameters
        ----------
        example : Tensor
            Inputs of the shapes that will be used.

        Returns
        -------
        float
            Seconds it took.
        """
        with profile_stage(WARM_UP, SpanKind.LOAD):
            return model.warm_up(*example)

    def allocator_settings(self) -> AllocatorSettings:
        """Report how torch asks the driver for memory, and who decided that."""
        return allocator_settings(os.environ)

    # Advice and timing

    def get_optimization_recommendations(self) -> list[str]:
        """Say what to change, as sentences with figures."""
        return [advice.text for advice in self.get_structured_recommendations()]

    def get_structured_recommendations(self) -> list[Advice]:
        """Say what to change, with the evidence."""
        memory = self.get_current_memory_profile()
        return advise(memory, self._trend(), self._queue_size)

    @contextlib.contextmanager
    def timer(self, operation_name: str) -> Iterator[None]:
        """Time an operation and log it, with the change of allocated memory."""
        before_mb, started_s = _allocated_mb(), self._clock.monotonic_s()
        try:
            yield
        finally:
            elapsed_s, after_mb = self._clock.monotonic_s() - started_s, _allocated_mb()
            both = before_mb is not None and after_mb is not None
            change_mb = (after_mb or 0.0) - (before_mb or 0.0) if both else None
            self.timings.append(Timing(operation_name, elapsed_s, change_mb))
            log.info("%s took %.3f s, memory %s MB", operation_name, elapsed_s, change_mb)

    def gpu_inference_mode(self) -> contextlib.AbstractContextManager[None]:
        """Run without gradients, on a GPU with autocast in the preset's precision."""
        return inference_mode(self.preset.precision)


RTX4090Optimizer = GPUOptimizer

_lock = threading.Lock()
_optimizer: GPUOptimizer | None = None


def get_gpu_optimizer(target_utilization: float | None = None) -> GPUOptimizer:
    """Return the process's optimizer; a target that is given and differs becomes its target.

    Raises
    ------
    InvalidParameter
        The target is not between 0 and the hard cap of 0.9.
    """
    global _optimizer
    with _lock:
        if _optimizer is None:
            _optimizer = GPUOptimizer(TARGET if target_utilization is None else target_utilization)
        elif target_utilization not in (None, _optimizer.target_utilization):
            log.info("the target changes to %s", target_utilization)
            _optimizer.aim_at(target_utilization or 0.0)
        return _optimizer


def gpu_inference_mode() -> contextlib.AbstractContextManager[None]:
    """Run without gradients, as ``GPUOptimizer.gpu_inference_mode``."""
    return get_gpu_optimizer().gpu_inference_mode()


def history_path(settings: Settings) -> Path:
    """Where the measurements of batches are kept."""
    return settings.data_dir / "gpu.sqlite3"


def report(optimizer: GPUOptimizer) -> str:
    """Write what is seen and recommended, in two sections."""
    memory = optimizer.get_current_memory_profile()
    advice = optimizer.calculate_optimal_batch_size((512, 512), 50, 8)
    used = memory.utilization_percent
    percent = "unknown" if used is None else f"{used:.1f}%"
    lines = [
        "1. Current Memory Profile:", "",
        f"   Total: {_mb(memory.total_mb)}",
        f"   Used: {_mb(memory.used_mb)}",
        f"   Free: {_mb(memory.free_mb)}",
        f"   Utilization: {percent}", "",
        "2. Batch Size Recommendation:", "",
        f"   Recommended: {advice.recommended_size}",
        f"   Max Safe: {advice.max_safe_size}",
        f"   Est. VRAM/image: {_mb(advice.estimated_vram_per_image)}",
        f"   Confidence: {advice.confidence}", "",
        f"   {advice.reasoning}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _built_in(pixels: int) -> PeakModel:
    factor = pixels / BUILT_IN_SIDE_PX**2
    return PeakModel(0.0, BUILT_IN_MB * factor, Basis.BUILT_IN)


def _pixels(bucket: str) -> int:
    height, _, width = bucket.partition("x")
    return int(height) * int(width) if height.isdigit() and width.isdigit() else 0


def _mb(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}MB"


def _torch_version() -> str:
    """Name torch's version the same in every process, whether or not it has imported torch."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def _allocated_mb() -> float | None:
    cuda = cuda_in_use()
    return cuda.memory_allocated() / MB if cuda else None


def _is_out_of_memory(error: BaseException) -> bool:
    from backend.gpu.faults import Fault, classify

    return classify(error) is Fault.OUT_OF_MEMORY


if __name__ == "__main__":
    sys.stdout.write(report(get_gpu_optimizer()))
