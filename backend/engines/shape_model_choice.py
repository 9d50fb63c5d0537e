"""Which model with weights makes a shape, and with how much effort."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.catalog import FieldDecoder, Preset
from backend.engines.model_readiness import NO_TORCH, NO_WEIGHTS, has_torch, why_not
from backend.engines.shape_task import NetworkWishes
from backend.errors import EngineUnavailable
from backend.models.checkpoints.catalogue import MODELS, Model, ModelKind, model_of
from backend.models.checkpoints.finding import find_model
from backend.models.checkpoints.places import Places
from backend.settings import Settings

TURBO, FAST = "-turbo", "-fast"
CELLS = {Preset.DRAFT: 192, Preset.STANDARD: 256, Preset.HIGH: 384}
_DRAFT_ORDER = (
    "hunyuan3d-2mini-turbo", "hunyuan3d-2.0-turbo", "hunyuan3d-2mini-fast", "hunyuan3d-2.0-fast",
    "hunyuan3d-2mini", "hunyuan3d-2.0", "hunyuan3d-2.1",
)  # fmt: skip
_FULL_ORDER = (
    "hunyuan3d-2.1", "hunyuan3d-2.0", "hunyuan3d-2.0-fast", "hunyuan3d-2.0-turbo",
    "hunyuan3d-2mini", "hunyuan3d-2mini-fast", "hunyuan3d-2mini-turbo",
)  # fmt: skip
_DRAFT_VIEWS = ("hunyuan3d-2mv-turbo", "hunyuan3d-2mv-fast", "hunyuan3d-2mv")
_STEPS = {
    Preset.DRAFT: {TURBO: 5, FAST: 10, "": 15},
    Preset.STANDARD: {TURBO: 5, FAST: 10, "": 30},
    Preset.HIGH: {TURBO: 8, FAST: 20, "": 50},
}


@dataclass(frozen=True)
class ShapeEffort:
    """What a model spends on a shape.

    Parameters
    ----------
    steps : int
        Calls of the denoiser.
    cells : int
        Of the grid along each side.
    """

    model: Model
    steps: int
    guidance: float
    cells: int
    decoder: FieldDecoder


def effort_for(wishes: NetworkWishes, model: Model) -> ShapeEffort:
    """Fill in from the preset what was not asked for."""
    kind = next((one for one in (TURBO, FAST) if model.id.endswith(one)), "")
    return ShapeEffort(
        model,
        wishes.steps or _STEPS[wishes.preset][kind],
        (model.guidance or 0.0) if wishes.guidance is None else wishes.guidance,
        wishes.cells or CELLS[wishes.preset],
        wishes.decoder,
    )


def unavailable_reason(settings: Settings) -> str | None:
    """Say why no model can make shapes here; None when one can."""
    if not has_torch():
        return NO_TORCH
    places = Places.of(settings)
    found = [model for model in _for_shapes() if _is_whole(model, places)]
    if not found:
        return NO_WEIGHTS
    reasons = [why_not(model, settings) for model in found]
    if None in reasons:
        return None
    return "; ".join(dict.fromkeys(str(reason.detail) for reason in reasons if reason))


def chosen_model(wishes: NetworkWishes, views: int, settings: Settings) -> Model:
    """Choose the model that was asked for, or the best that is here for the preset.

    Parameters
    ----------
    views : int
        Pictures of the object. Where no model takes so many, one for the front picture alone is
        the best that is here.

    Raises
    ------
    UnknownModel, WeightsMissing, LicenceNotAccepted
        Of the model that was asked for.
    EngineUnavailable
        The model that was asked for takes one picture only, or no model is here.
    """
    if wishes.model is not None:
        model = model_of(wishes.model)
        error = why_not(model, settings)
        if error is not None:
            raise error
        if model.kind is not ModelKind.SHAPE:
            raise EngineUnavailable(
                f"{model.title} makes no shapes from pictures.",
                advice="Run 'python -m backend models list'.",
            )
        if views > (model.views or 1):
            raise EngineUnavailable(
                f"{model.title} takes {model.views} picture of an object, not {views}.",
                advice="Send the front picture alone, or choose a multi-view model.",
            )
        return model
    for model in (*_in_order(wishes.preset, views), *_in_order(wishes.preset, views=1)):
        if why_not(model, settings) is None:
            return model
    raise EngineUnavailable(
        unavailable_reason(settings) or "No model that is here can make a shape.",
        advice="Run 'python -m backend models list'.",
    )


def _in_order(preset: Preset, views: int) -> Iterable[Model]:
    """Models for a preset, the preferred one first; one of several views can do with one."""
    several = _DRAFT_VIEWS if preset is Preset.DRAFT else tuple(reversed(_DRAFT_VIEWS))
    single = _DRAFT_ORDER if preset is Preset.DRAFT else _FULL_ORDER
    names = several if views > 1 else single + several
    return (model_of(name) for name in names)


def _for_shapes() -> Iterable[Model]:
    """Models that can be run and make shapes."""
    return (m for m in MODELS if m.kind is ModelKind.SHAPE and m.unsupported is None)


def _is_whole(model: Model, places: Places) -> bool:
    found = find_model(model, places)
    return found is not None and found.is_complete
