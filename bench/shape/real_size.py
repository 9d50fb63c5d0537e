"""What does a shape of Hunyuan3D 2mini cost on a processor, at its real size?

Random weights of the published sizes, one network at a time, each called once after one smaller
call: the image encoder, one pass of the denoiser, the tokens of the shape, and a call of the
geometry decoder. From these the time of a job of 2mini-turbo is computed, not measured: five
passes, and as many points as coarse to fine asks of the ball that the random weights make. The
turbo release has a lighter geometry decoder, whose sizes are not known here; this is the standard
one.
"""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from backend.engines.field_calls import Box
from backend.engines.implicit_decode import decode_grid
from backend.engines.native_shape import BAND
from backend.models.hunyuan3d.geo_decoder import field_of
from backend.models.hunyuan3d.schedules import euler_schedule
from backend.models.quantised_linear import quantised
from bench.record import Figure, report
from bench.shape.clocks import Clocked, clocked
from bench.shape.memory import RESET, status_mb
from bench.shape.outcome import MB
from bench.shape.random_weights import random_conditioner, random_denoiser, random_vae
from bench.shape.sizes import ModelName, Scale, sizes_of
from bench.shape.ways import LOWER, UPPER

CPU = torch.device("cpu")
STEPS, CELLS, POINTS = 5, 192, 16_384
CONTEXT_TOKENS = 1370


class RealSize:
    """The networks of 2mini at their real size, one after the other.

    Parameters
    ----------
    dtype : torch.dtype
    is_int8 : bool
        Weights of 8 bits.
    """

    def __init__(self, dtype: torch.dtype, *, is_int8: bool) -> None:
        self._sizes = sizes_of(ModelName.MINI, Scale.FULL)
        self._dtype = dtype
        self._is_int8 = is_int8
        self.rows: list[dict[str, Any]] = []

    def encoder(self) -> Clocked:
        """Describe one picture."""
        network = self._made(random_conditioner)
        pixels = torch.rand(1, 3, self._sizes.encoder_px, self._sizes.encoder_px) * 2 - 1
        return self._note("encode", network, lambda: network(pixels))

    def denoiser(self) -> Clocked:
        """Make one pass."""
        network = self._made(random_denoiser)
        context = torch.randn(1, CONTEXT_TOKENS, self._sizes.encoder_width).to(self._dtype)
        prepared = network.prepare(context, euler_schedule(STEPS).times)
        latents = torch.randn(1, self._sizes.latent_tokens, 64).to(self._dtype)
        network(latents[:, :8], network.prepare(context[:, :8], euler_schedule(1).times), 0)
        return self._note("denoiser, one pass", network, lambda: network(latents, prepared, 2))

    def decoder(self) -> tuple[Clocked, Clocked]:
        """Make the tokens, and answer one call."""
        network = self._made(random_vae)
        latents = torch.randn(1, self._sizes.latent_tokens, 64).to(self._dtype)
        tokens = self._note("tokens", network, lambda: network.transformer(latents))
        keys = network.keys(latents)
        points = torch.rand(1, POINTS, 3) * 2 - 1
        network.geo_decoder(points[:, :64], keys)
        one = self._note(
            f"decode call of {POINTS} points", network, lambda: network.geo_decoder(points, keys)
        )
        return tokens, one

    def _made(self, make: Any) -> Any:
        gc.collect()
        RESET.write_text("5")
        network = make(self._sizes, CPU, self._dtype)[0]
        if self._is_int8:
            quantised(network)
        gc.collect()
        return network

    def _note(self, name: str, network: Any, call: Any) -> Clocked:
        weights_mb = sum(each.nbytes for each in network.parameters()) / MB
        RESET.write_text("5")
        one = clocked(call)
        self.rows.append(
            {
                "stage": name,
                "wall_s": one.wall_s,
                "core_s": one.core_s,
                "weights_mb": round(weights_mb),
                "process_peak_mb": round(status_mb("VmHWM")),
                "is_finite": bool(one.result.isfinite().all()),
            }
        )
        return one


def queries_of_a_ball() -> int:
    """Count the points that coarse to fine asks for, with a small decoder of the same field."""
    sizes = sizes_of(ModelName.MINI, Scale.TINY)
    network, _ = random_vae(sizes, CPU, torch.float32)
    tokens = network.transformer(torch.randn(1, sizes.latent_tokens, 64))
    field = field_of(network.geo_decoder, tokens)
    return decode_grid(field, CELLS, Box(LOWER, UPPER), band=BAND).queries


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    with torch.inference_mode():
        networks = RealSize(getattr(torch, args.dtype), is_int8=args.int8)
        encoded, denoised = networks.encoder(), networks.denoiser()
        tokens, answered = networks.decoder()
        queries = queries_of_a_ball()
    figures = []
    for clock in ("wall_s", "core_s"):
        encode_s, pass_s, tokens_s, call_s = (
            getattr(one, clock) for one in (encoded, denoised, tokens, answered)
        )
        job_s = encode_s + STEPS * pass_s + tokens_s + queries / POINTS * call_s
        title = f"computed: {STEPS} passes, {CELLS} cells, {queries} points"
        named = {
            "encode one picture": encode_s,
            "denoiser, one pass": pass_s,
            "tokens": tokens_s,
            "decode 100,000 points": 1e5 / POINTS * call_s,
            title: job_s,
        }
        unit = "s" if clock == "wall_s" else "core s"
        figures += [Figure.of(name, unit, [taken_s]) for name, taken_s in named.items()]
    for row in networks.rows:
        Console(soft_wrap=True, highlight=False).print(row)
    settings = {**vars(args), "queries": queries, "torch": torch.__version__}
    report("shape_real_size", figures, settings, args.json, networks.rows)


if __name__ == "__main__":
    main()
