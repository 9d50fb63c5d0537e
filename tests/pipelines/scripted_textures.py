"""A texture engine that does what a test says."""

from __future__ import annotations

from dataclasses import replace

from backend.engines.alpha_background import AlphaBackground
from backend.engines.engine import Listing, Role
from backend.engines.registry import EngineRegistry
from backend.engines.texture_task import TextureResult
from tests.meshes.shiny import painted
from tests.pipelines.scripted_parts import ScriptedEngine


class ScriptedTexture(ScriptedEngine):
    """Paints with maps of roughness and metal, and keeps every task that it was given."""

    name = "scripted_texture"
    title = "Scripted"

    def __init__(self, notice=""):
        self.tasks = []
        self._notice = notice

    def run(self, batch, progress):
        progress.step(1, 1)
        self.tasks += batch
        return [TextureResult(self._painted(task), self._notice, {"model": "m"}) for task in batch]

    def _painted(self, task):
        made = painted(task.mesh)
        if task.layout is None:
            return made
        return replace(
            made,
            vertices=task.mesh.vertices[task.layout.sources],
            normals=task.mesh.vertices[task.layout.sources],
            uv=task.layout.uv,
            faces=task.layout.faces,
        )


def texture_registry(engine: ScriptedTexture) -> EngineRegistry:
    return EngineRegistry(
        [
            Listing(Role.TEXTURE, engine, rank=10),
            Listing(Role.BACKGROUND, AlphaBackground(), rank=10),
        ]
    )
