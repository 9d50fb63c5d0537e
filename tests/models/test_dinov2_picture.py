from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.models.dinov2 import COLOUR_MEAN, COLOUR_STD, DINOV2_GIANT, Dinov2, Dinov2Config
from backend.models.dinov2_picture import dinov2_pixels
from backend.models.dinov2_weights import fold, upstream_shapes

PUBLISHED = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 70,
    "patch_size": 14, "use_swiglu_ffn": True,
}  # fmt: skip


def shown(pixels):
    """Colours from 0 to 255 again."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (COLOUR_MEAN, COLOUR_STD))
    return ((pixels[0] * std + mean) * 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 400), (700, 256)])
def test_the_middle_of_a_picture_of_that_size_is_cut_out_unchanged(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels = dinov2_pixels(picture)
    assert pixels.shape == (1, 3, 224, 224)
    assert pixels.dtype is torch.float32
    top, left = (height - 224) // 2, (width - 224) // 2
    middle = picture[top : top + 224, left : left + 224]
    np.testing.assert_allclose(shown(pixels), middle, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(100, 300), (1000, 510), (517, 301)])
def test_pictures_are_scaled_by_their_shorter_side(height, width):
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([255 * rows / height, 255 * columns / width, 0 * rows], axis=2)
    pixels = shown(dinov2_pixels(picture.astype(np.uint8)))
    side = 256 / min(height, width)
    slope = pixels[200, 100, 0] - pixels[20, 100, 0], pixels[100, 200, 1] - pixels[100, 20, 1]
    assert slope == pytest.approx((255 * 180 / height / side, 255 * 180 / width / side), abs=2)
    assert pixels[112, 112, :2] == pytest.approx([127, 127], abs=3)


def test_positions_are_resampled_for_pictures_of_another_size():
    config = Dinov2Config.for_crops(PUBLISHED)
    assert (config.tokens, config.published_tokens) == (257, 26)
    state = {name: torch.zeros(shape) for name, shape in upstream_shapes(config).items()}
    rows = torch.arange(5.0).view(5, 1, 1).expand(5, 5, 16)
    positions = torch.cat([torch.full((1, 16), 7.0), rows.reshape(25, 16)])
    state["embeddings.position_embeddings"] = positions[None].half()
    folded = fold(state, config)["positions"]
    assert folded.dtype is torch.float16
    assert folded.shape == (1, 257, 16)
    assert (folded[0, 0] == 7).all()
    grid = folded[0, 1:].float().view(16, 16, 16)
    assert (grid == grid[:, :1, :1]).all()
    # half-way between the published rows 2 and 2: rows 7 and 8 of 16 lie about the middle
    assert (grid[7, 0, 0] + grid[8, 0, 0]) / 2 == pytest.approx(2, abs=1e-3)
    assert (grid[9, 0, 0] - grid[6, 0, 0]) == pytest.approx(3 * 5 / 16, abs=0.05)


@torch.no_grad()
def test_the_network_takes_those_pictures_and_no_others():
    config = Dinov2Config.for_crops(PUBLISHED)
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(shape, generator=generator)
        for name, shape in upstream_shapes(config).items()
    }
    with torch.device("meta"):
        network = Dinov2(config)
    network.load_state_dict(fold(state, config), strict=True, assign=True)
    picture = np.zeros((300, 280, 3), np.uint8)
    assert network(dinov2_pixels(picture)).shape == (1, 257, 16)
    with pytest.raises(ValueError, match="224 x 224"):
        network(torch.zeros(1, 3, 70, 70))


def test_published_sizes_of_the_giant():
    giant = {
        "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24,
        "image_size": 518, "patch_size": 14, "mlp_ratio": 4, "use_swiglu_ffn": True,
    }  # fmt: skip
    config = Dinov2Config.for_crops(giant)
    assert Dinov2Config.from_upstream(giant) == DINOV2_GIANT
    assert config.tokens == 257
    shapes = upstream_shapes(config)
    assert sum(shape.numel() for shape in shapes.values()) == 1_136_480_768
    with pytest.raises(ValueError, match="9 px"):
        Dinov2Config.for_crops({**giant, "patch_size": 9})
