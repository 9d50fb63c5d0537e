from __future__ import annotations

import struct

import numpy as np
import pytest

from backend.audio.audio_format import AudioFormat
from backend.audio.audio_limits import AudioLimits
from backend.audio.recording import read_recording
from backend.audio.sound_facts import peaks, sound_facts
from backend.audio.wav_file import read_wav, write_wav
from backend.errors import (
    AudioCorrupt,
    AudioTooLong,
    AudioUnusable,
    EmptyFile,
    UnsupportedAudio,
)
from tests.audio.sounds import RATE_HZ, recording, tone

LOSSLESS = [
    ("WAV", "PCM_U8", 0.01),
    ("WAV", "PCM_16", 1e-4),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 1e-7),
    ("WAV", "DOUBLE", 1e-7),
    ("WAVEX", "PCM_16", 1e-4),
    ("FLAC", "PCM_16", 1e-4),
]


@pytest.mark.parametrize(("kind", "subtype", "error"), LOSSLESS)
def test_what_keeps_every_sample_is_read_sample_by_sample(kind, subtype, error):
    found = read_recording(recording(tone(), kind, subtype))
    assert found.rate_hz == RATE_HZ
    assert found.samples.dtype == np.float32
    assert found.format is (AudioFormat.FLAC if kind == "FLAC" else AudioFormat.WAV)
    assert np.abs(found.samples - tone()).max() < error


@pytest.mark.parametrize(
    ("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
)
def test_what_loses_some_is_as_long_and_as_loud(kind, subtype):
    found = read_recording(recording(tone(2.0), kind, subtype))
    assert found.format == kind.lower()
    assert found.duration_s == pytest.approx(2.0, abs=0.01)
    assert sound_facts(found.samples, found.rate_hz)["loudness_dbfs"] == pytest.approx(-11, abs=0.7)


def test_channels_are_mixed():
    stereo = np.stack([tone(), np.zeros(RATE_HZ, np.float32)], axis=1)
    found = read_recording(recording(stereo, subtype="FLOAT"))
    assert found.channels == 2
    assert np.allclose(found.samples, tone() / 2, atol=1e-6)


def test_channels_that_cancel_each_other_out_are_not_mixed_to_silence():
    found = read_recording(recording(np.stack([tone(), -tone()], axis=1), subtype="FLOAT"))
    assert np.allclose(found.samples, tone(), atol=1e-6)


def test_what_is_louder_than_full_scale_is_lowered_and_clipping_is_told():
    found = read_recording(recording(tone(level=4.0), subtype="FLOAT"))
    assert np.abs(found.samples).max() == pytest.approx(1.0)
    assert found.clipped_share > 0.5
    assert read_recording(recording(tone())).clipped_share == 0.0


def with_number(value):
    samples = tone()
    samples[100] = value
    return recording(samples, subtype="FLOAT")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (recording(np.zeros(RATE_HZ, np.float32)), "nothing to be heard"),
        (recording(np.full(RATE_HZ, 0.5, np.float32)), "nothing to be heard"),
        (recording(tone(0.4)), "0.40 seconds"),
        (with_number(np.nan), "no numbers"),
        (with_number(np.inf), "no numbers"),
        (recording(tone(rate_hz=2000), rate_hz=2000), "2,000 samples per second"),
        (recording(np.stack([tone()] * 9, axis=1)), "9 channels"),
    ],
    ids=["silent", "constant", "short", "nan", "infinite", "slow", "channels"],
)
def test_what_cannot_be_spoken_after_is_refused_in_words(data, words):
    with pytest.raises(AudioUnusable, match=words):
        read_recording(data)


