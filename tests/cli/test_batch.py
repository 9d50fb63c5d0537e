from __future__ import annotations

import doctest
import json

import pytest
import trimesh

from backend.cli import batch_progress, batch_remote
from backend.cli.batch_ledger import FILE_NAME, Ledger, Outcome, Picture, find_pictures
from backend.cli.main import main
from tests.conftest import draw_figure, png_bytes
from tests.served_batches import served


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "toys"
    (made / "more").mkdir(parents=True)
    for name, size in (("doll.png", 64), ("more/doll.png", 72)):
        (made / name).write_bytes(png_bytes(draw_figure(size)))
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(batch_remote, "POLL_S", 0.05)
    monkeypatch.setattr(batch_remote, "COME_BACK_S", 0.1)


def ledger_of(out):
    return json.loads((out / FILE_NAME).read_text())


def picture(name, size_bytes=10):
    return Picture(name, name, name, size_bytes)


def run(folder, out, *more):
    return main(["batch", str(folder), "-o", str(out), "--preset", "draft", *more])


def test_here_each_picture_becomes_a_model_and_a_bad_one_stops_none(folder, tmp_path, capsys):
    (folder / "bad.png").write_text("hello")
    out = tmp_path / "out"
    assert run(folder, out) == 1
    shown = capsys.readouterr().err
    assert "2 of 3 pictures are models" in shown
    assert "bad.png" in shown
    assert trimesh.load(out / "doll" / "model.stl", process=True).is_watertight
    assert (out / "more_doll" / "model.glb").stat().st_size > 1000
    made_at = (out / "doll" / "model.glb").stat().st_mtime_ns
    (folder / "bad.png").unlink()
    assert run(folder, out) == 0
    assert "2 of 2 were done before" in capsys.readouterr().err
    assert (out / "doll" / "model.glb").stat().st_mtime_ns == made_at


def test_on_a_server_results_are_fetched_and_failures_told(folder, tmp_path, capsys):
    (folder / "bad.png").write_text("hello")
    (folder / "failing.png").write_bytes((folder / "doll.png").read_bytes())
    out = tmp_path / "out"
    with served(tmp_path) as (url, server, hands):
        hands.start()
        assert run(folder, out, "--server", url) == 1
        shown = capsys.readouterr().err
        assert "2 of 4 pictures are models" in shown
        assert "Too much for this machine." in shown
        assert "not PNG, JPEG or WebP" in shown
        assert (out / "more_doll" / "model.glb").read_bytes() == b"model of doll.png"
        assert sorted(hands.done) == ["doll.png", "doll.png", "failing.png"]
        batch = server.service.batches.page().items[0]
        assert (batch.name, batch.counts.total, batch.params) == ("toys", 4, {"preset": "draft"})
        assert ledger_of(out)["sent"] == {}
        (folder / "bad.png").unlink()
        assert run(folder, out, "--server", url) == 1
        assert len(hands.done) == 4, "what failed is tried again, what succeeded is not"


