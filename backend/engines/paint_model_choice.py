"""Which model with weights paints a mesh, and with how much effort."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from backend.catalog import Preset
from backend.engines.model_readiness import NO_TORCH, NO_WEIGHTS, has_torch, why_not
from backend.engines.texture_task import TextureWishes
from backend.errors import EngineUnavailable, MeshkilnError
from backend.models.checkpoints.catalogue import MODELS, Family, Model, ModelKind, model_of
from backend.models.checkpoints.finding import find_model
from backend.models.checkpoints.places import Places
from backend.settings import Settings

NO_DIFFUSERS = "diffusers is not installed (pip install -r requirements-paint.txt)"
DELIGHT_ID, UPSCALER_ID = "hunyuan3d-delight-2.0", "realesrgan-x4plus"
STANDARD_PX, LARGE_PX = 512, 768
FIXED_VIEWS, MOST_VIEWS = 6, 9
MOST_TURBO_STEPS = 30

_COLOUR, _TURBO = "hunyuan3d-paint-2.0", "hunyuan3d-paint-2.0-turbo"
_PBR = "hunyuan3d-paint-2.1"
_ORDERS = {
    Preset.DRAFT: (_TURBO, _COLOUR, _PBR),
    Preset.STANDARD: (_PBR, _COLOUR, _TURBO),
    Preset.HIGH: (_PBR, _COLOUR, _TURBO),
}

ON_PROCESSOR = (
    "There is no GPU here, so that sizes and model of a draft were taken where none were given. "
    "On a processor painting takes hours; projection takes seconds."
)
NOT_DELIT = (
    f"Light and shadow of the picture stay in the texture: {DELIGHT_ID} is not ready here, see "
    "Models."
)
NO_DELIGHT_NEEDED = "The picture was taken as it is: only models of version 2.0 take light out."
SIX_VIEWS = "Models of version 2.0 paint six sides, whatever number is asked for."
NO_GUIDANCE = "The turbo model takes no guidance."
FEWER_STEPS = f"The turbo model takes at most {MOST_TURBO_STEPS} steps."


@dataclass(frozen=True)
class PaintEffort:
    """What a model spends on a texture.

    Parameters
    ----------
    model : Model
    steps : int
        From noise to latents.
    guidance : float or None
        None for a model that takes none.
    views : int
        Sides that are painted, at most.
    view_px : int
        Side of the painted pictures.
    delight : Model or None
        What takes light out of the pictures.
    upscaler : Model or None
        What enlarges painted pictures.
    notice : str
        What people should know where something is left out.
    """

    model: Model
    steps: int
    guidance: float | None
    views: int
    view_px: int
    delight: Model | None = None
    upscaler: Model | None = None
    notice: str = ""

    @property
    def is_pbr(self) -> bool:
        """Whether metal and roughness are painted too."""
        return self.model.family is Family.PAINT_PBR

    @property
    def is_turbo(self) -> bool:
        """Whether the model was distilled to few steps."""
        return self.model.family is Family.PAINT_TURBO


def effort_for(wishes: TextureWishes, settings: Settings, *, on_gpu: bool) -> PaintEffort:
    """Choose a model, and fill in what was not asked for: by the preset, on a processor a draft.

    Raises
    ------
    UnknownModel, WeightsMissing, LicenceNotAccepted
        Of a model that was asked for, or of one that it needs.
    EngineUnavailable
        The model that was asked for paints nothing, or no model is here.
    """
    preset = wishes.preset if on_gpu else Preset.DRAFT
    model = chosen_model(wishes.model, preset, settings)
    is_pbr, is_turbo = model.family is Family.PAINT_PBR, model.family is Family.PAINT_TURBO
    is_fine = preset is Preset.HIGH and is_pbr
    steps = wishes.steps or model.steps or 1
    asked_guidance = model.guidance if wishes.guidance is None else wishes.guidance
    delight = None if is_pbr else _companion(DELIGHT_ID, wishes.delight, settings)
    upscales = _enlarges(is_pbr, preset) if wishes.upscale is None else wishes.upscale
    views = wishes.views or (MOST_VIEWS if is_fine else FIXED_VIEWS)
    is_less = not on_gpu and wishes.preset is not Preset.DRAFT
    notices = {
        ON_PROCESSOR: is_less and None in (wishes.model, wishes.view_px, wishes.views),
        NOT_DELIT: not is_pbr and delight is None and wishes.delight is None,
        NO_DELIGHT_NEEDED: is_pbr and bool(wishes.delight),
        SIX_VIEWS: not is_pbr and views > FIXED_VIEWS,
        NO_GUIDANCE: is_turbo and wishes.guidance is not None,
        FEWER_STEPS: is_turbo and steps > MOST_TURBO_STEPS,
    }
    return PaintEffort(
        model,
        min(steps, MOST_TURBO_STEPS) if is_turbo else steps,
        None if is_turbo else asked_guidance,
        views if is_pbr else FIXED_VIEWS,
        wishes.view_px or (LARGE_PX if is_fine else STANDARD_PX),
        delight,
        _companion(UPSCALER_ID, upscales, settings),
        " ".join(text for text, is_true in notices.items() if is_true),
    )


def _enlarges(is_pbr: bool, preset: Preset) -> bool | None:
    """Whether pictures are enlarged by a network where nothing is asked; None: if one is here."""
    return None if is_pbr and preset is not Preset.DRAFT else False


def _companion(model_id: str, is_wanted: bool | None, settings: Settings) -> Model | None:
    """Return a model that may help; None where it shall not, or is not here and not asked for.

    Raises
    ------
    WeightsMissing, LicenceNotAccepted
        It was asked for and cannot be loaded.
    """
    if is_wanted is False:
        return None
    model = model_of(model_id)
    error = why_not(model, settings)
    if error is None:
        return model
    if is_wanted:
        raise error
    return None


def unavailable_reason(settings: Settings) -> str | None:
    """Say why no model can paint here, and what helps; None when one can."""
    if not has_torch():
        return NO_TORCH
    if importlib.util.find_spec("diffusers") is None:
        return NO_DIFFUSERS
    places = Places.of(settings)
    here = [model for model in _that_paint() if _is_whole(model, places)]
    if not here:
        return NO_WEIGHTS
    reasons = [why_not_painting(model, settings) for model in here]
    if None in reasons:
        return None
    texts = (f"{error.detail} {error.advice}" for error in reasons if error is not None)
    return "; ".join(dict.fromkeys(texts))


def chosen_model(model_id: str | None, preset: Preset, settings: Settings) -> Model:
    """Choose the model that was asked for, or the best that is here for the preset.

    Raises
    ------
    UnknownModel, WeightsMissing, LicenceNotAccepted
        Of the model that was asked for, or of one that it needs.
    EngineUnavailable
        The model that was asked for paints nothing, or no model is here.
    """
    if model_id is not None:
        return _named(model_id, settings)
    for model in map(model_of, _ORDERS[preset]):
        if why_not_painting(model, settings) is None:
            return model
    raise EngineUnavailable(
        unavailable_reason(settings) or "No model that is here can paint.",
        advice="Run 'python -m backend models list'.",
    )


def why_not_painting(model: Model, settings: Settings) -> MeshkilnError | None:
    """Return why a model, or one that it needs, cannot be loaded here; None when all can."""
    for one in (model, *map(model_of, model.needs)):
        error = why_not(one, settings)
        if error is not None:
            return error
    return None


def _named(model_id: str, settings: Settings) -> Model:
    model = model_of(model_id)
    if model.kind is not ModelKind.TEXTURE:
        raise EngineUnavailable(
            f"{model.title} paints no textures.", advice="Run 'python -m backend models list'."
        )
    error = why_not_painting(model, settings)
    if error is not None:
        raise error
    return model


def _that_paint() -> list[Model]:
    return [model for model in MODELS if model.kind is ModelKind.TEXTURE]


def _is_whole(model: Model, places: Places) -> bool:
    found = find_model(model, places)
    return found is not None and found.is_complete
