"""Checks recorded networks that paint views: what they answer, and all on the way to it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.models.hunyuan3d_paint import paint_weights, reference_weights
from backend.models.hunyuan3d_paint.paint_config import PaintConfig, PaintKind
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS, NO_SAVINGS
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.reference_unet import ReferenceUnet
from backend.models.hunyuan3d_paint.rotary import rotation_of
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, ViewInputs
from backend.models.hunyuan3d_paint.voxel_indices import (
    VOXELS_PER_TOKEN,
    is_near,
    level_voxels,
    voxel_indices,
)
from bench.parity.building import built
from bench.parity.comparison import Comparison, compared, compared_exactly, failed
from bench.parity.golden_folder import GoldenFile

TOLERANCE, ROTATION_TOLERANCE = 2e-5, 1e-5
LEVELS = 4
COLOUR_VOXELS_PER_TOKEN, COLOUR_LEAST_PIXELS = 4, 5
REFERENCE = "unet_dual."
ROWS: Mapping[str, GuidanceRow] = {
    "out.uncond": GuidanceRow.BLANK,
    "out.ref": GuidanceRow.REFERENCE,
    "out.full": GuidanceRow.FULL,
    "out.cond": GuidanceRow.FULL,
}
_VOXELS = re.compile(r"vox2([01])\.(\d+)")
_MASK = re.compile(r"mask\.(\d+)")
_ROTATION = re.compile(r"rope\.(\d+)\.(\d+)\.(cos|sin)")


def is_paint_network(file: GoldenFile) -> bool:
    """Whether a file holds a network that paints views."""
    return file.has("w.unet.learned_text_clip_ref") and "config" in file.noted


@dataclass(frozen=True)
class RecordedPainting:
    """A recorded network and what it was given; the first of a batch is looked at.

    Parameters
    ----------
    file : GoldenFile
    config : PaintConfig
    main : PaintUnet
    reference : ReferenceUnet or None
        None where the file holds no weights of it.
    """

    file: GoldenFile
    config: PaintConfig
    main: PaintUnet
    reference: ReferenceUnet | None

    @classmethod
    def of(cls, file: GoldenFile) -> RecordedPainting:
        """Build both networks as an engine does."""
        weights = file.weights()
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        config = PaintConfig.from_shapes(shapes, file.noted["config"])
        main = built(PaintUnet, config, paint_weights.fold(weights, config))
        if not any(name.startswith(REFERENCE) for name in weights):
            return cls(file, config, main, None)
        reference = built(ReferenceUnet, config, reference_weights.fold(weights, config))
        return cls(file, config, main, reference)

    def given(self, name: str) -> Tensor:
        """Return an input of the only object."""
        return self.file.tensors[f"in.{name}"][0]

    @property
    def latents(self) -> Tensor:
        """What is painted, all materials and views, (images, 4, h, w)."""
        return self.given("lat").flatten(0, -4)

    @property
    def views(self) -> int:
        """How many views there are."""
        return len(self.given("normal"))

    def inputs(self, features: Mapping[str, Tensor]) -> ViewInputs:
        """Return what the main network is told."""
        normal, position = self.given("normal"), self.given("position")
        if self.config.kind is PaintKind.COLOUR:
            return ViewInputs(normal, position, features, cameras=self.given("cam_gen"))
        voxels = level_voxels(self.given("posmap"), normal.shape[-1], LEVELS)
        dino = self.file.tensors["in.dino"]
        return ViewInputs(normal, position, features, dino=dino, voxels=voxels)


@torch.no_grad()
def paint_network_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare what is recorded of a network that paints."""
    painting = RecordedPainting.of(file)
    yield from _published_names(painting)
    if painting.reference is None:
        features: Mapping[str, Tensor] = {
            name: feature[None] for name, feature in file.weights("ref.").items()
        }
        yield from (
            failed(f"{file.name} ref.{name}", "no weights of the reference network", TOLERANCE)
            for name in features
        )
    else:
        features = painting.reference(painting.given("ref"))
        yield from _features(file, features)
    if file.has("in.posmap"):
        yield from _places(painting)
    if file.has("dino_proj"):
        yield _dino_tokens(painting)
    yield from _answers(painting, painting.inputs(features))


