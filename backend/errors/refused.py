"""Understood, but not allowed or not possible now."""

from __future__ import annotations

from backend.errors.base import MeshkilnError


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


class Unauthorized(Refused):
    """No key came, or none that opens anything."""

    code = "unauthorized"
    http_status = 401
    title = "A key is needed"
    default_advice = "Send 'Authorization: Bearer mk_…', or log in at /login."


class AdminOnly(Refused):
    """The key may not do this."""

    code = "admin-only"
    http_status = 403
    title = "This needs an administrator's key"
    default_advice = "Ask whoever runs this server."


class RateLimited(Refused):
    """Too many requests in a short time."""

    code = "rate-limited"
    http_status = 429
    title = "Too many requests"
    default_advice = "Wait as long as Retry-After says."
    retryable = True


class QuotaExceeded(Refused):
    """The key has used what it may use."""

    code = "quota-exceeded"
    http_status = 429
    title = "The quota of this key is used up"
    default_advice = "Wait for jobs to finish, or delete some."
    retryable = True


class SharingOff(Refused):
    """Share links are switched off."""

    code = "sharing-off"
    http_status = 403
    title = "Share links are switched off"
    default_advice = "Set MESHKILN_SHARE_LINKS=true and restart the server."


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


class PickingUnavailable(Refused):
    """The parts of the job were not found by a network that can be asked about a point."""

    code = "picking-unavailable"
    title = "No network can be asked about these parts"
    default_advice = "Run segment_parts on this mesh with the engine p3sam, and pick parts there."


class TextureUnavailable(Refused):
    """The job has no model that could be coloured."""

    code = "texture-unavailable"
    title = "There is no model to colour"
    default_advice = "Send the mesh and a picture with the pipeline texture_mesh."


class BatchFinished(Refused):
    """Nothing of the batch waits or runs any more."""

    code = "batch-finished"
    title = "The batch has already ended"
    default_advice = "Try its failed items again, or send another batch."


class NothingFailed(Refused):
    """No item of the batch has failed."""

    code = "nothing-failed"
    title = "No item of the batch has failed"
    default_advice = "Look at the results; items that were refused must be sent again."


class StaleVersion(Refused):
    """Somebody else changed it in the meantime."""

    code = "stale-version"
    http_status = 412
    title = "It was changed in the meantime"
    default_advice = "Look at the newest version, and send its number in If-Match."
    retryable = True


class VersionNeeded(Refused):
    """A change came without the version that it changes."""

    code = "version-needed"
    http_status = 428
    title = "The version to change is missing"
    default_advice = "Send the ETag of the version you have seen in the header If-Match."


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


class LicenceNotAccepted(Refused):
    """Nobody here has accepted the licence of the model."""

    code = "licence-not-accepted"
    http_status = 403
    title = "The licence of the model has not been accepted here"
    default_advice = "Read it and accept it: python -m backend models accept ID"


class HubUnreachable(Refused):
    """The model hub does not answer, or does not have what was asked for."""

    code = "hub-unreachable"
    http_status = 503
    title = "The model hub cannot be reached"
    default_advice = "Check the connection and run the same command again; it goes on from there."
    retryable = True


class PackageMissing(Refused):
    """A Python package that this needs is not installed."""

    code = "package-missing"
    http_status = 503
    title = "A Python package is not installed"
    default_advice = "Run: .venv/bin/python -m pip install -r requirements-gpu.txt"


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


class StoreUnavailable(Refused):
    """The store that several machines share does not answer, or gives wrong bytes."""

    code = "store-unavailable"
    http_status = 503
    title = "The file store cannot be reached"
    default_advice = "Try again in a minute; if it lasts, look at the store and the server's log."
    retryable = True


class StorageFull(Refused):
    """The disk is below its floor."""

    code = "storage-full"
    http_status = 507
    title = "The disk is full"
    default_advice = "Free some disk space or shorten the retention time."
    retryable = True
