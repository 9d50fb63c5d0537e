"""What a model consists of on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

IMAGE_ENCODER_FOLDER = "image_encoder_dinov2"
# One folder for each network, as the diffusers library writes them.
TRIPOSG_FILES: tuple[tuple[str, ...], ...] = (
    ("transformer/config.json",),
    ("transformer/diffusion_pytorch_model.safetensors",),
    ("vae/config.json",),
    ("vae/diffusion_pytorch_model.safetensors",),
    (f"{IMAGE_ENCODER_FOLDER}/config.json",),
    (f"{IMAGE_ENCODER_FOLDER}/model.safetensors",),
)


def alternatives_in(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of several files that a folder holds, None when it holds none."""
    return next((folder / name for name in names if (folder / name).is_file()), None)
