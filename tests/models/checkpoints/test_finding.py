from __future__ import annotations

import os

import pytest

from backend.errors import WeightsMissing
from backend.models.checkpoints.catalogue import MODELS, ModelKind, model_of
from backend.models.checkpoints.finding import find_model, pickles_of, require_model
from backend.models.checkpoints.places import Origin, Places
from backend.settings import Settings

FIRST = model_of("hunyuan3d-2.0")
TURBO = model_of("hunyuan3d-2.0-turbo")


def _put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def _put_cached(cache, model, names=("config.yaml", "model.fp16.safetensors")):
    """Lay files out as the hub's library keeps them: links by commit to files by content."""
    repository = cache / ("models--" + model.repository.replace("/", "--"))
    snapshot = repository / "snapshots" / ("a" * 40)
    folder = snapshot / model.denoiser_folder
    blob = _put(repository / "blobs", "b") / "b"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(os.path.relpath(blob, (folder / name).parent))
    _put(repository / "refs").joinpath("main").write_text("a" * 40)
    return folder


def test_nothing_there(places):
    assert [find_model(model, places) for model in MODELS] == [None] * len(MODELS)
    with pytest.raises(WeightsMissing) as failure:
        require_model(FIRST, places)
    assert str(places.authors_folder) in failure.value.detail
    assert "models pull hunyuan3d-2.0" in failure.value.advice


def test_the_four_places_in_their_order(places):
    files = ("config.yaml", "model.fp16.safetensors")
    own = _put(places.own_folder / FIRST.id / FIRST.denoiser_folder, *files)
    found = find_model(FIRST, places)
    assert (found.origin, found.folder, found.is_complete) == (Origin.OWN_FOLDER, own, True)
    cached = _put_cached(places.hub_cache, FIRST)
    found = find_model(FIRST, places)
    assert (found.origin, found.folder) == (Origin.HUB_CACHE, cached)
    authors = _put(places.authors_folder / FIRST.repository / FIRST.denoiser_folder, *files)
    found = find_model(FIRST, places)
    assert (found.origin, found.folder) == (Origin.AUTHORS_FOLDER, authors)
    named = _put(places.model_path / FIRST.denoiser_folder, *files)
    found = find_model(FIRST, places)
    assert (found.origin, found.folder) == (Origin.MODEL_PATH, named)


@pytest.mark.parametrize(
    "inside", ["tencent/Hunyuan3D-2/hunyuan3d-dit-v2-0", "Hunyuan3D-2/hunyuan3d-dit-v2-0",
               "hunyuan3d-dit-v2-0", "hunyuan3d-2.0"],
)  # fmt: skip
def test_a_model_path_may_hold_a_model_in_several_ways(places, inside):
    folder = _put(places.model_path / inside, "config.yaml", "model.ckpt")
    assert find_model(FIRST, places).folder == folder


def test_a_model_path_may_be_the_folder_itself(tmp_path):
    folder = _put(tmp_path / FIRST.denoiser_folder, "config.yaml", "model.ckpt")
    settings = Settings(data_dir=tmp_path, model_path=str(folder))
    places = Places.of(settings, {"HY3DGEN_MODELS": str(tmp_path / "none")})
    assert find_model(FIRST, places).folder == folder
    assert find_model(TURBO, places) is None


def test_what_is_missing_is_named(places):
    folder = _put(places.model_path / FIRST.denoiser_folder, "config.yaml")
    found = find_model(FIRST, places)
    assert not found.is_complete
    (missing,) = found.missing
    assert missing.startswith("model.fp16.safetensors or ")
    with pytest.raises(WeightsMissing, match=r"is not complete.*lacks model\.fp16\.safetensors"):
        require_model(FIRST, places)
    assert str(folder) in str(found.folder)


def test_a_whole_model_is_preferred_to_a_part_in_a_better_place(places):
    _put(places.model_path / FIRST.denoiser_folder, "config.yaml")
    whole = _put(places.own_folder / FIRST.id / FIRST.denoiser_folder, "config.yaml", "model.ckpt")
    assert find_model(FIRST, places).folder == whole


def test_the_lighter_vae_is_found_beside_the_denoiser(places):
    _put(places.model_path / TURBO.denoiser_folder, "config.yaml", "model.ckpt")
    assert find_model(TURBO, places).vae_folder is None
    vae = _put(places.model_path / TURBO.vae_folder, "config.yaml")
    assert find_model(TURBO, places).vae_folder is None
    _put(vae, "model.fp16.safetensors")
    assert find_model(TURBO, places).vae_folder == vae


def test_triposg_has_a_folder_for_each_network(places):
    model = model_of("triposg")
    folder = _put(
        places.model_path / "TripoSG",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
    )
    found = find_model(model, places)
    assert found.folder == folder
    assert "vae/config.json" in found.missing
    assert len(found.missing) == 4


X_PART = ("conditioner/conditioner.safetensors", "model/model.safetensors",
          "shapevae/shapevae.safetensors")  # fmt: skip


def test_models_for_parts_in_every_place(places):
    finder, maker = model_of("p3-sam"), model_of("x-part")
    own = _put(places.own_folder / "x-part", *X_PART)
    assert find_model(maker, places).folder == own
    cached = _put_cached(places.hub_cache, maker, X_PART)
    found = find_model(maker, places)
    assert (found.origin, found.folder) == (Origin.HUB_CACHE, cached)
    assert find_model(finder, places) is None
    _put_cached(places.hub_cache, finder, ("p3sam.safetensors",))
    assert find_model(finder, places).folder == cached / "p3sam"
    _put(places.authors_folder / maker.repository, *X_PART[:2])
    assert find_model(maker, places).origin is Origin.HUB_CACHE, "a part is no model"
    named = _put(places.model_path / "p3sam", "p3sam.safetensors")
    assert find_model(finder, places).folder == named
    assert pickles_of(find_model(finder, places)) == ()


def test_pickles_that_were_or_would_be_loaded(places):
    folder = _put(places.model_path / FIRST.denoiser_folder, "config.yaml", "model.fp16.ckpt")
    assert pickles_of(find_model(FIRST, places)) == (folder / "model.fp16.ckpt",)
    _put(folder, "model.safetensors")
    assert pickles_of(find_model(FIRST, places)) == ()


def test_every_model_has_an_id_and_a_folder_of_its_own():
    assert len({model.id for model in MODELS}) == len(MODELS)
    assert len({(model.repository, model.denoiser_folder) for model in MODELS}) == len(MODELS)
    turbos = [model for model in MODELS if model.id.endswith("turbo")]
    assert {model.steps for model in turbos if model.kind is ModelKind.SHAPE} == {5}
    assert {model.views for model in MODELS if "mv" in model.id} == {4}
