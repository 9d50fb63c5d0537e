"""The page of speech, and that of a speech job, without JavaScript."""

from __future__ import annotations

import io
import re

import pytest

from backend.catalog import SpeechTask
from backend.errors import EngineUnavailable
from backend.web.api import speech as speech_api
from backend.web.pages.speech_form import taken_by_task, taken_fields, task_choices
from backend.web.pages.speech_view import REST, _times
from tests.web.conftest import MadeFile
from tests.web.recordings import heard_here, wav_bytes  # noqa: F401

pytestmark = pytest.mark.usefixtures("heard_here")
WAV = wav_bytes()
TELLS = {"unavailable": None, "is_tiny": False, "transcribe_unavailable": None, "cache": None}
FOUND = {
    "task": "clone", "engine": "step_audio", "duration_s": 2.5, "rate_hz": 24000,
    "peaks": [0.1, 0.9, 0.4], "transcript": "Heard by <b>Whisper</b>.",
    "transcript_source": "model", "load_s": 4.0, "restore_s": 0.0, "compute_s": 2.25,
    "cache": {"hits": 1, "misses": 1, "saved_s": 1.5},
    "reference": {"duration_s": 1.0, "rate_hz": 8000, "peaks": [0.2, 0.2]},
}  # fmt: skip


@pytest.fixture
def say(monkeypatch):
    """Let the worker say something of speech."""

    def tell(**more):
        shelf = {"looked_at": "2026-11-22T00:00:00Z", "speech": {**TELLS, **more}}
        monkeypatch.setattr(speech_api, "read_shelf", lambda _: shelf)

    return tell


@pytest.fixture
def send(post):
    """Send the form with all its fields, as a browser without JavaScript does."""

    def sent(path="/submit-speech", **fields):
        every = dict.fromkeys(("text", "transcript", "style", "seed", "name"), "")
        every |= {"pipeline": "speech", "task": "clone", "passes": "1"}
        every |= {"file": (io.BytesIO(WAV), "voice.wav")}
        return post(path, **(every | fields))

    return sent


@pytest.fixture
def make(service, claim):
    """A speech job that a worker has done."""

    def made(facts=FOUND, sound=WAV, **params):
        given = {"text": "Hello <b>there</b>", "transcript": "What was said."} | params
        new = service.prepare("speech", given, "voice.wav")
        job_id = service.submit(new, {"reference.wav": WAV})[0].id
        job = claim()
        path = service.artefacts.work_dir(job.id, job.attempt) / "speech.wav"
        path.write_bytes(sound)
        file = MadeFile(path.name, "wav", "speech", path)
        outputs = service.artefacts.publish(job.id, job.attempt, [file])
        assert service.claims.finish(job, outputs, {"speech": facts})
        return job_id

    return made


def test_the_page_is_in_the_menu_and_offers_every_task_and_style(client):
    page = client.get("/speech").text
    assert re.search(r'<a href="/speech" aria-current="page">Speech</a>', page)
    for choice in task_choices():
        assert f'value="{choice.name}"' in page
        assert choice.title in page
        for style, _ in choice.styles:
            assert f'<option value="{style}"' in page
    assert "[Laughter]" in page


def test_what_is_missing_is_said_with_the_cure(client, say):
    page = client.get("/speech").text
    assert 'id="speech-unknown"' in page
    say(unavailable="no folder was named (--speech-path)")
    page = client.get("/speech").text
    assert "Why: no folder was named (--speech-path)." in page
    assert "--speech-path FOLDER" in page
    say()
    page = client.get("/speech").text
    assert 'id="speech-missing"' not in page
    assert 'id="speech-tiny"' not in page


def test_the_engine_for_trying_out_says_that_it_makes_noise(client, say):
    say(is_tiny=True)
    assert "the result is noise" in client.get("/speech/state").text


def test_figures_of_the_cache_are_shown(client, say):
    say(unavailable="no program for speech is set up (--speech-path)")
    nothing = client.get("/speech/latest").text
    assert 'id="no-cache"' in nothing
    assert "before a speech engine is set up" in nothing
    say(cache={"entries": 3, "size_mb": 1.26, "limit_mb": 64, "hits": 2, "misses": 3,
               "saved_s": 4.5})  # fmt: skip
    page = client.get("/speech/latest").text
    assert "3 stages" in page
    assert "1.3 MB" in page
    assert "4.5 s" in page


def test_the_panel_of_models_moves_by_itself_on_this_page(client):
    page = client.get("/speech").text
    assert 'hx-get="/speech/models" hx-target="#gpu-models-live"' in page
    assert 'id="models-title"' in client.get("/speech/models").text


def test_fields_of_other_tasks_are_left_out_of_a_form_without_javascript(service, send):
    answer = send(task="emotion", style="sad", text="Not for this", transcript="Oh.", passes="2")
    assert answer.status_code == 303, answer.text
    job = service.store.get(answer.location.rsplit("/", 1)[1])
    assert (job.params["text"], job.params["style"], job.params["passes"]) == ("", "sad", 2)
    assert job.name == "voice.wav"
    answer = send(task="denoise", style="sad", text="x")
    job = service.store.get(answer.location.rsplit("/", 1)[1])
    assert (job.params["style"], job.params["transcript"]) == ("", "")


def test_a_mistake_in_the_form_is_explained(send):
    answer = send(text="Hello", transcript="")
    assert answer.status_code == 422
    assert "transcript" in answer.text
    assert send(task="denoise", file=(io.BytesIO(b""), "")).status_code == 400
    assert send(task="dance").status_code == 422


