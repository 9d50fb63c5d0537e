"""Which engine is asked for where only one of its models was named."""

from __future__ import annotations

from backend.catalog import ShapeEngine, ShapeModel, TextureEngine, TextureModel
from backend.engines.registry import AUTO


def shape_engine(engine: ShapeEngine, model: ShapeModel) -> str:
    """Return the engine to choose: whoever names a model wants that model, or to hear why not.

    >>> shape_engine(ShapeEngine.AUTO, ShapeModel.AUTO)
    'auto'
    """
    is_named = engine == AUTO and model is not ShapeModel.AUTO
    return (ShapeEngine.HUNYUAN3D if is_named else engine).value


def texture_engine(engine: TextureEngine, model: TextureModel) -> str:
    """Return the engine to choose, as ``shape_engine`` does."""
    is_named = engine == AUTO and model is not TextureModel.AUTO
    return (TextureEngine.HUNYUAN3D_PAINT if is_named else engine).value
