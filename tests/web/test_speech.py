"""Sending recordings, and what is told of speech."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import wave

import pytest

from backend.errors import AudioCorrupt, AudioTooLong, QueueFull
from backend.jobs.access.viewer import work_for
from backend.jobs.model_shelf import write_shelf
from backend.settings import Settings
from backend.web import audio_child
from backend.web.api.openapi import document
from backend.web.audio_child import hear_in_child
from tests.web.conftest import MadeFile
from tests.web.keyed import Caller, logged_in
from tests.web.meshes import post_form, post_page
from tests.web.recordings import heard_here, wav_bytes  # noqa: F401
from tests.web.test_part_picks import problem

pytestmark = pytest.mark.usefixtures("heard_here")
WAV = wav_bytes()
SAID = {"transcript": "What was said."}


def part(data: bytes = WAV, name: str = "voice.wav") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def fields(**more):
    given = {"text": "Hello there.", **SAID, "file": part()}
    return {"pipeline": "speech", "task": "clone", **given, **more}


def uri(data: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(data).decode()


def stored(server, job_id, name="reference.wav") -> bytes:
    return server.service.artefacts.input_path(job_id, name).read_bytes()


def finished(server, sound: bytes = WAV, **more) -> str:
    """A job that a worker has done."""
    job_id = post_form(server, fields(**more)).json["id"]
    server.finish(server.claim(), {"speech.wav": sound})
    return job_id


# ------------------------------------------------------------------ submit


def test_a_recording_and_words_become_a_job(server):
    answer = post_form(server, fields(seed="5"))
    assert answer.status_code == 202, answer.text
    job = answer.json
    assert (job["pipeline"], job["name"], job["params"]["seed"]) == ("speech", "voice.wav", 5)
    assert job["params"]["text"] == "Hello there."
    assert job["stages"][0]["name"] == "audio_loading"
    assert server.service.store.get(job["id"]).inputs == ("reference.wav",)


def test_what_is_kept_is_mono_and_ours_not_what_was_sent(server):
    sent = wav_bytes(channels=2) + b"LIST\x10\x00\x00\x00INFOsecretsecret"
    job_id = post_form(server, fields(file=part(sent))).json["id"]
    kept = stored(server, job_id)
    assert b"secret" not in kept
    with wave.open(io.BytesIO(kept)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
    assert list((server.service.settings.data_dir / "incoming").iterdir()) == []


def test_json_takes_the_same(server):
    body = {"pipeline": "speech", "audio": uri(WAV), "params": {"task": "denoise"}}
    answer = server.client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json["name"] == "recording"
    assert stored(server, answer.json["id"])[:4] == b"RIFF"


@pytest.mark.parametrize(("more", "pointer"), [
    ({"text": ""}, "/text"),
    ({"task": "denoise"}, "/text"),
    ({"task": "emotion", "text": "", "style": "greenish"}, "/style"),
    ({"task": "paralinguistic", "text": "Oh [Giggle] well"}, "/text"),
    ({"passes": "2"}, "/passes"),
    ({"passes": "9"}, "/params/passes"),
    ({"task": "sing"}, "/params/task"),
    ({"tempo": "9"}, "/params/tempo"),
])  # fmt: skip
def test_what_does_not_go_together_is_told_before_anything_is_stored(
    server, monkeypatch, more, pointer
):
    monkeypatch.setattr(audio_child, "_run", lambda *_: pytest.fail("it was read"))
    answer = post_form(server, fields(**more))
    assert problem(answer) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"].removeprefix("/params") in (
        pointer, pointer.removeprefix("/params")
    )  # fmt: skip
    assert server.count() == 0


def test_what_is_said_must_be_known_unless_a_model_writes_it_down(server, make_server, tmp_path):
    assert problem(post_form(server, fields(transcript=""))) == (422, "transcript-missing")
    able = make_server(auto_transcribe=True, data_dir=tmp_path / "able")
    assert post_form(able, fields(transcript="")).status_code == 202


@pytest.mark.parametrize(("data", "expected"), [
    (b"", (400, "empty-file")),
    (b"hello, I am no sound", (415, "unsupported-audio")),
    (WAV[:60], (422, "audio-corrupt")),
    (wav_bytes(0.1), (422, "audio-unusable")),
    (wav_bytes(31.0), (422, "audio-too-long")),
])  # fmt: skip
def test_bad_recordings_are_told_apart(server, data, expected):
    answer = post_form(server, fields(file=part(data)))
    status, code = problem(answer)
    assert code in (expected[1], "audio-unusable") if data == WAV[:60] else code == expected[1]
    assert status == answer.json["status"]
    assert answer.json["advice"]
    assert server.count() == 0


def test_a_recording_is_needed_and_nothing_else_is_taken(server):
    without = fields()
    del without["file"]
    assert problem(post_form(server, without)) == (400, "missing-file")
    for more in ({"image": part(b"x", "a.png")}, {"mask": part(b"x", "a.png")}):
        assert problem(post_form(server, fields(**more))) == (422, "invalid-parameter")
    body = {"pipeline": "image_to_3d", "audio": uri(WAV), "image": uri(b"x")}
    answer = server.client.post("/api/v1/jobs", json=body)
    assert answer.json["errors"][0]["pointer"] == "/audio"
    batch = {"pipeline": "speech", "items": [{"image": uri(b"x")}]}
    answer = server.client.post("/api/v1/batches", json=batch)
    assert "recording" in answer.json["detail"]


def test_the_limit_is_that_of_recordings_not_of_pictures(make_server):
    server = make_server(max_upload_mb=1, max_audio_mb=2, max_mesh_mb=1)
    long = wav_bytes(8.0, 96_000)
    assert 1 << 20 < len(long) < 2 << 20
    assert post_form(server, fields(file=part(long))).status_code == 202
    assert post_page(server, fields(file=part(long)), "/submit-speech").status_code == 303
    larger = wav_bytes(12.0, 96_000)
    assert problem(post_form(server, fields(file=part(larger))))[1] == "audio-too-long"


def test_the_same_key_makes_one_job(server):
    key = {"Idempotency-Key": "one"}
    first = post_form(server, fields(), key)
    again = post_form(server, fields(), key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json["id"] == first.json["id"]
    other = post_form(server, fields(file=part(wav_bytes(2.0))), key)
    assert problem(other) == (422, "idempotency-key-reused")


def test_jobs_belong_to_who_sent_them(make_server):
    server = make_server(require_key=True)
    ann, ben = Caller(server, "ann"), Caller(server, "ben")
    work_for(ann.key)
    new = server.service.prepare("speech", {"task": "denoise"}, "voice.wav")
    job_id = server.service.submit(new, {"reference.wav": WAV})[0].id
    work_for(None)
    address = f"/api/v1/jobs/{job_id}/files/reference.wav"
    assert ann.get(address).data == WAV
    assert ben.get(address).status_code == 404
    browser, token = logged_in(server, ben.secret)
    assert browser.get(f"/speech?from={job_id}").status_code == 404
    sent = {"csrf_token": token, "task": "denoise", "source_job": job_id}
    assert browser.post("/submit-speech", data=sent).status_code == 404
    assert browser.post("/submit-speech", data={"task": "denoise"}).status_code == 403


# ------------------------------------------------------------------ afterwards


def test_results_are_played_and_sought_in(server):
    job_id = finished(server)
    address = f"/api/v1/jobs/{job_id}/files/speech.wav"

    def got(path: str, **headers: str):
        return server.client.get(path, headers=headers, buffered=True)

    answer = got(f"{address}?inline=1")
    assert (answer.mimetype, answer.data) == ("audio/wav", WAV)
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["Accept-Ranges"] == "bytes"
    answer = got(f"{address}?inline=1", Range="bytes=4-7")
    assert (answer.status_code, answer.data) == (206, WAV[4:8])
    assert "voice-speech.wav" in got(address).headers["Content-Disposition"]
    assert got(f"/api/v1/jobs/{job_id}/files/reference.wav").mimetype == "audio/wav"


def test_a_job_is_run_again_with_other_settings_by_the_same_rules(server):
    job_id = finished(server)
    again = server.client.post(f"/api/v1/jobs/{job_id}/retry", json={"params": {"text": "Bye."}})
    assert again.status_code == 202
    assert stored(server, again.json["id"]) == stored(server, job_id)
    wrong = server.client.post(f"/api/v1/jobs/{job_id}/retry", json={"params": {"text": ""}})
    assert problem(wrong) == (422, "invalid-parameter")


def test_a_waiting_job_is_canceled(server):
    job_id = post_form(server, fields()).json["id"]
    assert server.client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    assert server.client.get(f"/api/v1/jobs/{job_id}").json["status"] == "canceled"


def test_a_shared_result_has_a_player(make_server):
    server = make_server(share_links=True)
    job_id = finished(server)
    url = server.client.post(f"/api/v1/jobs/{job_id}/share", json={}).json["url"]
    assert 'id="share"' in server.client.get(f"/jobs/{job_id}").text
    path = url[url.index("/s/") :]
    page = server.client.get(path).text
    assert "<audio controls" in page
    assert f"{path}/speech.wav" in page
    assert "share.js" not in page, "there is nothing to turn around"
    assert "A program made this" in page
    assert server.client.get(f"{path}/speech.wav", buffered=True).mimetype == "audio/wav"
    assert server.client.get(f"{path}/reference.wav").status_code == 404


def test_a_shared_result_of_networks_for_trying_out_says_so(make_server):
    server = make_server(share_links=True)
    job_id = post_form(server, fields()).json["id"]
    [job] = server.service.claims.claim("gpu", "test:1:1")
    made = server.service.artefacts.work_dir(job.id, job.attempt) / "speech.wav"
    made.write_bytes(WAV)
    files = [MadeFile("speech.wav", "wav", "speech", made)]
    outputs = server.service.artefacts.publish(job.id, job.attempt, files)
    assert server.service.claims.finish(job, outputs, {"speech": {"notice": "This is <noise>."}})
    url = server.client.post(f"/api/v1/jobs/{job_id}/share", json={}).json["url"]
    assert "This is &lt;noise&gt;." in server.client.get(url[url.index("/s/") :]).text


# ------------------------------------------------------------------ what is told


def test_the_choices_are_told_without_a_worker(server):
    told = server.client.get("/api/v1/speech").json
    assert set(told) == set(document()["components"]["schemas"]["Speech"]["properties"])
    tasks = {task["name"]: task for task in told["tasks"]}
    assert "happy" in tasks["emotion"]["styles"]
    assert not tasks["denoise"]["needs_transcript"]
    assert (told["available"], told["cache"]) == (None, None)
    assert "No worker" in told["unavailable"]
    assert told["limits"] == {"audio_mb": 32, "audio_s": 30.0, "letters": 2000}


def test_what_the_worker_says_is_passed_on(live_server):
    cache = {"entries": 2, "size_mb": 0.5, "limit_mb": 64, "hits": 3, "misses": 2, "saved_s": 1.5}
    said = {
        "unavailable": None, "is_tiny": True, "auto_transcribe": False,
        "transcribe_unavailable": "off", "cache": cache,
    }  # fmt: skip
    shelf = {"models": [], "reason_unavailable": None, "texture_unavailable": None,
             "parts_unavailable": {}, "looked_at": "2026-11-22T00:00:00Z"}  # fmt: skip
    write_shelf(live_server.service.looks.client, shelf | {"speech": said})
    told = live_server.client.get("/api/v1/speech").json
    assert (told["available"], told["is_tiny"], told["cache"]) == (True, True, cache)
    write_shelf(live_server.service.looks.client, shelf)
    assert live_server.client.get("/api/v1/speech").json["available"] is None


# ------------------------------------------------------------------ the child


def hear(data: bytes):
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(data)
        source.flush()
        facts = hear_in_child(source, target, Settings())
        target.seek(0)
        return facts, target.read()


def test_the_real_child_reads_and_refuses(monkeypatch):
    monkeypatch.undo()
    facts, kept = hear(WAV)
    assert (facts["duration_s"], facts["format"]) == (1.0, "wav")
    assert kept[:4] == b"RIFF"


@pytest.mark.parametrize(("answer", "kind"), [
    ((b"", -9, b""), AudioTooLong),
    ((b"", -24, b""), AudioTooLong),
    ((b"", -11, b""), AudioCorrupt),
    ((b"", 1, b"MemoryError"), AudioTooLong),
    ((b"{", 0, b""), AudioCorrupt),
    ((json.dumps({"problem": {"code": "no-such"}}).encode(), 1, b""), AudioCorrupt),
])  # fmt: skip
def test_a_child_that_ends_badly_is_a_bad_recording(monkeypatch, answer, kind):
    monkeypatch.setattr(audio_child, "_run", lambda *_: answer)
    with pytest.raises(kind):
        hear(WAV)


def test_only_a_few_recordings_are_read_at_a_time(monkeypatch):
    class Full:
        def acquire(self, timeout: float) -> bool:
            return timeout < 0

    monkeypatch.setattr(audio_child, "_room", Full())
    with pytest.raises(QueueFull):
        hear(WAV)
