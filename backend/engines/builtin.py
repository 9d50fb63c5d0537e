"""All engines of this build."""

from __future__ import annotations

from functools import cache

from backend.engines.alpha_background import AlphaBackground
from backend.engines.cap_parts import CapParts
from backend.engines.engine import Listing, Role
from backend.engines.grabcut_background import GrabcutBackground
from backend.engines.hunyuan3d import Hunyuan3D
from backend.engines.hunyuan3d_paint import Hunyuan3DPaint
from backend.engines.inflate import Inflate
from backend.engines.line_of_sight_parts import LineOfSightParts
from backend.engines.p3sam import P3SamParts
from backend.engines.projection_texture import ProjectionTexture
from backend.engines.registry import EngineRegistry
from backend.engines.rembg_background import RembgBackground
from backend.engines.step_audio import StepAudio
from backend.engines.xpart import XPart


@cache
def default_registry() -> EngineRegistry:
    """Engines by role, the better ones ranked higher."""
    return EngineRegistry(
        [
            Listing(Role.BACKGROUND, RembgBackground(), rank=20),
            Listing(Role.BACKGROUND, GrabcutBackground(), rank=10),
            Listing(Role.BACKGROUND, AlphaBackground(), rank=0),
            Listing(Role.SHAPE, Hunyuan3D(), rank=20),
            Listing(Role.SHAPE, Inflate(), rank=10),
            Listing(Role.TEXTURE, Hunyuan3DPaint(), rank=20),
            Listing(Role.TEXTURE, ProjectionTexture(), rank=10),
            Listing(Role.SEGMENTATION, P3SamParts(), rank=20),
            Listing(Role.SEGMENTATION, LineOfSightParts(), rank=10),
            Listing(Role.COMPLETION, XPart(), rank=20),
            Listing(Role.COMPLETION, CapParts(), rank=10),
            Listing(Role.SPEECH, StepAudio(), rank=20),
        ]
    )
