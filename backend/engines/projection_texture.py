"""Engine ``projection``: the picture on the front, a soft fill or a mirror on the back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.catalog import BackSide, CutOutParams
from backend.engines.built_in import BuiltIn
from backend.meshes.atlas import TexturedMesh, project
from backend.meshes.frame import PictureFrame
from backend.meshes.masks import Mask
from backend.meshes.picture import Picture, scale_mask
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import StageProgress

EDGE_PX = 1.2  # pixels of the picture that object and background share


@dataclass(frozen=True)
class TextureTask:
    """A mesh and the picture it was made from.

    Parameters
    ----------
    mesh : TriangleMesh
        In metres.
    picture : Picture
        At any size.
    mask : (h, w) bool
        At working size.
    frame : PictureFrame
        At working size.
    size_px : int
        Longest side of the atlas.
    back_side : BackSide
    """

    mesh: TriangleMesh
    picture: Picture
    mask: Mask
    frame: PictureFrame
    size_px: int
    back_side: BackSide


class ProjectionTexture(BuiltIn):
    """Projects the picture onto the mesh it was made from."""

    name = "projection"
    title = "Front projection (built in, no AI)"

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by preset and atlas size."""
        return params.model_dump_json(include={"preset", "texture_size_px"})

    def run(self, batch: Sequence[TextureTask], progress: StageProgress) -> list[TexturedMesh]:
        """Texture every mesh."""
        results = []
        for done, task in enumerate(batch):
            progress.step(done, len(batch))
            results.append(_texture(task))
        progress.step(len(batch), len(batch))
        return results


def _texture(task: TextureTask) -> TexturedMesh:
    longest = max(max(task.mask.shape), min(task.picture.longest_px, task.size_px))
    picture = task.picture.scaled_to(longest)
    factor = longest / max(task.mask.shape)
    return project(
        task.mesh,
        picture.rgb,
        scale_mask(task.mask, picture.rgba.shape[:2]),
        task.frame.scaled(factor),
        task.size_px,
        task.back_side,
        edge_px=EDGE_PX * longest / task.picture.longest_px,
    )
