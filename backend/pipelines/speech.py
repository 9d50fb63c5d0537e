"""Pipeline ``speech``: a recording and words in, a recording out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.audio.recording import Recording
from backend.audio.sound_facts import sound_facts
from backend.audio.wav_file import read_wav, write_wav
from backend.batch_processor import BatchedStage, needs_device_alone, run_engine
from backend.catalog import PipelineName, PipelineParams, SpeechParams, SpeechStageName
from backend.engines.engine import AnyEngine, Role
from backend.engines.registry import EngineRegistry
from backend.engines.speech_task import SpokenResult, SpokenTask
from backend.engines.transcript import Transcript, TranscriptSource, transcribed
from backend.errors import MissingFile
from backend.pipelines.pipeline import (
    OutputFile,
    PipelineOutcome,
    PipelineRequest,
    rounded_seconds,
    stage,
)
from backend.profiling.recorder import join_pipeline
from backend.profiling.spans import SpanKind
from backend.progress import ProgressSink, StageProgress
from backend.settings import Settings
from backend.speech_rules import NEEDS_NO_TRANSCRIPT, check_speech, wanted_style

REFERENCE = "reference"
RESULT = "speech.wav"


class SpeechPipeline:
    """Recording to recording."""

    name = PipelineName.SPEECH

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Speak; the transcript that was used is among the facts, so that it can be corrected.

        Raises
        ------
        BadInput, EngineUnavailable, GenerationFailed, JobCanceled
        """
        params, settings = _params(request.params), Settings.from_env()
        check_speech(params, can_transcribe=settings.auto_transcribe)
        if REFERENCE not in request.inputs:
            raise MissingFile("There is no recording.")
        path = request.inputs[REFERENCE]
        with join_pipeline(self.name) as times:
            with stage(SpeechStageName.AUDIO_LOADING, sink):
                engine = self._engine(params)  # before minutes are spent on a transcript
                reference = read_wav(path)

            with stage(SpeechStageName.TRANSCRIPTION, sink) as progress:
                transcript = _transcript(path, params, settings, progress)

            with stage(SpeechStageName.SPEECH_SYNTHESIS, sink, SpanKind.GPU) as progress:
                result = _spoken(engine, _task(path, params, transcript, request.out_dir), progress)

            with stage(SpeechStageName.AUDIO_EXPORT, sink):
                output = _written(result, request.out_dir, sink)

        facts = _facts(params, engine, transcript, reference, result)
        return PipelineOutcome([output], {"speech": facts, "timings_s": rounded_seconds(times)})

    def batched_stages(self, raw: PipelineParams) -> list[BatchedStage]:
        """Name the stages whose engines take batches or the device; raises EngineUnavailable."""
        stages = [BatchedStage(SpeechStageName.SPEECH_SYNTHESIS, self._engine(_params(raw)))]
        return [one for one in stages if needs_device_alone(one.engine)]

    def _engine(self, params: SpeechParams) -> AnyEngine:
        return self._registry.choose(Role.SPEECH, params.engine)


def _params(params: PipelineParams) -> SpeechParams:
    return SpeechParams.model_validate(params.model_dump())


def _transcript(
    path: Path, params: SpeechParams, settings: Settings, progress: StageProgress
) -> Transcript:
    """Take the words that were given, or have a model hear them where the task needs any."""
    if params.transcript.strip():
        return Transcript(params.transcript.strip(), TranscriptSource.GIVEN)
    if params.task in NEEDS_NO_TRANSCRIPT:
        return Transcript("", TranscriptSource.NONE)
    return transcribed(path, settings, progress)


def _task(path: Path, params: SpeechParams, transcript: Transcript, scratch: Path) -> SpokenTask:
    return SpokenTask(
        params.task,
        path,
        transcript.text,
        params.text.strip(),
        wanted_style(params),
        params.passes,
        params.seed or 0,
        scratch,
    )


def _spoken(engine: AnyEngine, task: SpokenTask, progress: StageProgress) -> SpokenResult:
    progress.engine_chosen(Role.SPEECH, engine.name)
    result: SpokenResult = run_engine(engine, task, progress)
    if result.notice:
        progress.warn(result.notice)
    return result


def _written(result: SpokenResult, out_dir: Path, sink: ProgressSink) -> OutputFile:
    file = OutputFile(RESULT, "wav", "speech", out_dir / RESULT)
    write_wav(result.sound.samples, result.sound.rate_hz, file.path)
    sink.artifact(file.name, file.role, file.path)
    return file


def _facts(
    params: SpeechParams,
    engine: AnyEngine,
    transcript: Transcript,
    reference: Recording,
    result: SpokenResult,
) -> dict[str, Any]:
    return {
        "task": params.task.value,
        "style": wanted_style(params),
        "engine": engine.name,
        "notice": result.notice,
        "transcript": transcript.text,
        "transcript_source": transcript.source.value,
        "reference": sound_facts(reference.samples, reference.rate_hz),
        **sound_facts(result.sound.samples, result.sound.rate_hz),
        **result.facts,
    }
