"""The tree of everything that can go wrong, each with a code, an HTTP status and advice.

MeshkilnError
├── BadInput                      what was sent cannot be used (4xx)
│   ├── MissingFile               missing-file            400
│   ├── MalformedRequest          malformed-request       400
│   ├── EmptyFile                 empty-file              422
│   ├── RequestTimeout            request-timeout         408
│   ├── UnsupportedImage          unsupported-image       415
│   ├── ImageTooLarge             image-too-large         422
│   ├── ImageTooSmall             image-too-small         422
│   ├── ImageCorrupt              image-corrupt           422
│   ├── UnsupportedMesh           unsupported-mesh        415
│   ├── MeshCorrupt               mesh-corrupt            422
│   ├── UnusableMesh              mesh-invalid            422
│   ├── MeshTooLarge              mesh-too-large          422
│   ├── ExternalResource          external-resource       422
│   ├── UnsupportedExtension      unsupported-extension   422
│   ├── NoForeground              no-foreground           422
│   ├── UnsupportedAudio          unsupported-audio       415
│   ├── AudioCorrupt              audio-corrupt           422
│   ├── AudioTooLong              audio-too-long          422
│   ├── AudioUnusable             audio-unusable          422
│   ├── TranscriptMissing         transcript-missing      422
│   ├── InvalidParameter          invalid-parameter       422
│   ├── IdempotencyKeyReused      idempotency-key-reused  422
│   ├── UrlNotAllowed             url-not-allowed         422
│   ├── UrlUnreachable            url-unreachable         422
│   ├── ArchiveInvalid            archive-invalid         422
│   ├── BatchTooLarge             batch-too-large         413
│   ├── NothingAccepted           nothing-accepted        422
│   └── UploadTooLarge            upload-too-large        413
├── Refused                       understood, but not allowed or not possible now
│   ├── NotFound                  not-found               404
│   ├── MethodNotAllowed          method-not-allowed      405
│   ├── Unauthorized              unauthorized            401
│   ├── AdminOnly                 admin-only              403
│   ├── RateLimited               rate-limited            429
│   ├── QuotaExceeded             quota-exceeded          429
│   ├── SharingOff                sharing-off             403
│   ├── JobFinished               job-finished            409
│   ├── JobNotFinished            job-not-finished        409
│   ├── PickingUnavailable        picking-unavailable     409
│   ├── TextureUnavailable        texture-unavailable     409
│   ├── BatchFinished             batch-finished          409
│   ├── NothingFailed             nothing-failed          409
│   ├── StaleVersion              stale-version           412
│   ├── VersionNeeded             version-needed          428
│   ├── FilesExpired              files-expired           410
│   ├── ForbiddenOrigin           forbidden-origin        403
│   ├── CsrfFailed                csrf-failed             403
│   ├── HostNotAllowed            host-not-allowed        421
│   ├── QueueFull                 queue-full              503
│   ├── TooManySockets            too-many-sockets        503
│   ├── WorkerOffline             worker-offline          503
│   ├── UnknownModel              unknown-model           404
│   ├── LicenceNotAccepted        licence-not-accepted    403
│   ├── HubUnreachable            hub-unreachable         503
│   ├── PackageMissing            package-missing         503
│   ├── ModelLeased               model-leased            409
│   ├── GpuBusy                   gpu-busy                503
│   ├── ManagementOff             gpu-management-off      409
│   ├── ExperimentRunning         experiment-running      409
│   ├── AdviceOutdated            advice-outdated         409
│   ├── StoreUnavailable          store-unavailable       503
│   └── StorageFull               storage-full            507
├── GenerationFailed              the job ran and could not deliver
│   ├── EngineUnavailable         engine-unavailable      503
│   ├── NoSurfaceFound            no-surface-found        422
│   ├── MeshInvalid               result-invalid          500
│   ├── PartNotClosed             part-not-closed         422
│   ├── PaintingFailed            painting-failed         500
│   ├── OutOfMemory               out-of-memory           507
│   ├── ModelTooLarge             model-too-large         507
│   ├── ModelLoadFailed           model-load-failed       500
│   ├── WeightsMissing            weights-missing         503
│   ├── WeightsDamaged            weights-damaged         500
│   ├── WeightsUnsafe             weights-unsafe          422
│   ├── TensorMissing             tensor-missing          500
│   ├── TensorUnexpected          tensor-unexpected       500
│   ├── TensorMisshapen           tensor-misshapen        500
│   ├── CheckpointConfigInvalid   model-config-invalid    500
│   ├── UnknownTarget             unknown-target          500
│   ├── DeviceLost                device-lost             500
│   ├── HostedEngineCrashed       hosted-engine-crashed   500
│   ├── HostedEngineFailed        hosted-engine-failed    500
│   ├── HostedEngineSilent        hosted-engine-silent    504
│   ├── JobTimedOut               job-timed-out           504
│   └── WorkerLost                worker-lost             500
├── JobCanceled                   the user asked to stop (never shown as an error)
├── StartFailed                   start-failed            the server could not start
└── InternalError                 internal-error          500
"""

from __future__ import annotations

