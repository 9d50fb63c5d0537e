"""The authors' code as packaged for pip, driven in a process of its own. Imports torch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.hunyuan3d.schedules import euler_schedule
from bench.shape.outcome import Outcome
from bench.shape.random_weights import SEED, Networks
from bench.shape.ways import GUIDANCE, PAIR_STEP, PAIR_STEPS, Given

CHILD = Path(__file__).with_name("hy3dgen_child.py")
ANSWER = "@hy3dgen "  # as in the child


class Hy3dgenFailed(RuntimeError):
    """The other interpreter cannot run the package, or a stage of it failed."""


class Hy3dgen:
    """The package hy3dgen under another interpreter, on the same weights; a ``Way``.

    Parameters
    ----------
    python : str
        An interpreter that has the package.
    folder : Path
        For the weights, written under their published names, and for what is passed back.
    picture : (h, w, 4) uint8

    Raises
    ------
    Hy3dgenFailed
        It cannot be started; with what it printed last.
    """

    name = "hy3dgen"

    def __init__(
        self,
        python: str,
        folder: Path,
        networks: Networks,
        given: Given,
        picture: NDArray[np.uint8],
    ) -> None:
        self._result = folder / "result.safetensors"
        self._log = folder / "hy3dgen.log"
        files = _written(folder, networks, given, picture)
        more = {
            "result": str(self._result),
            "device": str(networks.device),
            "dtype": str(networks.dtype).removeprefix("torch."),
            "threads": str(torch.get_num_threads()),
        }
        named = [text for key, value in {**files, **more}.items() for text in (f"--{key}", value)]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
        offline.pop("PYTHONPATH", None)
        self._child = subprocess.Popen(
            [python, str(CHILD), *named],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("w"),
            text=True,
            env=offline,
            cwd=folder,
        )
        self._answer()

    def close(self) -> None:
        """End the process."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        self._child.wait(timeout=60)

    def encode(self) -> Outcome:
        """Describe the picture."""
        return self._asked(stage="encode")

    def pair(self) -> Outcome:
        """Return one guided velocity."""
        return self._asked(stage="pair")

    def trajectory(self, steps: int) -> Outcome:
        """Follow the denoiser; its pipeline encodes the picture first."""
        return self._asked(stage="trajectory", steps=steps)

    def tokens(self) -> Outcome:
        """Turn latents into what the field is read from."""
        return self._asked(stage="tokens")

    def decode(self, cells: int) -> Outcome:
        """Fill a grid with its dense decoder."""
        found = self._asked(stage="decode", cells=cells)
        if isinstance(found.result, Tensor):
            return Outcome(found.taken_s, found.result[0], found.peak_mb)
        return found

    def surface(self, cells: int) -> Outcome:
        """Not a call of its own in this package."""
        raise Hy3dgenFailed("it reads no surface off a grid that it is given")

    def whole(self, steps: int, cells: int) -> Outcome:
        """Do all of it, from the picture to a mesh; its too small mesh is scaled up."""
        one = self._asked(stage="whole", steps=steps, cells=cells)
        if isinstance(one.result, TriangleMesh):
            larger = one.result.vertices * np.float32((cells + 1) / cells)
            note = f"its mesh is scaled by {cells + 1}/{cells}, which it lacks"
            return Outcome(one.taken_s, TriangleMesh(larger, one.result.faces), one.peak_mb, note)
        return one

    def _asked(self, **request: Any) -> Outcome:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        told = self._answer()
        if "error" in told:
            raise Hy3dgenFailed(told["error"])
        found = load_file(self._result)
        result: Tensor | TriangleMesh | None = found.get("tensor")
        if result is None:
            result = TriangleMesh(
                found["vertices"].numpy(), found["faces"].numpy().astype(np.int32)
            )
        return Outcome(told["taken_s"], result, told["peak_mb"])

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith(ANSWER):
                told: dict[str, Any] = json.loads(line.removeprefix(ANSWER))
                return told
        last = " | ".join(self._log.read_text().strip().splitlines()[-3:])
        raise Hy3dgenFailed(f"the other interpreter ended: {last}")


def _written(
    folder: Path, networks: Networks, given: Given, picture: NDArray[np.uint8]
) -> dict[str, str]:
    """Write weights, description and inputs; returns the files by the name of their option."""
    files = {
        "weights": folder / "model.safetensors",
        "config": folder / "config.yaml",
        "given": folder / "given.safetensors",
    }
    state = {
        f"{section}.{name}": tensor.cpu().contiguous()
        for section, tensors in networks.published.items()
        for name, tensor in tensors.items()
    }
    save_file(state, files["weights"])
    text = yaml.safe_dump(networks.sizes.upstream_config)  # JSON has numbers that YAML lacks
    files["config"].write_text(text)
    tensors = {
        "pixels": given.pixels,
        "context": given.context,
        "noise": given.noise,
        "tokens": given.tokens,
        "time": euler_schedule(PAIR_STEPS).times[PAIR_STEP : PAIR_STEP + 1],
        "guidance": torch.tensor(GUIDANCE),
        "seed": torch.tensor(SEED),
        "picture": torch.from_numpy(picture),
    }
    save_file({key: each.cpu().contiguous() for key, each in tensors.items()}, files["given"])
    return {name: str(path) for name, path in files.items()}
