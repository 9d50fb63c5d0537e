from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from examples import submit_batch
from tests.served_batches import served

REPO = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, small_picture):
    made = tmp_path / "toys"
    made.mkdir()
    for name in ("chair.png", "table.png"):
        (made / name).write_bytes(small_picture)
    (made / "notes.txt").write_text("left out")
    return made


@pytest.fixture
def small_picture():
    from tests.conftest import draw_figure, png_bytes

    return png_bytes(draw_figure(64))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(submit_batch, "POLL_S", 0.05)


def test_a_folder_is_sent_followed_and_fetched(folder, tmp_path, capsys):
    out = tmp_path / "out"
    with served(tmp_path) as (url, server, hands):
        hands.start()
        assert submit_batch.main([str(folder), str(out), "--server", url, "--preset", "draft"]) == 0
        batch = server.service.batches.page().items[0]
    assert (batch.name, batch.params) == ("toys", {"preset": "draft"})
    assert (out / "chair.png" / "model.glb").read_bytes() == b"model of chair.png"
    manifest = json.loads((out / "manifest.json").read_text())
    assert [item["status"] for item in manifest["items"]] == ["succeeded", "succeeded"]
    shown = capsys.readouterr().out
    assert "finished: 2 of 2 done" in shown
    assert "2 of 2 are in" in shown


def test_what_has_no_model_is_named(folder, tmp_path, small_picture, capsys):
    (folder / "failing.png").write_bytes(small_picture)
    (folder / "bad.png").write_text("hello")
    with served(tmp_path) as (url, _, hands):
        hands.start()
        assert submit_batch.main([str(folder), str(tmp_path / "out"), "--server", url]) == 1
    told = capsys.readouterr().err
    assert "failing.png: Too much for this machine." in told
    assert "bad.png: The content is not PNG, JPEG or WebP." in told


def test_sent_again_it_is_the_same_batch(folder, tmp_path):
    with served(tmp_path) as (url, *_):
        client = submit_batch.Meshkiln(url)
        pictures = sorted(folder.glob("*.png"))
        first = client.submit(pictures, params={"preset": "draft"})
        again = client.submit(pictures, params={"preset": "draft"})
        other = client.submit(pictures, params={"preset": "high"})
        assert first["id"] == again["id"] != other["id"]


def test_waiting_tells_each_change(folder, tmp_path):
    with served(tmp_path) as (url, _, hands):
        client = submit_batch.Meshkiln(url)
        batch = client.submit(sorted(folder.glob("*.png")))
        threading.Timer(0.3, hands.start).start()
        seen = []
        done = client.wait(batch["id"], on_change=lambda b: seen.append(b["counts"]["succeeded"]))
        assert (seen[0], seen[-1]) == (0, 2)
        assert done["status"] == "finished"
        assert [result["status"] for result in client.results(batch["id"])] == ["succeeded"] * 2


def test_a_refusal_ends_with_what_to_do(folder, tmp_path):
    with served(tmp_path) as (url, *_):
        client = submit_batch.Meshkiln(url)
        with pytest.raises(SystemExit, match="preset"):
            client.submit(sorted(folder.glob("*.png")), params={"preset": "best"})


def test_it_explains_itself():
    command = [sys.executable, "examples/submit_batch.py", "--help"]
    shown = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert "--preset" in shown
