from __future__ import annotations

import pytest

from backend.catalog import SpeechParams, SpeechTask
from backend.errors import InvalidParameter, TranscriptMissing
from backend.speech_rules import (
    NEEDS_NO_TRANSCRIPT,
    SAYS_TEXT,
    STYLES,
    TAGS,
    check_speech,
    wanted_style,
)


def check(*, can_transcribe=False, **fields):
    check_speech(SpeechParams(**fields), can_transcribe=can_transcribe)


def good(task, **more):
    fields = {"task": task}
    if task in STYLES:
        fields["style"] = STYLES[task][0]
    if task in SAYS_TEXT:
        fields["text"] = "Well [Laughter], good morning."
    if task not in NEEDS_NO_TRANSCRIPT:
        fields["transcript"] = "Good morning."
    return fields | more


@pytest.mark.parametrize("task", list(SpeechTask))
def test_what_a_task_needs_is_enough(task):
    check(**good(task))


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        (good(SpeechTask.CLONE, text=""), "/text", "needs words"),
        (good(SpeechTask.CLONE, text=" [Sigh] …"), "/text", "needs words"),
        (good(SpeechTask.CLONE, style="happy"), "/style", "clone has none"),
        (good(SpeechTask.CLONE, passes=2), "/passes", "speaks once"),
        (good(SpeechTask.EMOTION, style=""), "/style", "happy, angry"),
        (good(SpeechTask.EMOTION, style="whisper"), "/style", "happy, angry"),
        (good(SpeechTask.SPEED, style="fast"), "/style", "faster, slower, more faster"),
        (good(SpeechTask.STYLE, text="New words"), "/text", "keeps the words"),
        (good(SpeechTask.DENOISE, text="New words"), "/text", "keeps the words"),
        (good(SpeechTask.PARALINGUISTIC, text="No tag"), "/text", r"\[Breathing\], \[Laughter\]"),
        (good(SpeechTask.PARALINGUISTIC, text="A [Cough]"), "/text", r"\[Cough\] is not a known"),
        (good(SpeechTask.PARALINGUISTIC, text="[Sigh]"), "/text", "needs words"),
        (good(SpeechTask.CLONE, text="a\0b"), "/text", "control"),
        (good(SpeechTask.CLONE, transcript="a\x1bb"), "/transcript", "control"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field_and_the_choices(fields, pointer, words):
    with pytest.raises(InvalidParameter, match=words) as caught:
        check(**fields)
    assert [field.pointer for field in caught.value.fields] == [pointer]


@pytest.mark.parametrize("task", sorted(set(SpeechTask) - NEEDS_NO_TRANSCRIPT))
def test_a_transcript_is_needed_unless_a_model_writes_it(task):
    fields = good(task, transcript="  ")
    with pytest.raises(TranscriptMissing) as caught:
        check(**fields)
    assert caught.value.fields[0].pointer == "/transcript"
    check(**fields, can_transcribe=True)


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_is_taken(tag):
    check(**good(SpeechTask.PARALINGUISTIC, text=f"Oh [{tag}] well"))


def test_a_style_is_known_however_it_is_written():
    params = SpeechParams(task=SpeechTask.SPEED, style=" More  Faster ", transcript="Hi")
    check_speech(params, can_transcribe=False)
    assert wanted_style(params) == "more faster"