def test_every_task_says_what_it_takes():
    assert taken_fields(SpeechTask.CLONE) == {"task", "seed", "text", "transcript"}
    assert taken_fields(SpeechTask.SPEED) == {"task", "seed", "style", "transcript", "passes"}
    assert taken_fields(SpeechTask.VAD) == {"task", "seed", "passes"}
    assert taken_by_task({"task": "vad", "name": "a", "text": "b"}) == {"task": "vad", "name": "a"}
    assert all(choice.title and choice.help for choice in task_choices())


# ------------------------------------------------------------------ the job


def test_both_sounds_have_a_player_and_a_waveform(client, make):
    job_id = make()
    page = client.get(f"/jobs/{job_id}").text
    files = f"/api/v1/jobs/{job_id}/files"
    assert re.search(rf'<audio [^>]*src="{files}/speech.wav\?inline=1&amp;v=\w+"', page)
    assert f'src="{files}/reference.wav?inline=1"' in page
    assert page.count('<svg class="waveform"') == 2
    assert "M1.5 0.0V100.0" in page
    assert "2.5 s, 24 000 Hz" in page.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert 'id="viewer"' not in page


def test_words_times_and_the_cache_are_told_and_escaped(client, make):
    page = client.get(f"/jobs/{make()}").text
    assert "Heard by &lt;b&gt;Whisper&lt;/b&gt;." in page
    assert "as a model wrote it down" in page
    assert "Hello &lt;b&gt;there&lt;/b&gt;" in page
    assert "<dt>Load the model</dt>" in page
    assert "2.25 s" in page
    assert "Bring it back" not in page, "it took no time"
    assert "1 stage, 1.50 s saved" in page


@pytest.mark.parametrize(("spoken_s", "rest"), [(9.0, ["2.75"]), (6.25, []), (None, [])])
def test_the_times_of_a_job_sum_up_to_its_stage(spoken_s, rest):
    stages = [{"name": "speech_synthesis", "elapsed_s": spoken_s}]
    times = dict(_times({"stages": stages}, FOUND))
    assert times["Compute"] == 2.25
    assert [f"{times[name]:.2f}" for name in times if name == REST] == rest


def test_a_transcript_that_no_model_wrote_is_not_told_as_work(client, make):
    def stage_time(source):
        job_id = make(facts=FOUND | {"transcript_source": source})
        page = client.get(f"/jobs/{job_id}").text
        row = page[page.index('id="stage-transcription"') :]
        return re.search(r'"stage-time">([^<]*)<', row)[1]

    assert stage_time("given") == "given"
    assert stage_time("none") == "not needed"
    assert stage_time("model") not in ("given", "not needed")


def test_a_job_tells_where_it_is_and_why_it_failed(client, service, claim):
    new = service.prepare("speech", {"task": "denoise"}, "voice.wav")
    job_id = service.submit(new, {"reference.wav": WAV})[0].id
    page = client.get(f"/jobs/{job_id}").text
    assert "It can be heard here" in page
    assert "Read the recording" in page
    assert "Your recording" in page
    service.claims.fail(claim(), EngineUnavailable("No folder.", advice="Name one."))
    page = client.get(f"/jobs/{job_id}").text
    assert "Nothing was made of the recording." in page
    assert "No folder." in page
    assert 'The page <a href="/speech">Speech</a>' in page
    assert f'href="/speech?from={job_id}"' in page


def test_a_recording_that_was_removed_gets_no_broken_player(client, service, make):
    job_id = make()
    service.artefacts.input_path(job_id, "reference.wav").unlink()
    page = client.get(f"/jobs/{job_id}").text
    assert "reference.wav" not in page
    assert "what is sent is kept for a time" in page


def test_a_job_is_asked_for_again_with_its_recording_or_its_result(client, service, make, send):
    first = make()
    page = client.get(f"/speech?from={first}").text
    assert "Uses the recording of “voice.wav”" in page
    assert ">What was said.</textarea>" in page
    assert "Hello &lt;b&gt;there&lt;/b&gt;</textarea>" in page
    page = client.get(f"/speech?from={first}&use=result").text
    assert ">Hello &lt;b&gt;there&lt;/b&gt;</textarea>" in page, "that is what the result says"
    none = (io.BytesIO(b""), "")
    answer = send(task="denoise", source_job=first, use="result", file=none)
    assert answer.status_code == 303, answer.text
    second = service.store.get(answer.location.rsplit("/", 1)[1])
    assert second.inputs == ("reference.wav",)
    assert service.artefacts.input_path(second.id, "reference.wav").read_bytes() == WAV
    assert client.get("/speech?from=nobody").status_code == 404
    assert client.get(f"/speech?from={first}&use=all").status_code == 422
    empty = service.submit(service.prepare("speech", {"task": "vad"}, "b"), {"reference.wav": WAV})
    assert client.get(f"/speech?from={empty[0].id}&use=result").status_code == 410


def test_a_result_that_cannot_be_a_recording_is_refused_before_a_job_is_stored(make, send):
    for sound, word in ((wav_bytes(0.1), "at least"), (wav_bytes(31.0), "30")):
        job_id = make(sound=sound)
        answer = send(task="denoise", source_job=job_id, use="result", file=(io.BytesIO(), ""))
        assert answer.status_code == 422
        assert word in answer.text


def test_lists_show_a_waveform_instead_of_a_broken_picture(client, make, service):
    make()
    service.submit(service.prepare("speech", {"task": "vad"}, "other"), {"reference.wav": WAV})
    for path in ("/gallery", "/fragments/activity", "/speech/latest"):
        page = client.get(path).text
        assert page.count('<svg class="waveform"') == 1, path
        assert "<img src=" not in page.partition("<main")[2], path


def test_a_worker_that_says_nothing_of_speech_is_not_taken_for_one_that_can(client, monkeypatch):
    monkeypatch.setattr(speech_api, "read_shelf", lambda _: {"models": []})
    assert client.get("/api/v1/speech").json["available"] is None
