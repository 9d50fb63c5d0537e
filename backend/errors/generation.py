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


class PaintingFailed(GenerationFailed):
    """The network that paints gave nothing that can be shown."""

    code = "painting-failed"
    title = "The texture could not be painted"
    default_advice = (
        "Retry with another seed or texture model, or with the engine 'projection'; "
        "'python -m backend models verify' tells whether the weights are whole."
    )


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


class WeightsMissing(GenerationFailed):
    """A file of the model is not there."""

    code = "weights-missing"
    http_status = 503
    title = "The model's files are not there, or not all of them"
    default_advice = "Run 'python -m backend models list'; it says what is missing and where."


class WeightsDamaged(GenerationFailed):
    """A file of the model cannot be read, or is not what was published."""

    code = "weights-damaged"
    title = "A file of the model is damaged"
    default_advice = "Delete the file and run 'python -m backend models pull ID' again."


class WeightsUnsafe(GenerationFailed):
    """A pickle holds more than tensors; it was not run."""

    code = "weights-unsafe"
    http_status = 422
    title = "The model's file holds more than tensors and was refused"
    default_advice = "Nothing of it was run. Delete it, and get the model from its authors."


class TensorMissing(GenerationFailed):
    """The file lacks a tensor of the model."""

    code = "tensor-missing"
    title = "A tensor of the model is missing"
    default_advice = "Run 'python -m backend models verify ID'; the file belongs to another model."


class TensorUnexpected(GenerationFailed):
    """The file holds a tensor that the model does not know."""

    code = "tensor-unexpected"
    title = "The model's file holds a tensor that does not belong to it"
    default_advice = "Run 'python -m backend models verify ID'; the file belongs to another model."


class TensorMisshapen(GenerationFailed):
    """A tensor has another shape or type of numbers than the model."""

    code = "tensor-misshapen"
    title = "A tensor of the model has the wrong shape"
    default_advice = "Run 'python -m backend models verify ID'; file and description disagree."


class CheckpointConfigInvalid(GenerationFailed):
    """The description beside the weights cannot be read."""

    code = "model-config-invalid"
    title = "The model's config.yaml cannot be used"
    default_advice = "Get the file from the model's authors again, unchanged."


class UnknownTarget(GenerationFailed):
    """The description names a part that we have no network for."""

    code = "unknown-target"
    title = "The model has a part that is not supported"
    default_advice = "Run 'python -m backend models list' for the models that are supported."


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
