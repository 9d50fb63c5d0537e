"""What the descriptions of TripoSG say: one config.json in the folder of each network."""

from __future__ import annotations

from pathlib import Path

from backend.errors import WeightsMissing
from backend.models.checkpoints.checkpoint import (
    Architecture,
    Component,
    ComponentSource,
    PictureSpec,
    SchedulerKind,
    SchedulerSpec,
    ShapeCheckpoint,
)
from backend.models.checkpoints.config_file import read_config
from backend.models.checkpoints.hunyuan_description import IMAGE_ENCODER
from backend.models.checkpoints.model_files import IMAGE_ENCODER_FOLDER, TRIPOSG_FILES

IMAGE_ENCODER_PREFIX = "main_image_encoder.model."
PICTURE = PictureSpec(size_px=512, border_share=0.15)


def triposg_checkpoint(folder: Path) -> ShapeCheckpoint:
    """Describe the model in a folder.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid
    """
    for (name,) in TRIPOSG_FILES:
        if not (folder / name).is_file():
            raise WeightsMissing(f"{folder} lacks {name}.")
    weights = "diffusion_pytorch_model.safetensors"
    encoder = {
        "main_image_encoder": {
            "type": IMAGE_ENCODER,
            "kwargs": {"config": _params(folder, IMAGE_ENCODER_FOLDER)},
        }
    }
    return ShapeCheckpoint(
        folder=folder,
        components={
            Component.DENOISER: ComponentSource(
                Architecture.TRIPOSG_DENOISER,
                _params(folder, "transformer"),
                folder / "transformer" / weights,
                ("",),
            ),
            Component.VAE: ComponentSource(
                Architecture.TRIPOSG_VAE, _params(folder, "vae"), folder / "vae" / weights, ("",)
            ),
            Component.CONDITIONER: ComponentSource(
                Architecture.TRIPOSG_CONDITIONER,
                encoder,
                folder / IMAGE_ENCODER_FOLDER / "model.safetensors",
                ("",),
                added_prefix=IMAGE_ENCODER_PREFIX,
            ),
        },
        scheduler=SchedulerSpec(SchedulerKind.EULER),
        picture=PICTURE,
        has_guidance_input=False,
        takes_views=False,
    )


def _params(folder: Path, part: str) -> dict[str, object]:
    return read_config(folder / part / "config.json")