def wav_header(*, channels=1, rate_hz=RATE_HZ, bits=16, before=b"", says=32_000):
    """A second of sound under a header that says what it likes."""
    kind = struct.pack("<HHIIHH", 1, channels, rate_hz, 2 * rate_hz % 2**32, 2, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + kind + before
    chunks += b"data" + struct.pack("<I", says) + recording(tone())[44:]
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


LYING = {
    "no channels": wav_header(channels=0),
    "1000 channels": wav_header(channels=1000),
    "no rate": wav_header(rate_hz=0),
    "rate of 1": wav_header(rate_hz=1),
    "rate of 4e9": wav_header(rate_hz=2**32 - 1),
    "no bits": wav_header(bits=0),
    "chunk of 4 GB": wav_header(before=b"junk" + b"\xff" * 4),
    "file in a file": b"RIFF" + struct.pack("<I", 40) + b"WAVE" + wav_header()[:36],
    "tag beyond the file": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + recording(tone(), "MP3"),
    "minutes in a few kB": recording(np.zeros(192_000 * 60, np.int16), "FLAC", rate_hz=192_000),
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING)
def test_row_46_headers_that_lie_are_refused(data):
    with pytest.raises((AudioCorrupt, AudioUnusable, AudioTooLong)):
        read_recording(data)


def test_row_46_sizes_beyond_the_file_are_not_believed():
    assert read_recording(wav_header(says=2**32 - 1)).duration_s == 1.0


def test_what_is_too_long_is_refused_with_its_length():
    with pytest.raises(AudioTooLong, match=r"31\.0 seconds; at most 30"):
        read_recording(recording(tone(31.0)))
    assert read_recording(recording(tone(30.0))).duration_s == 30.0


def test_what_is_too_large_is_refused_before_it_is_read():
    with pytest.raises(AudioTooLong, match="at most 1,000"):
        read_recording(recording(tone()), AudioLimits(most_bytes=1000))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1aE\xdf\xa3" + bytes(40), "WebM"),
        (b"\0\0\0\x20ftypM4A " + bytes(40), "MP4"),
        (b"\x89PNG" + bytes(40), "picture"),
        (b"hello, this is text", "cannot read|not a recording"),
    ],
)
def test_other_files_are_named(data, words):
    with pytest.raises(UnsupportedAudio, match=words):
        read_recording(data)
    with pytest.raises(EmptyFile):
        read_recording(b"")


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")],
)
def test_an_upload_that_was_cut_off_is_refused(kind, subtype):
    data = recording(tone(2.0), kind, subtype)
    with pytest.raises((AudioCorrupt, AudioUnusable)):
        read_recording(data[: len(data) // 2])


def test_a_wav_that_was_written_to_a_pipe_is_read():
    data = bytearray(recording(tone()))
    data[4:8] = b"\xff\xff\xff\xff"
    assert read_recording(bytes(data)).duration_s == 1.0


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_noise_behind_a_good_beginning_is_an_error_of_ours_or_a_sound(kind):
    data = recording(tone(), kind)
    for cut in (12, 40, 80, len(data) // 2):
        try:
            found = read_recording(data[:cut] + np.random.default_rng(cut).bytes(3000))
        except (AudioCorrupt, AudioUnusable, AudioTooLong, UnsupportedAudio):
            continue
        assert np.isfinite(found.samples).all()


def test_a_sound_that_is_written_and_read_is_the_same(tmp_path):
    path = tmp_path / "tone.wav"
    write_wav(tone(), RATE_HZ, path)
    found = read_wav(path)
    assert np.abs(found.samples - tone()).max() < 1e-4
    assert path.stat().st_size == 44 + 2 * RATE_HZ


@pytest.mark.parametrize("samples", [tone(0.01), np.zeros(RATE_HZ, np.float32)])
def test_what_the_server_wrote_is_read_though_it_is_short_or_silent(tmp_path, samples):
    path = tmp_path / "short.wav"
    write_wav(samples, RATE_HZ, path)
    assert len(read_wav(path).samples) == len(samples)


def test_peaks_follow_the_sound():
    samples = np.concatenate([np.zeros(1000, np.float32), tone(1000 / RATE_HZ)])
    drawn = peaks(samples, 10)
    assert drawn[:5] == [0.0] * 5
    assert all(value == pytest.approx(0.4, abs=0.01) for value in drawn[5:])
    assert peaks(np.array([0.25], np.float32)) == [0.25]
    assert peaks(np.zeros(0, np.float32)) == []
