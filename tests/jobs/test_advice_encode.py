from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from backend.jobs.encode_probe import NAME, EncodeProbe, writing_share
from backend.jobs.encode_timing import (
    LIMIT_S,
    Picture,
    Text,
    read_payloads,
    time_levels,
)
from backend.jobs.measurements import TABLE, MeasuredOn, Measurements
from backend.pipelines.pipeline import OutputFile
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import NS, Span, SpanKind
from tests.profiling.made_runs import made_profile

SHAPE_KEY = "image_to_3d:standard"
ABOUT = MeasuredOn(NAME, "image_to_3d", SHAPE_KEY)


class Slow:
    """Takes a time per unit that goes with the level, on a scripted clock."""

    def __init__(self, clock, size=1600, log=None):
        self.clock, self.size, self.log = clock, size, [] if log is None else log

    def piece(self, every, first):
        return Slow(self.clock, self.size // every, self.log)

    def encode(self, level):
        self.log.append((level, self.size))
        self.clock.forward(seconds=self.size * level * 1e-4)
        return 10 * self.size // level


def never():
    return False


def test_times_of_a_part_are_scaled_to_the_whole(clock):
    """At level 9 the whole takes 1.44 s: only a part is compressed, and that within a second."""
    begun = clock.moment
    times = time_levels([Slow(clock)], [1, 9], clock, never)
    assert times.sampled < 0.2
    assert times.seconds[1] == pytest.approx([0.16] * 3, rel=0.05)
    assert times.seconds[9] == pytest.approx([1.44] * 3, rel=0.05)
    assert times.size_bytes[1] == pytest.approx(16_000, rel=0.05)
    assert (clock.moment - begun).total_seconds() < LIMIT_S


def test_small_files_are_compressed_whole_and_levels_take_turns(clock):
    log = []
    times = time_levels([Slow(clock, 160, log)], [1, 4], clock, never)
    assert times.sampled == 1.0
    rounds = log[1:]  # after the pilot
    assert rounds == [(1, 160), (4, 160)] * 3


def test_a_waiting_job_ends_it_before_the_next_step(clock):
    log = []
    stops = iter([False, False, True, False])
    assert time_levels([Slow(clock, 160, log)], [1, 6], clock, lambda: next(stops)) is None
    assert len(log) == 2
    assert list(stops) == [False]


def test_it_gives_up_after_a_second(clock):
    slow = Slow(clock)
    grown = type("Grown", (Slow,), {"piece": lambda self, every, first: self})(clock)
    assert time_levels([slow, grown], [1, 9], clock, never) is None
    assert time_levels([], [1], clock, never) is None


def noise(size, mode="RGB"):
    depth = len(mode)
    values = np.random.default_rng(0).integers(0, 40, (size, size, depth), dtype=np.uint8)
    return Image.fromarray(values)


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_pieces_cover_the_whole_once():
    text = Text(bytes(range(256)) * 2000)
    assert sum(text.piece(3, first).size for first in range(3)) == text.size
    assert text.piece(1, 0) == text
    picture = Picture(noise(100), archived=False)
    parts = [picture.piece(3, first) for first in range(3)]
    assert sum(part.size for part in parts) == 100
    assert parts[1].image.crop((0, 0, 100, 16)).tobytes() == (
        picture.image.crop((0, 16, 100, 32)).tobytes()
    )
    assert Picture(noise(10), archived=False).piece(16, 7).size == 10


def write_files(folder):
    text = "".join(f"v {n * 0.1:.4f} {n % 97} 0\n" for n in range(20_000)).encode()
    with zipfile.ZipFile(folder / "model_obj.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.obj", text)
        archive.writestr("texture.png", png(noise(64)))
    (folder / "thumbnail.png").write_bytes(png(noise(32, "RGBA")))
    return text


def test_the_archive_is_unpacked_to_what_was_compressed(tmp_path):
    text = write_files(tmp_path)
    found = read_payloads(tmp_path / "model_obj.zip", [tmp_path / "thumbnail.png"])
    assert [type(payload) for payload in found] == [Text, Picture, Picture]
    assert found[0].data == text
    assert [payload.archived for payload in found[1:]] == [True, False]
    assert found[0].encode(9) < found[0].encode(1) < len(text)


def profile_of(writing_s, total_s=10.0, started_at=None):
    """A run whose export writes an archive for so long."""
    made = made_profile({"shape": total_s - 4.0, "mesh_export": 4.0}, started_at=started_at)
    start = made.spans[-1].start_ns
    made.spans += [
        Span(3, 2, "write_obj", SpanKind.IO, 7, start, start + round(writing_s * NS)),
        Span(4, 2, "write_glb", SpanKind.IO, 7, start, start + 3 * NS),
        Span(5, 1, "write_obj", SpanKind.IO, 7, start, start + 3 * NS),
    ]
    return made


@pytest.fixture
def finished(service):
    """End a job with files and a run in which they took so long to write."""

    def make(writing_s=2.0, status=RunStatus.OK):
        new = service.prepare("image_to_3d", {"preset": "draft"}, "doll.png")
        service.submit(new, {"image.png": b"x"})
        [job] = service.claims.claim("gpu", "test:1:1", max_n=1)
        folder = service.artefacts.work_dir(job.id, job.attempt)
        write_files(folder)
        made = [
            OutputFile("model_obj.zip", "obj", "model_obj", folder / "model_obj.zip"),
            OutputFile("thumbnail.png", "png", "thumbnail", folder / "thumbnail.png"),
        ]
        outputs = service.artefacts.publish(job.id, job.attempt, made)
        service.claims.finish(job, outputs, {})
        service.run_history.record(
            profile_of(writing_s, started_at=service.clock.now()), job_id=job.id,
            pipeline="image_to_3d", engine={"shape": "inflate"},
            settings={"export_compression": 9}, shape_key=SHAPE_KEY, batch_size=1, status=status,
        )  # fmt: skip
        return job

    return make


@pytest.fixture
def measurements(service):
    return Measurements(service.store.engine, service.clock)


def test_after_a_job_its_own_files_are_measured_at_every_level(service, finished, measurements):
    probe = EncodeProbe(service, "gpu")
    times = probe.after(finished())
    assert sorted(times.seconds) == [1, 3, 6, 9]
    assert times.size_bytes[9] < times.size_bytes[1]
    stored = measurements.newest(ABOUT)
    assert stored.n == 3
    assert [row["level"] for row in stored.document["levels"]] == [1, 3, 6, 9]


def test_the_share_is_that_of_the_writers_inside_the_export(service, finished):
    finished(2.0)
    newest = service.run_history.run(service.run_history.newest())
    assert writing_share(newest) == pytest.approx(0.2)


def test_it_is_not_measured_again_within_a_day(service, clock, finished):
    probe = EncodeProbe(service, "gpu")
    assert probe.after(finished()) is not None
    assert probe.after(finished()) is None
    assert EncodeProbe(service, "gpu").after(finished()) is None
    clock.forward(hours=25)
    assert probe.after(finished()) is not None


def test_a_level_that_was_not_measured_is_measured_at_once(service, finished, measurements):
    EncodeProbe(service, "gpu").after(finished())
    service.tuning.set("export_compression", 7)
    times = EncodeProbe(service, "gpu").after(finished())
    assert sorted(times.seconds) == [1, 3, 6, 7, 9]


def test_there_is_no_need_where_little_time_goes_into_files(service, finished):
    assert EncodeProbe(service, "gpu").after(finished(0.9)) is None
    assert EncodeProbe(service, "gpu").after(finished(1.1)) is not None


def test_a_job_that_failed_or_left_no_record_is_not_measured(service, finished):
    assert EncodeProbe(service, "gpu").after(finished(status=RunStatus.FAILED)) is None
    older = finished()
    finished()
    assert EncodeProbe(service, "gpu").after(older) is None


def test_a_waiting_job_comes_first(service, finished, measurements):
    job = finished()
    new = service.prepare("image_to_3d", {"preset": "draft"}, "next.png")
    service.submit(new, {"image.png": b"x"})
    assert EncodeProbe(service, "gpu").after(job) is None
    assert measurements.newest(ABOUT) is None
    assert EncodeProbe(service, "cpu").after(job) is not None  # it waits for another worker


def test_what_takes_too_long_is_left_alone_for_a_minute(service, clock, finished, monkeypatch):
    tried = []

    def too_long(*_):
        tried.append(clock.moment)

    monkeypatch.setattr("backend.jobs.encode_probe.time_levels", too_long)
    probe = EncodeProbe(service, "gpu")
    for _ in range(3):
        assert probe.after(finished()) is None
    assert len(tried) == 1
    clock.forward(seconds=61)
    probe.after(finished())
    assert len(tried) == 2


def test_broken_files_end_the_measurement_and_not_the_worker(service, finished, caplog):
    job = finished()
    service.artefacts.output_path(job.id, job.attempt, "model_obj.zip").write_bytes(b"no archive")
    assert EncodeProbe(service, "gpu").after(job) is None
    assert "not measured" in caplog.text


def test_the_table_suits_postgresql_too():
    dialect = postgresql.dialect()
    assert "measured_at" in str(CreateTable(TABLE).compile(dialect=dialect))
    assert "device IS NULL" in str(ABOUT.condition().compile(dialect=dialect))


def test_the_newest_measurement_of_each_kind_is_kept(measurements, clock):
    other = MeasuredOn(NAME, "image_to_3d", SHAPE_KEY, device="a card")
    assert (measurements.newest(ABOUT), measurements.last_change(NAME)) == (None, None)
    measurements.keep(ABOUT, {"v": 1}, 3)
    first = measurements.last_change(NAME)
    measurements.keep(other, {"v": 2}, 3)
    measurements.keep(ABOUT, {"v": 3}, 5)
    assert measurements.last_change(NAME) > first
    measurements.keep(MeasuredOn("another", "p", "k"), {}, 1)
    assert measurements.last_change("another") > measurements.last_change(NAME)
    found = measurements.newest(ABOUT)
    assert (found.document, found.n) == ({"v": 3}, 5)
    assert clock.now() - found.measured_at < timedelta(seconds=1)
    assert measurements.newest(other).document == {"v": 2}
    assert measurements.newest(MeasuredOn(NAME, "cut_out", SHAPE_KEY)) is None
