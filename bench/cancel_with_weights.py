"""How long does a cancel take while the weights of a model are read, and while they compute?

Hunyuan3D 2mini at its real size with random weights, 3.8 GB in float16, on a server without a card.
Compared with the grace after which a canceled job's process is ended, and every model with it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import requests
import torch
from safetensors.torch import save_file

from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.settings import Settings
from backend.units import SystemClock
from bench.cancel_latency import cancel, submit, wait_for
from bench.record import Figure, report
from bench.running_server import RunningServer, running_server
from bench.shape.random_weights import random_conditioner, random_denoiser, random_vae
from bench.shape.sizes import ModelName, Scale, sizes_of
from bench.submit_latency import photo_2mb

MODEL, FOLDER = "hunyuan3d-2mini", "hunyuan3d-dit-v2-mini"
AFTER_S = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 40.0)
PUBLISHED = "hy3dgen.shapegen"


def write_model(folder: Path) -> None:
    """Write weights and description as they are published."""
    sizes = sizes_of(ModelName.MINI, Scale.FULL)
    makers = {"conditioner": random_conditioner, "model": random_denoiser, "vae": random_vae}
    state = {}
    for section, make in makers.items():
        for name, tensor in make(sizes, torch.device("cpu"), torch.float32)[1].items():
            state[f"{section}.{name}"] = tensor.half().contiguous()
    folder.mkdir(parents=True)
    save_file(state, folder / "model.fp16.safetensors")
    parts = {
        "model": ("models.Hunyuan3DDiT", sizes.denoiser_params),
        "vae": ("models.autoencoders.ShapeVAE", sizes.vae_params),
        "conditioner": ("models.conditioner.SingleImageEncoder", sizes.conditioner_params),
        "scheduler": ("schedulers.FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000}),
        "image_processor": ("preprocessors.ImageProcessorV2", {"size": 512}),
    }
    config = {
        part: {"target": f"{PUBLISHED}.{target}", "params": params}
        for part, (target, params) in parts.items()
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML


def reach_shape(server: RunningServer, job_id: str) -> None:
    """Wait until the job is in the stage that reads weights."""
    wait_for(server.url, job_id, {"running"}, in_stage=True)
    while stage_of(server, job_id) != "shape_generation":
        time.sleep(0.02)


def stage_of(server: RunningServer, job_id: str) -> str:
    """Return the stage of a running job; raises RuntimeError for one that ended."""
    job: dict[str, Any] = requests.get(f"{server.url}/api/v1/jobs/{job_id}", timeout=10).json()
    if job["status"] != "running":
        raise RuntimeError(f"job {job_id}: {job['status']}, {job['error']}\n{server.told()}")
    return str(job["stage"])


def processes(server: RunningServer) -> set[int]:
    """Return the living processes of a server."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return {one.pid for one in children if one.status() != psutil.STATUS_ZOMBIE}


def measure(server: RunningServer, picture: bytes) -> tuple[list[float], int]:
    """Cancel a job at each moment: seconds until it is canceled, and how many processes ended."""
    found, ended = [], 0
    for after_s in AFTER_S:
        job_id = submit(server.url, picture, engine="hunyuan3d")
        reach_shape(server, job_id)
        time.sleep(after_s)
        before = processes(server)
        found.append(cancel(server.url, job_id))
        ended += len(before - processes(server))
        print(f"after {after_s} s: canceled in {found[-1]:.2f} s")
    return found, ended


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mk-weights-") as folder:
        write_model(Path(folder) / FOLDER)
        with running_server(MESHKILN_MODEL_PATH=folder, MESHKILN_GPU="cpu") as server:
            Acceptances(server.data_dir / "models", SystemClock()).accept(model_of(MODEL))
            found, ended = measure(server, photo_2mb())
    grace_s = float(Settings().cancel_grace_s)
    figures = [
        Figure.of("the grace of a job that does not listen", "s", [grace_s]),
        Figure.of("cancel of a job of 2mini", "s", found, compared_with=grace_s),
        Figure.of("processes that ended with it", "of all cancels", [float(ended)]),
    ]
    report("cancel_with_weights", figures, {"after_s": AFTER_S}, args.json)


if __name__ == "__main__":
    main()