from backend.errors.bad_audio import (
    AudioCorrupt,
    AudioTooLong,
    AudioUnusable,
    TranscriptMissing,
    UnsupportedAudio,
)
from backend.errors.bad_input import (
    ArchiveInvalid,
    BadInput,
    BatchTooLarge,
    EmptyFile,
    ExternalResource,
    IdempotencyKeyReused,
    ImageCorrupt,
    ImageTooLarge,
    ImageTooSmall,
    InvalidParameter,
    MalformedRequest,
    MeshCorrupt,
    MeshTooLarge,
    MissingFile,
    NoForeground,
    NothingAccepted,
    RequestTimeout,
    UnsupportedExtension,
    UnsupportedImage,
    UnsupportedMesh,
    UnusableMesh,
    UploadTooLarge,
    UrlNotAllowed,
    UrlUnreachable,
)
from backend.errors.base import (
    FieldProblem,
    InternalError,
    JobCanceled,
    MeshkilnError,
    StartFailed,
)
from backend.errors.generation import (
    CheckpointConfigInvalid,
    DeviceLost,
    EngineUnavailable,
    GenerationFailed,
    JobTimedOut,
    MeshInvalid,
    ModelLoadFailed,
    ModelTooLarge,
    NoSurfaceFound,
    OutOfMemory,
    PaintingFailed,
    PartNotClosed,
    TensorMisshapen,
    TensorMissing,
    TensorUnexpected,
    UnknownTarget,
    WeightsDamaged,
    WeightsMissing,
    WeightsUnsafe,
    WorkerLost,
)
from backend.errors.hosted import (
    HostedEngineCrashed,
    HostedEngineFailed,
    HostedEngineSilent,
)
from backend.errors.refused import (
    AdminOnly,
    AdviceOutdated,
    BatchFinished,
    CsrfFailed,
    ExperimentRunning,
    FilesExpired,
    ForbiddenOrigin,
    GpuBusy,
    HostNotAllowed,
    HubUnreachable,
    JobFinished,
    JobNotFinished,
    LicenceNotAccepted,
    ManagementOff,
    MethodNotAllowed,
    ModelLeased,
    NotFound,
    NothingFailed,
    PackageMissing,
    PickingUnavailable,
    QueueFull,
    QuotaExceeded,
    RateLimited,
    Refused,
    SharingOff,
    StaleVersion,
    StorageFull,
    StoreUnavailable,
    TextureUnavailable,
    TooManySockets,
    Unauthorized,
    UnknownModel,
    VersionNeeded,
    WorkerOffline,
)

__all__ = [
    "AdminOnly",
    "AdviceOutdated",
    "ArchiveInvalid",
    "AudioCorrupt",
    "AudioTooLong",
    "AudioUnusable",
    "BadInput",
    "BatchFinished",
    "BatchTooLarge",
    "CheckpointConfigInvalid",
    "CsrfFailed",
    "DeviceLost",
    "EmptyFile",
    "EngineUnavailable",
    "ExperimentRunning",
    "ExternalResource",
    "FieldProblem",
    "FilesExpired",
    "ForbiddenOrigin",
    "GenerationFailed",
    "GpuBusy",
    "HostNotAllowed",
    "HostedEngineCrashed",
    "HostedEngineFailed",
    "HostedEngineSilent",
    "HubUnreachable",
    "IdempotencyKeyReused",
    "ImageCorrupt",
    "ImageTooLarge",
    "ImageTooSmall",
    "InternalError",
    "InvalidParameter",
    "JobCanceled",
    "JobFinished",
    "JobNotFinished",
    "JobTimedOut",
    "LicenceNotAccepted",
    "MalformedRequest",
    "ManagementOff",
    "MeshCorrupt",
    "MeshInvalid",
    "MeshTooLarge",
    "MeshkilnError",
    "MethodNotAllowed",
    "MissingFile",
    "ModelLeased",
    "ModelLoadFailed",
    "ModelTooLarge",
    "NoForeground",
    "NoSurfaceFound",
    "NotFound",
    "NothingAccepted",
    "NothingFailed",
    "OutOfMemory",
    "PackageMissing",
    "PaintingFailed",
    "PartNotClosed",
    "PickingUnavailable",
    "QueueFull",
    "QuotaExceeded",
    "RateLimited",
    "Refused",
    "RequestTimeout",
    "SharingOff",
    "StaleVersion",
    "StartFailed",
    "StorageFull",
    "StoreUnavailable",
    "TensorMisshapen",
    "TensorMissing",
    "TensorUnexpected",
    "TextureUnavailable",
    "TooManySockets",
    "TranscriptMissing",
    "Unauthorized",
    "UnknownModel",
    "UnknownTarget",
    "UnsupportedAudio",
    "UnsupportedExtension",
    "UnsupportedImage",
    "UnsupportedMesh",
    "UnusableMesh",
    "UploadTooLarge",
    "UrlNotAllowed",
    "UrlUnreachable",
    "VersionNeeded",
    "WeightsDamaged",
    "WeightsMissing",
    "WeightsUnsafe",
    "WorkerLost",
    "WorkerOffline",
]
