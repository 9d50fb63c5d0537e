"""The tree of everything that can go wrong, each with a code, an HTTP status and advice.

MeshkilnError
├── BadInput                      what was sent cannot be used (4xx)
│   ├── MissingFile               missing-file            400
│   ├── MalformedRequest          malformed-request       400
│   ├── EmptyFile                 empty-file              422
│   ├── UnsupportedImage          unsupported-image       415
│   ├── ImageTooLarge             image-too-large         422
│   ├── ImageTooSmall             image-too-small         422
│   ├── ImageCorrupt              image-corrupt           422
│   ├── NoForeground              no-foreground           422
│   ├── InvalidParameter          invalid-parameter       422
│   ├── IdempotencyKeyReused      idempotency-key-reused  422
│   ├── UrlNotAllowed             url-not-allowed         422
│   └── UploadTooLarge            upload-too-large        413
├── Refused                       understood, but not allowed or not possible now
│   ├── NotFound                  not-found               404
│   ├── MethodNotAllowed          method-not-allowed      405
│   ├── JobFinished               job-finished            409
│   ├── JobNotFinished            job-not-finished        409
│   ├── FilesExpired              files-expired           410
│   ├── ForbiddenOrigin           forbidden-origin        403
│   ├── CsrfFailed                csrf-failed             403
│   ├── HostNotAllowed            host-not-allowed        421
│   ├── QueueFull                 queue-full              503
│   ├── TooManySockets            too-many-sockets        503
│   ├── WorkerOffline             worker-offline          503
│   ├── UnknownModel              unknown-model           404
│   ├── ModelLeased               model-leased            409
│   ├── GpuBusy                   gpu-busy                503
│   ├── ManagementOff             gpu-management-off      409
│   ├── ExperimentRunning         experiment-running      409
│   ├── AdviceOutdated            advice-outdated         409
│   └── StorageFull               storage-full            507
├── GenerationFailed              the job ran and could not deliver
│   ├── EngineUnavailable         engine-unavailable      503
│   ├── NoSurfaceFound            no-surface-found        422
│   ├── MeshInvalid               mesh-invalid            500
│   ├── OutOfMemory               out-of-memory           507
│   ├── ModelTooLarge             model-too-large         507
│   ├── ModelLoadFailed           model-load-failed       500
│   ├── DeviceLost                device-lost             500
│   ├── JobTimedOut               job-timed-out           504
│   └── WorkerLost                worker-lost             500
├── JobCanceled                   the user asked to stop (never shown as an error)
├── StartFailed                   start-failed            the server could not start
└── InternalError                 internal-error          500
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldProblem:
    """One field that is wrong: a JSON pointer and the reason."""

    pointer: str
    detail: str


class MeshkilnError(Exception):
    """Base of the tree.

    Parameters
    ----------
    detail : str
        What happened, for the person who asked.
    advice : str, optional
        What to do about it; the class's own advice if absent.
    fields : tuple of FieldProblem
        The fields to blame, if any.
    retry_after_s : int, optional
        Seconds after which the same request may succeed.
    """

    code: ClassVar[str] = "internal-error"
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on the server"
    default_advice: ClassVar[str] = "Try again; if it happens again, report it with the job id."
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str = "",
        *,
        advice: str | None = None,
        fields: tuple[FieldProblem, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.advice = advice or self.default_advice
        self.fields = fields
        self.retry_after_s = retry_after_s


class InternalError(MeshkilnError):
    """A defect of ours."""


class BadInput(MeshkilnError):
    """What was sent cannot be used."""

    code = "invalid-parameter"
    http_status = 422
    title = "The request cannot be used"
    default_advice = "Correct the request and send it again."


class MissingFile(BadInput):
    """The request carries no file."""

    code = "missing-file"
    http_status = 400
    title = "No file was sent"
    default_advice = "Send the picture in the multipart field 'file'."


class MalformedRequest(BadInput):
    """The body is not what its content type says."""

    code = "malformed-request"
    http_status = 400
    title = "The request cannot be read"
    default_advice = "Send multipart/form-data or a JSON object."


class EmptyFile(BadInput):
    """The file has no bytes."""

    code = "empty-file"
    title = "The file is empty"
    default_advice = "Choose the file again; the upload may have been cut off."


class UnsupportedImage(BadInput):
    """The file is not a picture we read."""

    code = "unsupported-image"
    http_status = 415
    title = "This file is not a picture we can read"
    default_advice = "Save it as PNG, JPEG or WebP."


class ImageTooLarge(BadInput):
    """The picture has too many pixels."""

    code = "image-too-large"
    title = "The picture has too many pixels"
    default_advice = "Scale it down to at most 8192 pixels a side and 36 megapixels."


class ImageTooSmall(BadInput):
    """The picture has too few pixels, or is a thin strip."""

    code = "image-too-small"
    title = "The picture is too small or too narrow"
    default_advice = "Use a picture of at least 32 by 32 pixels, no longer than 8 times its width."


class ImageCorrupt(BadInput):
    """The picture is damaged."""

    code = "image-corrupt"
    title = "The picture is damaged"
    default_advice = "Open it in an image editor and save it again."


class NoForeground(BadInput):
    """No object can be told from the background."""

    code = "no-foreground"
    title = "No object was found in the picture"
    default_advice = "Use a picture with one object on a plain background, or paint the mask."


class InvalidParameter(BadInput):
    """A parameter is unknown or out of range."""

    code = "invalid-parameter"
    title = "A parameter is not valid"
    default_advice = "See the parameter list in /openapi.json."


class IdempotencyKeyReused(BadInput):
    """The key was used with another body."""

    code = "idempotency-key-reused"
    title = "This idempotency key was used for another request"
    default_advice = "Use a new key for a new request."


class UrlNotAllowed(BadInput):
    """Fetching pictures by address is off."""

    code = "url-not-allowed"
    title = "This address may not be fetched"
    default_advice = "Upload the file itself."


class UploadTooLarge(BadInput):
    """The body is over the size limit."""

    code = "upload-too-large"
    http_status = 413
    title = "The upload is too large"
    default_advice = "Send a smaller file."


class Refused(MeshkilnError):
    """Understood, but not allowed or not possible now."""

    code = "refused"
    http_status = 409
    title = "This cannot be done now"
    default_advice = "Reload the page and look at the current state."


class NotFound(Refused):
    """There is no such thing."""

    code = "not-found"
    http_status = 404
    title = "Not found"
    default_advice = "Check the address; the job may have been deleted."


class MethodNotAllowed(Refused):
    """The route exists, with other methods."""

    code = "method-not-allowed"
    http_status = 405
    title = "This method is not allowed here"
    default_advice = "See /docs/api for the methods of this route."


class JobFinished(Refused):
    """The job has already ended."""

    code = "job-finished"
    title = "The job has already ended"
    default_advice = "Retry the job to run it again."


class JobNotFinished(Refused):
    """The job has not ended yet."""

    code = "job-not-finished"
    title = "The job has not ended yet"
    default_advice = "Wait for it, or cancel it first."


class FilesExpired(Refused):
    """The files were removed by retention."""

    code = "files-expired"
    http_status = 410
    title = "The files of this job were removed"
    default_advice = "Run the job again; results are kept for a limited time."


class ForbiddenOrigin(Refused):
    """A page of another site sent this."""

    code = "forbidden-origin"
    http_status = 403
    title = "Requests from another site are refused"
    default_advice = "Use this server's own pages, or call the API without an Origin header."


class CsrfFailed(Refused):
    """The form token is missing or wrong."""

    code = "csrf-failed"
    http_status = 403
    title = "The form has expired"
    default_advice = "Reload the page and send the form again."


class HostNotAllowed(Refused):
    """The Host header names another machine."""

    code = "host-not-allowed"
    http_status = 421
    title = "This host name is not served here"
    default_advice = "Use the address printed at start, or start with --allowed-host NAME."


class QueueFull(Refused):
    """Too many jobs are waiting."""

    code = "queue-full"
    http_status = 503
    title = "The queue is full"
    default_advice = "Wait for some jobs to finish."
    retryable = True


class TooManySockets(Refused):
    """Too many live connections are open."""

    code = "too-many-sockets"
    http_status = 503
    title = "Too many live connections"
    default_advice = "Poll the job instead."
    retryable = True


class WorkerOffline(Refused):
    """No worker reports."""

    code = "worker-offline"
    http_status = 503
    title = "No worker is running"
    default_advice = "Look at the server's terminal; run 'python -m backend doctor'."
    retryable = True


class UnknownModel(Refused):
    """No model of this name is registered."""

    code = "unknown-model"
    http_status = 404
    title = "There is no such model"
    default_advice = "GET /api/gpu/status lists the models by name."


class ModelLeased(Refused):
    """A running job uses the model."""

    code = "model-leased"
    title = "The model is in use"
    default_advice = 'Wait for the job to end, or send "drain": true to act as soon as it does.'
    retryable = True


class GpuBusy(Refused):
    """The device did not become free in time."""

    code = "gpu-busy"
    http_status = 503
    title = "The GPU is busy with other models"
    default_advice = "Try again when the running jobs have ended."
    retryable = True


class ManagementOff(Refused):
    """The server was started without GPU management."""

    code = "gpu-management-off"
    title = "GPU management is switched off"
    default_advice = "Start the server without --disable-gpu-management to set policy and timers."


class ExperimentRunning(Refused):
    """The setting is on trial already."""

    code = "experiment-running"
    title = "This setting is on trial already"
    default_advice = "Wait until the trial has decided, or revert it first."


class AdviceOutdated(Refused):
    """What the advice rested on is no longer so."""

    code = "advice-outdated"
    title = "This advice is out of date"
    default_advice = "Reload the performance page; it shows what the last runs advise."


class StorageFull(Refused):
    """The disk is below its floor."""

    code = "storage-full"
    http_status = 507
    title = "The disk is full"
    default_advice = "Free some disk space or shorten the retention time."
    retryable = True


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

    code = "mesh-invalid"
    title = "The mesh did not pass its checks"
    default_advice = "Retry with another preset or mask; the failing check is named above."


class OutOfMemory(GenerationFailed):
    """Memory ran out."""

    code = "out-of-memory"
    http_status = 507
    title = "The machine ran out of memory"
    default_advice = "Use the draft preset, or close other programs."
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
    default_advice = "Use the draft preset, or raise MESHKILN_JOB_TIMEOUT_S."
    retryable = True


class WorkerLost(GenerationFailed):
    """The worker died too often on this job."""

    code = "worker-lost"
    title = "The worker died while it ran this job"
    default_advice = "Retry with the draft preset; look at the server's log."
    retryable = True


class JobCanceled(MeshkilnError):
    """The user asked to stop."""

    code = "canceled"
    title = "Canceled"
    default_advice = ""


class StartFailed(MeshkilnError):
    """The server could not start."""

    code = "start-failed"
    title = "The server could not start"
    default_advice = "Run 'python -m backend doctor'."
