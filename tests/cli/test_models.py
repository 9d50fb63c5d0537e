from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from backend import errors
from backend.cli.main import main
from tests.models.checkpoints.tiny_checkpoints import (
    TinyFamily,
    write_tiny_checkpoint,
    write_tiny_repository,
)


@pytest.fixture
def models(tmp_path, monkeypatch, capsys):
    """Run ``models`` where nothing is; returns the status and what was printed."""
    monkeypatch.setenv("MESHKILN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HY3DGEN_MODELS", str(tmp_path / "authors"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MESHKILN_MODEL_PATH", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["models", *words])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def _listed(models, model_id, *words):
    status, shown, _ = models("list", "--json", *words)
    assert status == 0
    return next(row for row in json.loads(shown)["models"] if row["id"] == model_id)


def test_a_bare_machine_lists_every_model_as_not_here(models):
    status, shown, _ = models("list")
    assert status == 0
    assert shown.count("not here") == 18
    assert "hunyuan3d-2mini-turbo" in shown
    words = [shown.index(word) for word in ("hunyuan3d-2.1", "Parts of a mesh", "p3-sam",
                                            "Parts made whole", "x-part", "Textures",
                                            "hunyuan3d-paint-2.1", "dinov2-giant")]  # fmt: skip
    assert words == sorted(words)
    row = _listed(models, "hunyuan3d-2mv")
    assert row["folder"] is row["size_bytes"] is row["revision"] is row["download_gb"] is None
    assert (row["complete"], row["usable"], row["views"]) == (False, False, 4)


def test_what_is_there_is_listed_with_its_folder_and_what_it_lacks(models, tmp_path):
    folder = write_tiny_repository(tmp_path / "mine")
    row = _listed(models, "hunyuan3d-2.0", "--model-path", str(tmp_path / "mine"))
    assert (row["complete"], row["usable"], row["folder"]) == (True, False, str(folder))
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert row["size_bytes"] == sum(sizes)
    (folder / "config.yaml").unlink()
    _, shown, _ = models("list", "--model-path", str(tmp_path / "mine"))
    assert "incomplete" in shown
    assert f"model path, {folder}, lacks config.yaml or config.json" in shown


def test_a_licence_is_shown_and_accepted_once(models):
    status, _, error = models("accept", "hunyuan3d-2.1")
    assert status == 1
    assert "European Union" in error
    assert "--accept-licence" in error
    assert _listed(models, "hunyuan3d-2.1")["accepted"] is False
    status, shown, _ = models("accept", "hunyuan3d-2.1", "--accept-licence")
    assert (status, "Accepted" in shown) == (0, True)
    row = _listed(models, "hunyuan3d-2.1")
    assert row["accepted"] is True
    assert row["accepted_at"].endswith("Z")
    assert models("accept", "hunyuan3d-2.1")[0] == 0
    assert _listed(models, "hunyuan3d-2.0")["accepted"] is False


@pytest.mark.parametrize(("answer", "accepted"), [("yes\n", True), ("no\n", False), ("", False)])
def test_a_person_is_asked(models, monkeypatch, answer, accepted):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert models("accept", "hunyuan3d-2.0")[0] == (0 if accepted else 1)
    assert _listed(models, "hunyuan3d-2.0")["accepted"] is accepted


def test_nothing_is_pulled_before_the_licence_is_accepted(models, monkeypatch):
    monkeypatch.setattr("backend.models.checkpoints.pulling.pull", None)
    status, _, error = models("pull", "hunyuan3d-2.0")
    assert status == 1
    assert "has not been accepted" in error


def test_what_is_here_is_not_pulled_again(models, monkeypatch, tmp_path):
    monkeypatch.setattr("backend.models.checkpoints.pulling.pull", None)
    write_tiny_repository(tmp_path / "mine", weights="model.fp16.ckpt")
    status, shown, said = models(
        "pull", "hunyuan3d-2.0", "--accept-licence", "--json", "--model-path",
        str(tmp_path / "mine"),
    )  # fmt: skip
    assert status == 0
    assert "is here already" in said
    assert "models convert hunyuan3d-2.0" in said
    assert json.loads(shown)["usable"] is True


def test_a_model_of_parts_is_pulled_without_the_others(models, monkeypatch, tmp_path):
    from backend.models.checkpoints import hub
    from tests.models.checkpoints.local_hub import local_hub
    from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_p3sam, write_tiny_xpart

    write_tiny_p3sam(tmp_path / "made")
    root = write_tiny_xpart(tmp_path / "made")
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    files |= {"LICENSE": b"text", "config.json": b"{}", "model/other.bin": b"x" * 10}
    with local_hub("tencent/Hunyuan3D-Part", files) as running:
        real = hub.HuggingFaceHub
        monkeypatch.setattr(hub, "HuggingFaceHub", lambda **how: real(running.endpoint, **how))
        status, shown, said = models("pull", "p3-sam", "--accept-licence", "--json")
        assert status == 0, said
        assert "CC-BY-NC 4.0" in said
        row = json.loads(shown)
        assert (row["usable"], row["kind"], row["steps"]) == (True, "segmentation", None)
        got = {name for name, _ in running.sent}
        assert got == {"LICENSE", "p3sam/config.json", "p3sam/p3sam.safetensors"}
        assert models("verify", "p3-sam")[0] == 0
        running.sent.clear()
        status, shown, said = models("pull", "x-part", "--json")
        assert status == 0, said
        assert {name for name, _ in running.sent} == files.keys() - {
            "model/other.bin", "p3sam/config.json", "p3sam/p3sam.safetensors"
        }  # fmt: skip
    row = json.loads(shown)
    assert (row["usable"], row["kind"]) == (True, "completion")
    sizes = [len(files[name]) for name in files if not name.startswith(("p3sam", "LIC"))]
    assert row["size_bytes"] == sum(sizes) - 10
    status, shown, _ = models("verify", "x-part", "--json")
    assert (status, json.loads(shown)["notes"]) == (0, [])


def test_what_belongs_to_a_model_comes_with_it(models, monkeypatch, tmp_path):
    from backend.models.checkpoints import catalogue, hub
    from tests.models.checkpoints.local_hub import COMMIT, local_hub
    from tests.models.tiny_paint_checkpoints import write_tiny_paint, write_tiny_realesrgan

    folder = write_tiny_paint(tmp_path / "made")
    upscaler = write_tiny_realesrgan(tmp_path / "made")
    encoder = tmp_path / "made" / "dinov2-giant"
    painting = {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*.*")
    }
    painting[f"{folder.name}/unet/modules.py"] = b"raise SystemExit"
    others = {path.name: path.read_bytes() for path in (*encoder.iterdir(), upscaler)}
    with (
        local_hub("tencent/Hunyuan3D-2.1", painting) as first,
        local_hub("facebook/dinov2-giant", others) as second,
    ):
        monkeypatch.setitem(
            catalogue._BY_ID, "realesrgan-x4plus", _released(second.endpoint, COMMIT, upscaler)
        )
        running = {"tencent": first, "facebook": second}
        real = hub.HuggingFaceHub

        class BothHubs:
            def __init__(self, **how):
                self.how = how

            def listing(self, repository):
                return self._of(repository).listing(repository)

            def download(self, listing, paths, folder):
                self._of(listing.repository).download(listing, paths, folder)

            def _of(self, repository):
                return real(running[repository.partition("/")[0]].endpoint, **self.how)

        monkeypatch.setattr(hub, "HuggingFaceHub", BothHubs)
        asked = ("pull", "hunyuan3d-paint-2.1", "--accept-licence", "--json")
        status, shown, said = models(*asked, "--needed-only")
        assert status == 0, said
        assert json.loads(shown)["usable"] is True
        assert upscaler.name not in {name for name, _ in second.sent}
        assert "Open RAIL++-M" in said
        assert "Apache License 2.0, as its authors state" in said
        assert models(*asked)[0] == 0
    assert f"{folder.name}/unet/modules.py" not in {name for name, _ in first.sent}
    for name in ("hunyuan3d-paint-2.1", "dinov2-giant", "realesrgan-x4plus"):
        assert models("verify", name)[0] == 0
        assert _listed(models, name)["usable"] is True


def _released(endpoint, commit, path):
    from dataclasses import replace

    from backend.models.checkpoints.catalogue import Release, model_of
    from backend.models.checkpoints.pull_record import sha256_of

    url = f"{endpoint}/any/resolve/{commit}/{path.name}"
    release = Release(url, "v0.1.0", path.stat().st_size, sha256_of(path))
    return replace(model_of("realesrgan-x4plus"), release=release)


def test_a_model_that_cannot_be_run_without_another_says_so(models, tmp_path):
    from tests.models.tiny_paint_checkpoints import write_tiny_paint

    folder = write_tiny_paint(tmp_path / "mine", has_companions=False)
    where = ("--model-path", str(tmp_path / "mine"))
    models("accept", "hunyuan3d-paint-2.1", "--accept-licence")
    row = _listed(models, "hunyuan3d-paint-2.1", *where)
    assert (row["complete"], row["usable"], row["lacking"]) == (True, False, ["dinov2-giant"])
    _, shown, _ = models("list", *where)
    assert "lacks the model dinov2-giant" in shown
    status, shown, _ = models("verify", str(folder))
    assert (status, "cannot be run without dinov2-giant" in shown) == (0, True)


def test_the_pickles_of_a_model_that_paints_are_converted(models, tmp_path):
    from tests.models.tiny_paint_checkpoints import write_tiny_paint

    folder = write_tiny_paint(tmp_path / "mine", has_companions=False)
    status, shown, _ = models("convert", str(folder), "--json")
    assert status == 0
    targets = {row["target"] for row in json.loads(shown)["files"]}
    name = "diffusion_pytorch_model.converted.safetensors"
    assert targets == {str(folder / part / name) for part in ("unet", "vae")}


def test_what_was_taken_for_granted_is_told(models, tmp_path):
    from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_p3sam

    folder = write_tiny_p3sam(
        tmp_path / "mine", change_config=lambda config: config["params"].pop("hidden")
    )
    status, shown, _ = models("verify", str(folder))
    assert status == 1
    assert "p3sam/config.json does not tell hidden; the published values were taken." in shown


def test_a_pulled_model_is_ready(models, monkeypatch, tmp_path):
    from backend.models.checkpoints import hub
    from tests.models.checkpoints.local_hub import COMMIT, local_hub

    weights = write_tiny_checkpoint(tmp_path / "made")
    files = {
        f"hunyuan3d-dit-v2-0/{path.name}": path.read_bytes() for path in weights.parent.iterdir()
    }
    with local_hub("tencent/Hunyuan3D-2", files) as running:
        real = hub.HuggingFaceHub
        monkeypatch.setattr(hub, "HuggingFaceHub", lambda **how: real(running.endpoint, **how))
        status, shown, said = models("pull", "hunyuan3d-2.0", "--accept-licence", "--json")
    assert status == 0
    assert COMMIT in said
    row = json.loads(shown)
    assert (row["usable"], row["origin"], row["revision"]) == (True, "data folder", COMMIT)
    status, shown, _ = models("verify", "hunyuan3d-2.0", "--json")
    assert status == 0
    assert {check["state"] for check in json.loads(shown)["files"]} == {"same"}


@pytest.mark.parametrize("action", ["pull", "accept"])
def test_a_model_that_is_not_supported_yet_is_refused_with_the_reason(models, action):
    status, _, error = models(action, "triposg")
    assert status == 1
    assert "cannot be run yet" in error
    assert "layout of its VAE" in error
    assert "triposg: The layout of its VAE" in models("list")[1]
    row = _listed(models, "triposg")
    assert row["usable"] is False
    assert row["unsupported"].startswith("The layout")


@pytest.mark.parametrize("family", TinyFamily)
def test_a_good_folder_is_verified_by_its_path(models, tmp_path, family):
    write_tiny_checkpoint(tmp_path / "any", family)
    status, shown, _ = models("verify", str(tmp_path / "any"))
    assert status == 0
    assert "Everything is as it should be" in shown
    assert "No record of a pull" in shown


def test_a_bad_folder_ends_with_status_1_and_names_the_tensor(models, tmp_path):
    write_tiny_checkpoint(
        tmp_path / "any", change_state=lambda state: state.pop("model.latent_in.bias")
    )
    status, shown, _ = models("verify", str(tmp_path / "any"))
    assert status == 1
    assert "model.latent_in.bias: missing, shape (32,)" in shown
    status, shown, _ = models("verify", str(tmp_path / "any"), "--json")
    assert status == 1
    report = json.loads(shown)
    assert report["good"] is False
    assert report["findings"] == [
        {
            "component": "model",
            "tensor": "model.latent_in.bias",
            "defect": "missing",
            "detail": "shape (32,)",
        }
    ]
    assert report["files"] is None


def test_a_folder_that_holds_no_model_says_why(models, tmp_path):
    status, _, error = models("verify", str(tmp_path))
    assert (status, "lacks config.yaml" in error) == (1, True)

    def other(config):
        config["vae"]["target"] = "hy3dgen.shapegen.models.OtherVAE"

    write_tiny_checkpoint(tmp_path / "any", change_config=other)
    status, _, error = models("verify", str(tmp_path / "any"))
    assert (status, "OtherVAE" in error) == (1, True)


def test_a_folder_without_weights_says_which_files_would_do(models, tmp_path):
    write_tiny_checkpoint(tmp_path / "any").unlink()
    status, _, error = models("verify", str(tmp_path / "any"))
    assert status == 1
    assert "lacks model.fp16.safetensors or model.safetensors or" in error


def test_pickles_are_converted_and_used_from_then_on(models, tmp_path):
    folder = tmp_path / "any"
    write_tiny_checkpoint(folder, TinyFamily.PLAIN, weights="model.fp16.ckpt")
    status, shown, _ = models("convert", str(folder), "--json")
    assert status == 0
    (row,) = json.loads(shown)["files"]
    assert row["new"] is True
    assert row["target"] == str(folder / "model.fp16.safetensors")
    assert "was there already" in models("convert", str(folder))[1]
    (folder / "model.fp16.ckpt").unlink()
    assert models("verify", str(folder))[0] == 0
    assert "nothing to convert" in models("convert", str(folder))[1]


@pytest.mark.parametrize("action", ["verify", "convert", "pull", "accept"])
def test_an_unknown_model_is_told_which_there_are(models, action):
    status, _, error = models(action, "hunyuan3d-9")
    assert status == 1
    assert "hunyuan3d-2mini-turbo" in error


@pytest.mark.parametrize("action", ["verify", "convert"])
def test_a_model_that_is_not_here(models, action):
    status, _, error = models(action, "hunyuan3d-2.0")
    assert status == 1
    assert "models pull hunyuan3d-2.0" in error


def test_the_documents_tell_of_every_model_command_and_error():
    from backend.models.checkpoints.catalogue import MODELS

    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for model in MODELS:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{model.id}` |"))
        steps = f" {model.steps or 'none'} "
        for part in (model.denoiser_folder, model.vae_folder or "", steps):
            assert part in row
        assert (f"{model.download_gb} GB" if model.download_gb else "not known") in row
    for action in ("list", "pull", "verify", "convert", "accept"):
        assert f"backend models {action}" in text
    for error in (
        errors.WeightsMissing, errors.WeightsDamaged, errors.WeightsUnsafe, errors.TensorMissing,
        errors.TensorUnexpected, errors.TensorMisshapen, errors.CheckpointConfigInvalid,
        errors.UnknownTarget, errors.LicenceNotAccepted, errors.HubUnreachable,
        errors.PackageMissing, errors.StorageFull,
    ):  # fmt: skip
        assert f"`{error.code}`" in text
