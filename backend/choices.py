"""What parameters can be chosen from; a leaf module like ``backend.catalog``, which shows all."""

from __future__ import annotations

from enum import StrEnum


class Preset(StrEnum):
    """How much work to spend."""

    DRAFT = "draft"
    STANDARD = "standard"
    HIGH = "high"


class BackgroundEngine(StrEnum):
    """Ways of finding the object in the picture."""

    AUTO = "auto"
    ALPHA = "alpha"
    REMBG = "rembg"
    GRABCUT = "grabcut"


class ShapeEngine(StrEnum):
    """Ways of making a shape."""

    AUTO = "auto"
    HUNYUAN3D = "hunyuan3d"
    INFLATE = "inflate"


class ShapeModel(StrEnum):
    """Models with weights that `hunyuan3d` runs; `python -m backend models list` shows them."""

    AUTO = "auto"
    HUNYUAN3D_20 = "hunyuan3d-2.0"
    HUNYUAN3D_20_FAST = "hunyuan3d-2.0-fast"
    HUNYUAN3D_20_TURBO = "hunyuan3d-2.0-turbo"
    HUNYUAN3D_2MINI = "hunyuan3d-2mini"
    HUNYUAN3D_2MINI_FAST = "hunyuan3d-2mini-fast"
    HUNYUAN3D_2MINI_TURBO = "hunyuan3d-2mini-turbo"
    HUNYUAN3D_2MV = "hunyuan3d-2mv"
    HUNYUAN3D_2MV_FAST = "hunyuan3d-2mv-fast"
    HUNYUAN3D_2MV_TURBO = "hunyuan3d-2mv-turbo"
    HUNYUAN3D_21 = "hunyuan3d-2.1"


class FieldDecoder(StrEnum):
    """How `hunyuan3d` asks where its shape is."""

    FULL = "full"
    FLASH = "flash"


class OtherView(StrEnum):
    """From where further pictures of the object were taken, for models of several views."""

    LEFT = "left"
    BACK = "back"
    RIGHT = "right"


class ShapeMode(StrEnum):
    """How `inflate` guesses the depth."""

    AUTO = "auto"
    INFLATE = "inflate"
    LATHE = "lathe"
    SLAB = "slab"


class BackSide(StrEnum):
    """How the unseen side is coloured."""

    AUTO = "auto"
    MIRROR = "mirror"
    PLAIN = "plain"


class TextureEngine(StrEnum):
    """Ways of colouring a mesh by pictures."""

    AUTO = "auto"
    HUNYUAN3D_PAINT = "hunyuan3d_paint"
    PROJECTION = "projection"


class TextureModel(StrEnum):
    """Models with weights that `hunyuan3d_paint` runs."""

    AUTO = "auto"
    HUNYUAN3D_PAINT_20 = "hunyuan3d-paint-2.0"
    HUNYUAN3D_PAINT_20_TURBO = "hunyuan3d-paint-2.0-turbo"
    HUNYUAN3D_PAINT_21 = "hunyuan3d-paint-2.1"


class SegmentationEngine(StrEnum):
    """Ways of finding parts."""

    AUTO = "auto"
    P3SAM = "p3sam"
    LINE_OF_SIGHT_PARTS = "line_of_sight_parts"


class CompletionEngine(StrEnum):
    """Ways of making parts closed meshes."""

    AUTO = "auto"
    XPART = "xpart"
    CAP_PARTS = "cap_parts"


class PartQuality(StrEnum):
    """How closely `xpart` follows the published way from noise to parts.

    Only `exact` does; both others take half the time and give other parts.
    """

    EXACT = "exact"
    FEWER_STEPS = "fewer_steps"
    SECOND_ORDER = "second_order"


class PartSolver(StrEnum):
    """How `xpart` goes from noise to parts: as published, or by steps of second order.

    A step of second order takes two calls of the network and gives other parts.
    """

    EULER = "euler"
    MIDPOINT = "midpoint"


class MeshFileFormat(StrEnum):
    """Files a mesh can be written as."""

    GLB = "glb"
    OBJ = "obj"
    PLY = "ply"
    STL = "stl"


class LengthUnit(StrEnum):
    """What one unit of the coordinates in a file means."""

    MM = "mm"
    CM = "cm"
    M = "m"
    IN = "in"
    FT = "ft"


class MeshFront(StrEnum):
    """Where the front of a mesh faces, with +Y up."""

    PLUS_Z = "+z"
    PLUS_X = "+x"
    MINUS_Z = "-z"
    MINUS_X = "-x"

    @property
    def azimuth_deg(self) -> float:
        """Angle from +Z towards +X."""
        return 90.0 * tuple(MeshFront).index(self)


class UpAxis(StrEnum):
    """Which axis of a file points up."""

    Y = "y"
    Z = "z"


class SpeechEngine(StrEnum):
    """Ways of speaking."""

    AUTO = "auto"
    STEP_AUDIO = "step_audio"


class SpeechTask(StrEnum):
    """What is done with the recording: its voice says something new, or it is changed."""

    CLONE = "clone"
    EMOTION = "emotion"
    STYLE = "style"
    SPEED = "speed"
    PARALINGUISTIC = "paralinguistic"
    DENOISE = "denoise"
    VAD = "vad"
