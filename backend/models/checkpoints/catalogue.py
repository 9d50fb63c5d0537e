"""The models that can be run, as data: where they are published and what they consist of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backend.errors import UnknownModel
from backend.models.checkpoints.licences import LicenceId

# Preferred first: a pickle is the last choice, and half precision is what the models were made for.
WEIGHT_FILES = ("model.fp16.safetensors", "model.safetensors", "model.fp16.ckpt", "model.ckpt")
CONFIG_FILES = ("config.yaml", "config.json")


class ModelKind(StrEnum):
    """What a model is for."""

    SHAPE = "shape"
    SEGMENTATION = "segmentation"
    COMPLETION = "completion"
    TEXTURE = "texture"
    COMPANION = "companion"


class Family(StrEnum):
    """How the files of a model are laid out, and which networks they describe."""

    FLUX = "flux"
    PLAIN = "plain"
    TRIPOSG = "triposg"
    P3SAM = "p3sam"
    XPART = "xpart"
    PAINT = "paint"
    PAINT_TURBO = "paint turbo"
    PAINT_PBR = "paint PBR"
    DELIGHT = "delight"
    DINOV2 = "dinov2"
    REALESRGAN = "realesrgan"


@dataclass(frozen=True)
class Release:
    """A single file that is published outside of the model hub.

    Parameters
    ----------
    url : str
    version : str
        Its authors' name of the release.
    sha256 : str
        In hexadecimal digits.
    """

    url: str
    version: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Model:
    """One published model.

    No revision is pinned: which one was pulled is recorded beside the files.

    Parameters
    ----------
    id : str
        What people type.
    repository : str
        On the model hub, or of the release.
    denoiser_folder : str
        In the repository: holds the networks, but for a lighter VAE. Empty is the repository
        itself.
    vae_folder : str or None
        In the repository: a lighter VAE that is used in place of the other, where there is one.
    download_gb : float or None
        What inference needs, in 10^9 bytes as the hub states it; None where it was not seen.
    steps : int or None
        Calls of the denoiser that its authors recommend; None for a model without one.
    guidance : float or None
        None for a model that takes none.
    views : int or None
        Most pictures of one object; None for a model that takes meshes.
    kind : ModelKind
    unsupported : str or None
        Why it cannot be run yet; None when it can.
    needs : tuple of str
        Other models without which this one cannot be run.
    uses : tuple of str
        Other models that its authors use with it, and without which it runs all the same.
    release : Release or None
        Of a model that does not lie on the model hub.
    """

    id: str
    title: str
    repository: str
    family: Family
    licence: LicenceId
    denoiser_folder: str
    vae_folder: str | None
    download_gb: float | None
    steps: int | None
    guidance: float | None
    views: int | None = 1
    kind: ModelKind = ModelKind.SHAPE
    unsupported: str | None = None
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    release: Release | None = None


def _hunyuan(
    version: str,
    title: str,
    repository: str,
    folder: str,
    *,
    download_gb: float | None,
    steps: int = 50,
    vae_folder: str | None = None,
    views: int = 1,
) -> Model:
    is_first = version != "2.1"
    return Model(
        id=f"hunyuan3d-{version}",
        title=f"Hunyuan3D {title}",
        repository=repository,
        family=Family.FLUX if is_first else Family.PLAIN,
        licence=LicenceId.TENCENT_HUNYUAN_2 if is_first else LicenceId.TENCENT_HUNYUAN_21,
        denoiser_folder=f"hunyuan3d-dit-{folder}",
        vae_folder=vae_folder,
        download_gb=download_gb,
        steps=steps,
        guidance=5.0,
        views=views,
    )


def _of_parts(
    model_id: str,
    title: str,
    family: Family,
    folder: str,
    kind: ModelKind,
    *,
    download_gb: float,
    steps: int | None = None,
) -> Model:
    return Model(
        id=model_id,
        title=title,
        repository="tencent/Hunyuan3D-Part",
        family=family,
        licence=LicenceId.TENCENT_HUNYUAN_PART,
        denoiser_folder=folder,
        vae_folder=None,
        download_gb=download_gb,
        steps=steps,
        guidance=None,
        views=None,
        kind=kind,
    )


def _of_pictures(
    model_id: str,
    title: str,
    repository: str,
    family: Family,
    licence: LicenceId,
    *,
    folder: str = "",
    kind: ModelKind = ModelKind.COMPANION,
    download_gb: float | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    needs: tuple[str, ...] = (),
    uses: tuple[str, ...] = (),
    release: Release | None = None,
) -> Model:
    return Model(
        id=model_id,
        title=title,
        repository=repository,
        family=family,
        licence=licence,
        denoiser_folder=folder,
        vae_folder=None,
        download_gb=download_gb,
        steps=steps,
        guidance=guidance,
        views=None,
        kind=kind,
        needs=needs,
        uses=uses,
        release=release,
    )


_FIRST, _MINI, _VIEWS = "tencent/Hunyuan3D-2", "tencent/Hunyuan3D-2mini", "tencent/Hunyuan3D-2mv"

MODELS: tuple[Model, ...] = (
    _hunyuan("2.0", "2.0", _FIRST, "v2-0", download_gb=4.93),
    _hunyuan("2.0-fast", "2.0 fast", _FIRST, "v2-0-fast", download_gb=4.93),
    _hunyuan(
        "2.0-turbo",
        "2.0 turbo",
        _FIRST,
        "v2-0-turbo",
        download_gb=5.36,
        steps=5,
        vae_folder="hunyuan3d-vae-v2-0-turbo",
    ),
    _hunyuan("2mini", "2 mini", _MINI, "v2-mini", download_gb=3.82),
    _hunyuan("2mini-fast", "2 mini fast", _MINI, "v2-mini-fast", download_gb=3.82),
    _hunyuan(
        "2mini-turbo",
        "2 mini turbo",
        _MINI,
        "v2-mini-turbo",
        download_gb=4.25,
        steps=5,
        vae_folder="hunyuan3d-vae-v2-mini-turbo",
    ),
    _hunyuan("2mv", "2 multi-view", _VIEWS, "v2-mv", download_gb=None, views=4),
    _hunyuan("2mv-fast", "2 multi-view fast", _VIEWS, "v2-mv-fast", download_gb=None, views=4),
    _hunyuan(
        "2mv-turbo", "2 multi-view turbo", _VIEWS, "v2-mv-turbo", download_gb=None, steps=5, views=4
    ),
    _hunyuan("2.1", "2.1", "tencent/Hunyuan3D-2.1", "v2-1", download_gb=7.4),
    Model(
        id="triposg",
        title="TripoSG",
        repository="VAST-AI/TripoSG",
        family=Family.TRIPOSG,
        licence=LicenceId.MIT,
        denoiser_folder="",
        vae_folder=None,
        download_gb=None,
        steps=50,
        guidance=7.0,
        unsupported="The layout of its VAE is not known yet.",
    ),
    _of_parts("p3-sam", "P3-SAM", Family.P3SAM, "p3sam", ModelKind.SEGMENTATION, download_gb=0.45),
    _of_parts(
        "x-part", "X-Part", Family.XPART, "", ModelKind.COMPLETION, download_gb=9.04, steps=50
    ),
    _of_pictures(
        "hunyuan3d-paint-2.0",
        "Hunyuan3D-Paint 2.0",
        _FIRST,
        Family.PAINT,
        LicenceId.TENCENT_HUNYUAN_2_PAINT,
        folder="hunyuan3d-paint-v2-0",
        kind=ModelKind.TEXTURE,
        steps=30,
        guidance=2.0,
        uses=("hunyuan3d-delight-2.0",),
    ),
    _of_pictures(
        "hunyuan3d-paint-2.0-turbo",
        "Hunyuan3D-Paint 2.0 turbo",
        _FIRST,
        Family.PAINT_TURBO,
        LicenceId.TENCENT_HUNYUAN_2_PAINT,
        folder="hunyuan3d-paint-v2-0-turbo",
        kind=ModelKind.TEXTURE,
        steps=10,
        uses=("hunyuan3d-delight-2.0",),
    ),
    _of_pictures(
        "hunyuan3d-paint-2.1",
        "Hunyuan3D-Paint 2.1 PBR",
        "tencent/Hunyuan3D-2.1",
        Family.PAINT_PBR,
        LicenceId.TENCENT_HUNYUAN_21_PAINT,
        folder="hunyuan3d-paintpbr-v2-1",
        kind=ModelKind.TEXTURE,
        download_gb=4.25,
        steps=15,
        guidance=3.0,
        needs=("dinov2-giant",),
        uses=("realesrgan-x4plus",),
    ),
    _of_pictures(
        "hunyuan3d-delight-2.0",
        "Hunyuan3D-Delight 2.0",
        _FIRST,
        Family.DELIGHT,
        LicenceId.TENCENT_HUNYUAN_2_PAINT,
        folder="hunyuan3d-delight-v2-0",
        steps=50,
    ),
    _of_pictures(
        "dinov2-giant",
        "DINOv2 giant",
        "facebook/dinov2-giant",
        Family.DINOV2,
        LicenceId.APACHE_2,
    ),
    _of_pictures(
        "realesrgan-x4plus",
        "RealESRGAN x4plus",
        "xinntao/Real-ESRGAN",
        Family.REALESRGAN,
        LicenceId.BSD_3,
        download_gb=0.067,
        release=Release(
            "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth",
            "v0.1.0",
            67_040_989,
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
        ),
    ),
)
_BY_ID = {model.id: model for model in MODELS}


def model_of(model_id: str) -> Model:
    """Return a model by what people type.

    Raises
    ------
    UnknownModel
    """
    try:
        return _BY_ID[model_id]
    except KeyError:
        raise UnknownModel(
            f"There is no model {model_id!r}.", advice=f"There are {', '.join(_BY_ID)}."
        ) from None
