"""Tiny models that paint, with random weights in the published layout; torch is imported late."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.models.checkpoints.checkpoint import Architecture
from backend.models.checkpoints.network_table import network_of

if TYPE_CHECKING:
    from torch import Tensor

SEED = 9
TEXT_WIDTH, TEXT_TOKENS, DINO_WIDTH = 32, 7, 48
DOWN = ["CrossAttnDownBlock2D", "DownBlock2D"]
UP = ["UpBlock2D", "CrossAttnUpBlock2D"]


class TinyPaint(StrEnum):
    """Which model is written; the value is its name in the catalogue."""

    COLOUR = "hunyuan3d-paint-2.0"
    TURBO = "hunyuan3d-paint-2.0-turbo"
    PBR = "hunyuan3d-paint-2.1"


FOLDERS = {
    TinyPaint.COLOUR: "Hunyuan3D-2/hunyuan3d-paint-v2-0",
    TinyPaint.TURBO: "Hunyuan3D-2/hunyuan3d-paint-v2-0-turbo",
    TinyPaint.PBR: "Hunyuan3D-2.1/hunyuan3d-paintpbr-v2-1",
}
DELIGHT_FOLDER = "Hunyuan3D-2/hunyuan3d-delight-v2-0"
UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4,
    "block_out_channels": [32, 64], "attention_head_dim": [2, 4], "layers_per_block": 1,
    "down_block_types": DOWN, "up_block_types": UP, "cross_attention_dim": TEXT_WIDTH,
    "norm_num_groups": 8, "use_linear_projection": True, "sample_size": 64,
}  # fmt: skip
VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4,
    "block_out_channels": [8, 8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4,
    "act_fn": "silu", "sample_size": 64, "scaling_factor": 0.18215,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip
SCHEDULE: dict[str, Any] = {
    "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_size": TEXT_WIDTH, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": TEXT_TOKENS, "vocab_size": 40,
    "hidden_act": "gelu",
}  # fmt: skip
DINOV2: dict[str, Any] = {
    "model_type": "dinov2", "hidden_size": DINO_WIDTH, "num_hidden_layers": 2,
    "num_attention_heads": 4, "image_size": 70, "patch_size": 14, "mlp_ratio": 4,
    "use_swiglu_ffn": True, "hidden_act": "gelu",
}  # fmt: skip


@dataclass(frozen=True)
class Written:
    """The descriptions and weights of a model before they are written, by folder or file.

    Parameters
    ----------
    configs : dict
        ``unet``, ``vae``, ``scheduler`` and so on.
    states : dict
        Likewise, by the names in the file.
    """

    configs: dict[str, dict[str, Any]]
    states: dict[str, dict[str, Tensor]]


Change = Callable[[Written], object]


def write_tiny_paint(
    root: Path,
    which: TinyPaint = TinyPaint.PBR,
    *,
    ending: str = ".bin",
    change: Change | None = None,
    has_companions: bool = True,
) -> Path:
    """Write a model under its published name, and those that it needs; returns its folder.

    Parameters
    ----------
    root : Path
        What ``MESHKILN_MODEL_PATH`` is to be.
    ending : str
        Of the files of weights: ``.bin``, which is a pickle, or ``.safetensors``.
    change : callable, optional
        Changes what is written, in place.
    """
    kind = "pbr" if which is TinyPaint.PBR else "colour"
    unet = {**UNET, "paint_kind": kind}
    written = Written(
        {"unet": copy.deepcopy(UNET), "vae": copy.deepcopy(VAE), "scheduler": dict(SCHEDULE)},
        {
            "unet": {
                **random_state(Architecture.PAINT_UNET, unet),
                **random_state(Architecture.PAINT_REFERENCE, unet),
            },
            "vae": random_state(Architecture.PICTURE_VAE, VAE),
        },
    )
    if which is TinyPaint.PBR and has_companions:
        write_tiny_dinov2(root)
    return _write(root / FOLDERS[which], written, ending, change)


def write_tiny_delight(
    root: Path, *, ending: str = ".safetensors", change: Change | None = None
) -> Path:
    """Write the model that takes light out of pictures; parameters as ``write_tiny_paint``."""
    unet = {**UNET, "in_channels": 8}
    schedule = {**SCHEDULE, "rescale_betas_zero_snr": False, "timestep_spacing": "leading"}
    text = random_state(Architecture.CLIP_TEXT, TEXT)
    written = Written(
        {
            "unet": unet,
            "vae": copy.deepcopy(VAE),
            "text_encoder": dict(TEXT),
            "scheduler": schedule,
        },
        {
            "unet": random_state(Architecture.DELIGHT_UNET, unet),
            "vae": random_state(Architecture.PICTURE_VAE, VAE),
            "text_encoder": {f"text_model.{name}": each for name, each in text.items()},
        },
    )
    return _write(root / DELIGHT_FOLDER, written, ending, change)


def write_tiny_dinov2(root: Path) -> Path:
    """Write the image encoder that PBR needs; returns its folder."""
    folder = root / "dinov2-giant"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(DINOV2))
    _save(folder / "model.safetensors", random_state(Architecture.DINOV2, DINOV2))
    return folder


def write_tiny_realesrgan(root: Path) -> Path:
    """Write a smaller network under the published name of the file; returns the file."""
    path = root / "RealESRGAN_x4plus.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    state = random_state(Architecture.UPSCALER, {"width": 8, "growth": 4, "blocks": 2})
    _save(path, {f"params_ema.{name}": each for name, each in state.items()})
    return path


def random_state(architecture: Architecture, params: Mapping[str, Any]) -> dict[str, Tensor]:
    """Draw the weights of a network by their published names, in half precision."""
    drawn = _state(architecture, json.dumps(params))
    return {name: each.clone() for name, each in drawn.items()}


@cache
def _state(architecture: Architecture, params_json: str) -> dict[str, Tensor]:
    import torch

    network = network_of(architecture)
    config = _config(architecture, json.loads(params_json))
    shapes = importlib.import_module(network.weights).upstream_shapes(config)
    generator = torch.Generator().manual_seed(SEED)
    return {name: _drawn(name, tuple(shape), generator).half() for name, shape in shapes.items()}


def _config(architecture: Architecture, params: Mapping[str, Any]) -> Any:
    """Read the sizes; what no description tells is as small as in ``unet20_tiny``."""
    from dataclasses import replace

    module, _, name = network_of(architecture).read_config.partition(":")
    config = attrgetter(name)(importlib.import_module(module))(params)
    if architecture not in (Architecture.PAINT_UNET, Architecture.PAINT_REFERENCE):
        return config
    is_pbr = params["paint_kind"] == "pbr"
    return replace(config, text_tokens=TEXT_TOKENS, dino_width=DINO_WIDTH if is_pbr else 0)


def _drawn(name: str, shape: tuple[int, ...], generator: Any) -> Tensor:
    import torch

    numbers = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return numbers / numbers[0].numel() ** 0.5
    return 0.1 * numbers + (1.0 if name.endswith("weight") else 0.0)


def _write(folder: Path, written: Written, ending: str, change: Change | None) -> Path:
    if change is not None:
        change(written)
    for name, config in written.configs.items():
        inside = folder / name
        inside.mkdir(parents=True, exist_ok=True)
        description = "scheduler_config.json" if name == "scheduler" else "config.json"
        (inside / description).write_text(json.dumps(config))
    for name, state in written.states.items():
        stem = "diffusion_pytorch_model"
        if name == "text_encoder":
            stem = "model" if ending == ".safetensors" else "pytorch_model"
        _save(folder / name / f"{stem}{ending}", state)
    return folder


def _save(path: Path, state: Mapping[str, Tensor]) -> None:
    import torch
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(dict(state), path)
    elif path.suffix == ".pth":
        prefix = "params_ema."
        torch.save({"params_ema": {n.removeprefix(prefix): t for n, t in state.items()}}, path)
    else:
        torch.save(dict(state), path)
