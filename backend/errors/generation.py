"""The job ran and could not deliver."""

from __future__ import annotations

from backend.errors.base import MeshkilnError


class GenerationFailed(MeshkilnError):
    """The job ran and could not deliver."""

    code = "generation-failed"
    title = "The model could not be made"


class EngineUnavailable(GenerationFailed):
    """The chosen engine cannot run here."""

    code = "engine-unavailable"
    http_status = 503
    title = "This engine is not available here"
    default_advice = "Choose engine 'auto', or run 'python -m backend doctor'."


class NoSurfaceFound(GenerationFailed):
    """The shape has no surface."""

    code = "no-surface-found"
    http_status = 422
    title = "No surface could be built"
    default_advice = "Correct the mask, or use a picture where the object is larger."


class MeshInvalid(GenerationFailed):
    """The mesh failed its checks."""

    code = "result-invalid"
    title = "The mesh did not pass its checks"
    default_advice = "Retry with another preset or mask; the failing check is named above."


class PartNotClosed(GenerationFailed):
    """A part encloses no space, whichever way it is closed."""

    code = "part-not-closed"
    http_status = 422
    title = "A part could not be closed"
    default_advice = "Merge it with a neighbour, or repair the mesh there and upload it again."


class OutOfMemory(GenerationFailed):
    """Memory ran out."""

    code = "out-of-memory"
    http_status = 507
    title = "The machine ran out of memory"
    default_advice = "Use the draft preset or a mesh with fewer faces, or close other programs."
    retryable = True


class ModelTooLarge(GenerationFailed):
    """The model can never fit on this device."""

    code = "model-too-large"
    http_status = 507
    title = "The model does not fit on this GPU"
    default_advice = "Choose a smaller model or precision, or free the card from other programs."


class ModelLoadFailed(GenerationFailed):
    """The weights could not be loaded."""

    code = "model-load-failed"
    title = "The model could not be loaded"
    default_advice = "Run 'python -m backend doctor'; the file may be missing or damaged."
    retryable = True


class DeviceLost(GenerationFailed):
    """The CUDA context is unusable; the worker process is replaced."""

    code = "device-lost"
    title = "The GPU stopped answering this process"
    default_advice = "Retry the job: a fresh worker runs it. If it happens again, check the driver."
    retryable = True


class JobTimedOut(GenerationFailed):
    """The job ran longer than allowed."""

    code = "job-timed-out"
    http_status = 504
    title = "The job took too long"
    default_advice = (
        "Use the draft preset or a mesh with fewer faces, or raise MESHKILN_JOB_TIMEOUT_S."
    )
    retryable = True


class WorkerLost(GenerationFailed):
    """The worker died too often on this job."""

    code = "worker-lost"
    title = "The worker died while it ran this job"
    default_advice = "Retry with the draft preset; look at the server's log."
    retryable = True
