"""How much of what the device could compute do the calls of a model reach? Imports torch."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from backend.gpu.flops import count_work
from backend.gpu.peaks import peak_of
from backend.models.hunyuan3d.schedules import euler_schedule
from bench.shape.outcome import timed
from bench.shape.random_weights import Networks
from bench.shape.ways import Given

ROUNDS = 3
POINTS = {"cpu": 4096, "cuda": 262_144}


@torch.inference_mode()
def rooflines(networks: Networks, given: Given) -> list[dict[str, Any]]:
    """Time one call of each network and set it against the work in it.

    Returns
    -------
    list of dict
        ``share_of_roofline`` is the time that the device needs at the least, for arithmetic or for
        memory, whichever takes longer, over the time taken; None where its peak is not known.
    """
    device = networks.device
    net = networks.denoiser
    times = euler_schedule(2).times.to(device)
    prepared = net.prepare(given.context, times)
    step = torch.zeros(1, dtype=torch.int64, device=device)
    keys = networks.vae.geo_decoder.keys(given.tokens)
    points = torch.rand(1, POINTS[device.type], 3, device=device) * 2 - 1
    calls: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "encode": (networks.conditioner, (given.pixels,)),
        "denoiser, one pass": (net, (given.noise, prepared, step)),
        "tokens": (networks.vae.transformer, (given.noise,)),
        "decode call": (networks.vae.geo_decoder, (points, keys)),
    }
    return [_row(name, call, args, device) for name, (call, args) in calls.items()]


def _row(
    name: str, call: Callable[..., Any], args: tuple[Any, ...], device: torch.device
) -> dict[str, Any]:
    timed(device, lambda: call(*args))  # the first call chooses kernels
    taken_s = statistics.median(timed(device, lambda: call(*args)).taken_s for _ in range(ROUNDS))
    work = count_work(call, *args)
    if work is None:
        return {"stage": f"roofline of {name}", "call_s": taken_s, "share_of_roofline": None}
    least_s = _least_s(work, device)
    return {
        "stage": f"roofline of {name}",
        "call_s": taken_s,
        "tflop": work.flop / 1e12,
        "tflop_per_s": work.flop / 1e12 / taken_s,
        "dtype": work.dtype,
        "share_of_roofline": least_s and least_s / taken_s,
    }


def _least_s(work: Any, device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    peak = peak_of(torch.cuda.get_device_name(device))
    if peak is None or work.dtype not in peak.flop_per_s or peak.bytes_per_s is None:
        return None
    computing_s = work.flop / peak.flop_per_s[work.dtype]
    return float(max(computing_s, work.moved_bytes_min / peak.bytes_per_s))
