from __future__ import annotations

import threading

import pytest

from backend.errors import HostedEngineFailed
from examples import speak_lines
from tests.audio.sounds import recording, tone
from tests.served_batches import served


@pytest.fixture
def voice(tmp_path, monkeypatch):
    monkeypatch.setattr(speak_lines, "POLL_S", 0.02)
    path = tmp_path / "voice.wav"
    path.write_bytes(recording(tone()))
    return path


@pytest.fixture
def spoken(tmp_path):
    """A server, and hands that say every line but those about cats."""
    stop, texts = threading.Event(), []

    def work(server):
        claims = server.service.claims
        while not stop.wait(0.01):
            for job in claims.claim("gpu", "test:1:1"):
                texts.append((job.params["text"], job.params["transcript"], job.params["seed"]))
                if "dog" in job.params["text"]:
                    claims.mark_canceled(job)
                elif "cat" in job.params["text"]:
                    claims.fail(job, HostedEngineFailed("It returned silence."))
                else:
                    server.finish(job, {"speech.wav": job.params["text"].encode()})

    with served(tmp_path) as (url, server, _):
        thread = threading.Thread(target=work, args=(server,))
        thread.start()
        yield url, texts
        stop.set()
        thread.join()


def test_lines_are_spoken_once_and_what_fails_is_named(voice, spoken, tmp_path, capsys):
    url, texts = spoken
    lines, out = tmp_path / "lines.txt", tmp_path / "out"
    lines.write_text("Good morning.\n\nMy cat.\nGood night.\n")
    command = [str(voice), "Hello.", str(lines), str(out), "--server", url, "--seed", "7"]
    assert speak_lines.main(command) == 1
    assert (out / "001.wav").read_bytes() == b"Good morning."
    assert not (out / "002.wav").exists()
    assert (out / "003.wav").read_bytes() == b"Good night."
    assert "002.wav is missing. The hosted engine reported an error" in capsys.readouterr().err
    said = [("Good morning.", "Hello.", 7), ("My cat.", "Hello.", 7), ("Good night.", "Hello.", 7)]
    assert texts == said
    lines.write_text("Good morning.\n")
    assert speak_lines.main(command) == 0
    assert len(texts) == 3


def test_what_the_server_refuses_is_told(voice, spoken, tmp_path, capsys):
    url, _ = spoken
    lines = tmp_path / "lines.txt"
    lines.write_text("Good morning.\n")
    arguments = [str(voice), "", str(lines), str(tmp_path / "out"), "--server", url]
    assert speak_lines.main(arguments) == 1
    assert "transcript" in capsys.readouterr().err


def test_lines_whose_job_was_canceled_and_servers_that_are_not_there_are_told(
    voice, spoken, tmp_path, capsys
):
    url, _ = spoken
    lines, out = tmp_path / "lines.txt", tmp_path / "out"
    lines.write_text("My dog.\n")
    for server, words in ((url, "it is canceled"), ("http://127.0.0.1:1", "refused")):
        assert speak_lines.main([str(voice), "Hello.", str(lines), str(out), "--server", server])
        assert words in capsys.readouterr().err
    assert not list(out.iterdir())
