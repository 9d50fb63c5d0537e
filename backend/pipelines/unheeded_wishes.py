"""Says what was asked of a texture engine that cannot do it."""

from __future__ import annotations

from dataclasses import fields

from backend.engines.engine import AnyEngine
from backend.engines.texture_task import TextureWishes
from backend.progress import StageProgress

_PARAMETERS = {"model": "texture_model", "steps": "texture_steps",
               "guidance": "texture_guidance", "views": "texture_views"}  # fmt: skip


def unheeded_wishes(wishes: TextureWishes) -> list[str]:
    """Return the parameters that only engines with networks heed and that were set.

    >>> unheeded_wishes(TextureWishes(steps=20, upscale=False))
    ['texture_steps', 'upscale']
    """
    set_ones = [
        one.name
        for one in fields(wishes)
        if one.name != "preset" and getattr(wishes, one.name) is not None
    ]
    return [_PARAMETERS.get(name, name) for name in set_ones]


def warn_of_unheeded(engine: AnyEngine, wishes: TextureWishes, progress: StageProgress) -> None:
    """Warn of parameters that make no difference to an engine without networks."""
    if getattr(engine, "heeds_wishes", True):
        return
    names = unheeded_wishes(wishes)
    if names:
        progress.warn(
            f"The texture was made by {engine.name}, which runs no network: "
            f"{' and '.join(names)} made no difference."
        )