def _features(file: GoldenFile, features: Mapping[str, Tensor]) -> Iterator[Comparison]:
    for name, feature in features.items():
        if file.has(f"ref.{name}"):
            expected = file.tensors[f"ref.{name}"]
            yield compared(f"{file.name} ref.{name}", feature[0], expected, TOLERANCE)


def _published_names(painting: RecordedPainting) -> Iterator[Comparison]:
    """Compare the names and shapes of all weights with those we would ask a file for."""
    file, config = painting.file, painting.config
    wanted = {**paint_weights.upstream_shapes(config)}
    found = {name: tensor.shape for name, tensor in file.weights().items()}
    of_reference = reference_weights.upstream_shapes(config)
    if painting.reference is None:
        found = {name: found[name] for name in found.keys() - (of_reference.keys() - wanted.keys())}
    else:
        wanted |= of_reference
    other = {name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)}
    note = ", ".join(sorted(other)[:4]) or f"{len(found)} names and shapes of weights"
    yield Comparison(f"{file.name} w", float(len(other)), 0.0, note)


def _places(painting: RecordedPainting) -> Iterator[Comparison]:
    """Compare voxels, what is near, and angles; all from the map of positions."""
    file, positions = painting.file, painting.given("posmap")
    for name in sorted(file.recorded):
        line, expected = f"{file.name} {name}", file.tensors[name]
        if found := _VOXELS.fullmatch(name):
            made = _voxels(painting, int(found[2]), is_pbr=found[1] == "1")
            yield compared_exactly(line, made[None], expected)
        elif found := _MASK.fullmatch(name):
            yield compared_exactly(line, is_near(positions, int(found[1]))[None], expected)
        elif found := _ROTATION.fullmatch(name):
            rotation = rotation_of(_voxels(painting, int(found[1]), is_pbr=True), int(found[2]))
            angles = rotation.cos if found[3] == "cos" else rotation.sin
            both = angles.repeat_interleave(2, dim=-1)[None]
            yield compared(line, both, expected, ROTATION_TOLERANCE)


def _voxels(painting: RecordedPainting, tokens: int, *, is_pbr: bool) -> Tensor:
    """Return the voxels of the level with so many tokens in all views."""
    grid, positions = math.isqrt(tokens // painting.views), painting.given("posmap")
    if is_pbr:
        return voxel_indices(positions, grid, VOXELS_PER_TOKEN * grid)
    return voxel_indices(positions, grid, COLOUR_VOXELS_PER_TOKEN * grid, COLOUR_LEAST_PIXELS)


def _dino_tokens(painting: RecordedPainting) -> Comparison:
    """Compare tokens for the picture, the last row, and for none, the rows before."""
    file, network = painting.file, painting.main
    expected, dino = file.tensors["dino_proj"], file.tensors["in.dino"]
    blank = network.dino.blank().repeat(len(expected) - 1, dino.shape[1], 1)
    made = torch.cat([blank, network.dino(dino)])
    return compared(f"{file.name} dino_proj", made, expected, TOLERANCE)


def _answers(painting: RecordedPainting, inputs: ViewInputs) -> Iterator[Comparison]:
    """Compare every row of guidance, with all that is left out and with nothing left out."""
    file, network = painting.file, painting.main
    time = torch.tensor([float(file.noted["t"])])
    for savings, title in ((ALL_SAVINGS, "all savings"), (NO_SAVINGS, "no savings")):
        for name, row in ROWS.items():
            if file.has(name):
                made = network(painting.latents, time, network.prepare(inputs, row, savings))
                line = f"{file.name} {name}, {title}"
                yield compared(line, made, file.tensors[name], TOLERANCE)
