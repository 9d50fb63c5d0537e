"""Runs the package hy3dgen under an interpreter that has it; imports nothing of this project.

Started by ``hy3dgen_way``: reads one JSON object per line and answers with one. Only public
classes and methods of the package are called.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from typing import Any

import torch

try:
    importlib.import_module("torchvision")
except RuntimeError:  # built for another torch; its operators are not needed for its transforms
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")
    for _operator in ("nms", "qnms"):
        _library.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file

ANSWER = "@hy3dgen "
BOUNDS, CHUNK_POINTS = 1.01, 8000


class Stages:
    """The stages of a pipeline as far as they can be called from outside."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        pipelines: Any = importlib.import_module("hy3dgen.shapegen.pipelines")
        self.pipeline = pipelines.Hunyuan3DDiTFlowMatchingPipeline.from_single_file(
            args.weights, args.config, device=args.device, dtype=self.dtype, use_safetensors=True
        )
        self.given = {
            name: tensor.to(self.device) for name, tensor in load_file(args.given).items()
        }
        self.picture = Image.fromarray(self.given.pop("picture").cpu().numpy(), "RGBA")

    def encode(self) -> Any:
        """Describe the picture."""
        found = self.pipeline.conditioner(image=self.given["pixels"].to(self.dtype))
        return found["main"] if isinstance(found, dict) else found

    def pair(self) -> Any:
        """Return one guided velocity from one call of twice the batch, as its pipeline does."""
        given = self.given
        contexts = torch.cat([given["context"], torch.zeros_like(given["context"])])
        latents = torch.cat([given["noise"], given["noise"]])
        times = given["time"].to(self.dtype).expand(2)
        there, back = self.pipeline.model(latents, times, {"main": contexts}).chunk(2)
        return back + self.given["guidance"].item() * (there - back)

    def tokens(self) -> Any:
        """Turn latents into what the field is read from."""
        vae = self.pipeline.vae
        return vae(self.given["noise"] / vae.scale_factor)

    def decode(self, cells: int) -> Any:
        """Fill a grid."""
        vae = self.pipeline.vae
        return vae.volume_decoder(
            self.given["tokens"],
            vae.geo_decoder,
            bounds=BOUNDS,
            num_chunks=CHUNK_POINTS,
            octree_resolution=cells,
            enable_pbar=False,
        )

    def mesh_of_tokens(self, cells: int) -> Any:
        """Fill a grid and read a surface off it."""
        return self.pipeline.vae.latents2mesh(
            self.given["tokens"],
            bounds=BOUNDS,
            mc_level=0.0,
            num_chunks=CHUNK_POINTS,
            octree_resolution=cells,
            mc_algo="mc",
            enable_pbar=False,
        )[0]

    def trajectory(self, steps: int) -> Any:
        """Encode the picture and follow the denoiser."""
        return self._run(steps, output_type="latent")

    def whole(self, steps: int, cells: int) -> Any:
        """Do all of it, from a picture to a mesh."""
        return self._run(steps, octree_resolution=cells, num_chunks=CHUNK_POINTS)[0]

    def _run(self, steps: int, **more: Any) -> Any:
        return self.pipeline(
            image=self.picture,
            num_inference_steps=steps,
            guidance_scale=self.given["guidance"].item(),
            generator=torch.Generator(self.device).manual_seed(int(self.given["seed"])),
            enable_pbar=False,
            **more,
        )


def answer(stages: Stages, request: dict[str, Any], result_file: str) -> dict[str, Any]:
    """Time one stage, write its result and tell."""
    call = getattr(stages, request.pop("stage"))
    on_gpu = stages.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    clock = time.perf_counter if on_gpu else time.process_time
    started_s = clock()
    result = call(**request)
    if on_gpu:
        torch.cuda.synchronize()
    taken_s = clock() - started_s
    peak_mb = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None
    save_file(_tensors_of(result), result_file)
    return {"taken_s": taken_s, "peak_mb": peak_mb}


def _tensors_of(result: Any) -> dict[str, torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return {"tensor": result.detach().float().cpu().contiguous()}
    if isinstance(result, (list, tuple)):
        return _tensors_of(result[0])
    corners = getattr(result, "vertices", None)
    corners = result.mesh_v if corners is None else corners
    faces = getattr(result, "faces", None)
    faces = result.mesh_f if faces is None else faces
    return {
        "vertices": torch.from_numpy(np.array(corners, np.float32)),
        "faces": torch.from_numpy(np.array(faces, np.int64)),
    }


def main() -> None:
    """Load, then answer until there is nothing more to answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("weights", "config", "given", "result", "device", "dtype"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        stages = Stages(args)
        print(ANSWER + json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
        for line in sys.stdin:
            try:
                told = answer(stages, json.loads(line), args.result)
            except Exception as error:  # noqa: BLE001  the bench tells it and goes on
                told = {"error": f"{type(error).__name__}: {error}"[:500]}
            print(ANSWER + json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