def test_stopped_it_goes_on_with_what_was_sent(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    looks = []

    def interrupt(self, *_):
        looks.append(1)
        raise KeyboardInterrupt

    with served(tmp_path) as (url, server, hands):
        with monkeypatch.context() as patch:
            patch.setattr(batch_remote._Errand, "_look", interrupt)
            assert run(folder, out, "--server", url) == 130
        assert "goes on from here" in capsys.readouterr().err
        assert len(ledger_of(out)["sent"]) == 1
        hands.start()
        assert run(folder, out, "--server", url) == 0
        assert len(server.service.batches.page().items) == 1, "nothing was sent twice"
        assert len(hands.done) == 2


def test_an_answer_that_was_lost_makes_no_second_batch(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with served(tmp_path) as (url, server, hands):
        with monkeypatch.context() as patch:
            real = batch_remote.BatchServer.send

            def lost(self, *what):
                real(self, *what)
                raise KeyboardInterrupt

            patch.setattr(batch_remote.BatchServer, "send", lost)
            assert run(folder, out, "--server", url) == 130
        assert ledger_of(out)["sent"] == {}
        hands.start()
        assert run(folder, out, "--server", url) == 0
        assert len(server.service.batches.page().items) == 1


def test_a_full_queue_is_waited_for(folder, tmp_path):
    out = tmp_path / "out"
    for number in range(5):
        (folder / f"n{number}.png").write_bytes((folder / "doll.png").read_bytes())
    with served(tmp_path, max_queued_jobs=2) as (url, _, hands):
        hands.start()
        assert run(folder, out, "--server", url) == 0
        assert len(hands.done) == 7
        assert len(list(out.glob("*/model.glb"))) == 7


def test_a_folder_without_one_good_picture_is_told_picture_by_picture(tmp_path, capsys):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.png").write_text("hello")
    with served(tmp_path) as (url, *_):
        assert run(folder, tmp_path / "out", "--server", url) == 1
    assert "not PNG, JPEG or WebP" in capsys.readouterr().err
    assert ledger_of(tmp_path / "out")["pictures"]["a.png"]["tries"] == 1


def test_a_result_that_arrives_damaged_is_no_result(folder, tmp_path, capsys):
    out = tmp_path / "out"
    with served(tmp_path) as (url, server, hands):
        real = server.finish

        def spoil(job, files):
            real(job, files)
            path = server.service.artefacts.output_path(job.id, job.attempt, "model.glb")
            path.write_bytes(b"other")

        server.finish = spoil
        hands.start()
        assert run(folder, out, "--server", url) == 1
    assert "did not arrive as it was sent" in capsys.readouterr().err
    assert list(out.glob("*/*")) == []


def test_who_does_not_answer_is_named(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(batch_remote, "RECONNECTS", 2)
    assert run(folder, tmp_path / "out", "--server", "http://127.0.0.1:9") == 1
    assert "does not answer" in capsys.readouterr().err


def test_wrong_parameters_are_told_before_anything_is_made(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", "-p", "glaze=5") == 1
    assert "glaze" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pictures_of_a_folder(folder, tmp_path):
    (folder / ".hidden").mkdir()
    for name in (".hidden/a.png", "notes.txt", "B.JPG", "out/doll/thumbnail.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    found = find_pictures(folder, folder / "out", {})
    assert [picture.name for picture in found] == ["B.JPG", "doll.png", "more/doll.png"]
    again = {p.name: p.fingerprint for p in find_pictures(folder, folder / "out", {"seed": 1})}
    assert all(picture.fingerprint != again[picture.name] for picture in found)


def test_no_folder_and_no_picture(tmp_path, capsys):
    assert run(tmp_path / "none", tmp_path / "out") == 1
    assert run(tmp_path, tmp_path / "out") == 1
    shown = capsys.readouterr().err
    assert "is no folder" in shown
    assert "holds no picture" in shown


def test_what_changed_or_is_gone_is_made_anew(tmp_path):
    ledger = Ledger(tmp_path)
    names = ["a.png", "b.png", "A.jpg"]
    assert len(ledger.add([picture(name) for name in names])) == 3
    folders = {entry.folder for entry in ledger.entries.values()}
    assert folders == {"a", "b", "A~2"}
    for name in names:
        (ledger.folder(name) / "model.glb").write_bytes(b"x")
        ledger.succeed(name, ["model.glb"])
    again = Ledger(tmp_path)
    assert again.add([picture(name) for name in names]) == []
    (tmp_path / "b" / "model.glb").unlink()
    other = Picture("a.png", "a.png", "changed", 10)
    assert [p.name for p in again.add([other, picture("b.png"), picture("A.jpg")])] == [
        "a.png", "b.png",
    ]  # fmt: skip
    assert again.entries["a.png"].outcome is Outcome.OPEN
    assert again.entries["a.png"].folder == "a"


def test_a_ledger_that_cannot_be_read_is_told(folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for text in ("{", "[]", '{"sent": {}, "pictures": {"a": {"x": 1}}}'):
        (out / FILE_NAME).write_text(text)
        assert run(folder, out) == 1
        assert "cannot be read" in capsys.readouterr().err


def test_the_key_is_another_one_for_another_try(tmp_path):
    ledger = Ledger(tmp_path)
    pictures = [picture("a.png"), picture("b.png")]
    ledger.add(pictures)
    first = ledger.key(pictures)
    assert Ledger(tmp_path).key(pictures) == first
    assert ledger.key(pictures[:1]) != first
    ledger.fail("a.png", "no")
    assert ledger.key(pictures) != first


def test_requests_stay_small():
    many = [picture(f"{i}.png") for i in range(250)]
    assert len(batch_remote.first_chunk(many)) == 100
    large = [picture(f"{i}.png", 30_000_000) for i in range(5)]
    assert len(batch_remote.first_chunk(large)) == 2
    assert len(batch_remote.first_chunk([picture("huge.png", 10**9)])) == 1


def test_the_examples_hold():
    outcome = doctest.testmod(batch_progress)
    assert outcome.attempted
    assert not outcome.failed
