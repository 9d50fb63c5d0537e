"""What was sent as a recording cannot be used."""

from __future__ import annotations

from backend.errors.bad_input import BadInput


class UnsupportedAudio(BadInput):
    """The file is not a recording that we read."""

    code = "unsupported-audio"
    http_status = 415
    title = "This file is not a recording we can read"
    default_advice = "Save it as WAV, FLAC, OGG or MP3."


class AudioCorrupt(BadInput):
    """The recording is damaged."""

    code = "audio-corrupt"
    title = "The recording is damaged"
    default_advice = "Save it again as WAV and send that."


class AudioTooLong(BadInput):
    """The recording is too long, or too large."""

    code = "audio-too-long"
    title = "The recording is too long"
    default_advice = "Cut it to at most 30 seconds; 5 to 15 seconds of one voice are best."


class AudioUnusable(BadInput):
    """The recording is silent, too short, or holds numbers that are no sound."""

    code = "audio-unusable"
    title = "The recording cannot be used"
    default_advice = "Send at least half a second of one voice, louder than the noise around it."


class TranscriptMissing(BadInput):
    """Nobody said what is spoken in the recording, and nothing here can write it down."""

    code = "transcript-missing"
    title = "What is said in the recording is not known"
    default_advice = (
        "Write it into 'transcript', or start the server with --enable-auto-transcribe."
    )
