"""What was sent cannot be used."""

from __future__ import annotations

from backend.errors.base import MeshkilnError


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


class RequestTimeout(BadInput):
    """The request arrives too slowly."""

    code = "request-timeout"
    http_status = 408
    title = "The request took too long to arrive"
    default_advice = "Send it again over a connection that carries at least 1 kB/s."


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


class UnsupportedMesh(BadInput):
    """The file is not a mesh we read."""

    code = "unsupported-mesh"
    http_status = 415
    title = "This file is not a mesh we can read"
    default_advice = "Save it as GLB, OBJ, PLY or STL."


class MeshCorrupt(BadInput):
    """The file of the mesh is damaged or contradicts itself."""

    code = "mesh-corrupt"
    title = "The mesh file is damaged"
    default_advice = "Open it in a 3D program and export it again."


class UnusableMesh(BadInput):
    """The file can be read, but what it holds is no surface to work with."""

    code = "mesh-invalid"
    title = "The mesh cannot be used"
    default_advice = "Repair it in a 3D program and export it again."


class MeshTooLarge(BadInput):
    """The mesh has too many faces or pieces, or takes too much memory or time to read."""

    code = "mesh-too-large"
    title = "The mesh is too large"
    default_advice = "Reduce the number of faces and send it again."


class ExternalResource(BadInput):
    """The mesh names other files or addresses."""

    code = "external-resource"
    title = "The mesh refers to other files"
    default_advice = "Export it as GLB, which holds everything in one file."


class UnsupportedExtension(BadInput):
    """The mesh needs an extension of its format that we do not read."""

    code = "unsupported-extension"
    title = "The mesh needs an extension that is not read here"
    default_advice = "Export it again without compression of meshes or textures."


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
    """An address that this server does not call."""

    code = "url-not-allowed"
    title = "This address may not be called"
    default_advice = "Upload the file itself."


class UrlUnreachable(BadInput):
    """An address that did not give what was asked for."""

    code = "url-unreachable"
    title = "This address did not answer as expected"
    default_advice = "Open the address in a browser, correct it, or upload the file itself."


class ArchiveInvalid(BadInput):
    """The archive is damaged, or holds what may not be unpacked."""

    code = "archive-invalid"
    title = "This archive cannot be used"
    default_advice = "Pack the pictures anew into a plain zip file, without archives inside it."


class BatchTooLarge(BadInput):
    """The batch has too many items."""

    code = "batch-too-large"
    http_status = 413
    title = "The batch has too many items"
    default_advice = "Split it into several batches."


class NothingAccepted(BadInput):
    """Not one item of the batch can be used."""

    code = "nothing-accepted"
    title = "No item of the batch can be used"
    default_advice = "Correct what is named for each item and send the batch again."


class UploadTooLarge(BadInput):
    """The body is over the size limit."""

    code = "upload-too-large"
    http_status = 413
    title = "The upload is too large"
    default_advice = "Send a smaller file."
