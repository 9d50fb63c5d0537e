"""Engine ``projection``: the pictures where they show the mesh, a guess everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from backend.catalog import CutOutParams
from backend.engines.built_in import BuiltIn
from backend.engines.texture_task import ReferencePicture, TextureResult, TextureTask
from backend.meshes.picture import scale_mask
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.textured_surface import textured_surface
from backend.meshes.texturing.two_sided_layout import two_sided_layout
from backend.meshes.texturing.unseen_colour.mirror_plane import MirrorPlane
from backend.meshes.texturing.unseen_colour.painting import STEPS, Painting, paint
from backend.meshes.texturing.unseen_colour.picture_view import GivenPicture
from backend.meshes.texturing.unwrapping import unwrap
from backend.progress import StageProgress

EDGE_PX = 1.2  # pixels of the picture that object and background share
UNWRAP_STEPS = 4
NOTHING_SEEN = "The picture does not show the model: it got the mean colour of the picture."


class ProjectionTexture(BuiltIn):
    """Projects pictures onto the mesh and guesses what they do not show."""

    name = "projection"
    title = "Front projection (built in, no AI)"
    heeds_wishes = False

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by preset and atlas size."""
        return params.model_dump_json(include={"preset", "texture_size_px"})

    def run(self, batch: Sequence[TextureTask], progress: StageProgress) -> list[TextureResult]:
        """Texture every mesh."""
        steps = UNWRAP_STEPS + STEPS
        total = steps * len(batch)
        results = []
        for index, task in enumerate(batch):
            results.append(_texture(task, progress, steps * index, total))
        progress.step(total, total)
        return results


def _texture(task: TextureTask, progress: StageProgress, before: int, total: int) -> TextureResult:
    progress.step(before, total)
    layout = task.layout or _layout(
        task,
        lambda done, of: progress.step(before + UNWRAP_STEPS * done // max(of, 1), total),
    )
    painting = paint(
        task.mesh,
        layout,
        [_given(reference, task.size_px) for reference in task.references],
        task.size_px,
        task.back_side,
        is_inflated=task.is_inflated,
        tell=lambda done, _: progress.step(before + UNWRAP_STEPS + done, total),
    )
    textured = textured_surface(task.mesh, layout, painting.texture)
    notice = NOTHING_SEEN if painting.shows_nothing else ""
    return TextureResult(textured, notice, _facts(task, painting))


def _layout(task: TextureTask, tell: Callable[[int, int], None]) -> SurfaceLayout:
    if task.is_inflated:
        return two_sided_layout(task.mesh)
    return unwrap(task.mesh, resolution=task.size_px, tell=tell)


def _given(reference: ReferencePicture, size_px: int) -> GivenPicture:
    """Take a picture at the finer of its mask and what the texture can hold."""
    mask_px = max(reference.mask.shape)
    longest = max(mask_px, min(reference.picture.longest_px, size_px))
    picture = reference.picture.scaled_to(longest)
    return GivenPicture(
        picture.rgb,
        scale_mask(reference.mask, picture.rgba.shape[:2]),
        reference.frame.scaled(longest / mask_px),
        reference.azimuth_deg,
        EDGE_PX * longest / reference.picture.longest_px,
    )


def _facts(task: TextureTask, painting: Painting) -> dict[str, Any]:
    shares = {name: round(share, 4) for name, share in asdict(painting.shares).items()}
    return {
        "back_side": task.back_side.value,
        "symmetry": _symmetry(painting.plane),
        "area_shares": shares,
        "exposure_gains": [
            {"azimuth_deg": reference.azimuth_deg, "rgb": [round(float(one), 3) for one in gain]}
            for reference, gain in zip(task.references, painting.gains, strict=True)
        ],
    }


def _symmetry(plane: MirrorPlane | None) -> dict[str, Any] | None:
    if plane is None:
        return None
    return {
        "plane_azimuth_deg": round(plane.azimuth_deg, 2),
        "distance_spacings": round(plane.distance, 3),
        "accepted": plane.is_accepted,
    }
