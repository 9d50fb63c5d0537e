"""Routes that take many files at once: their own limits, and a spool instead of memory.

The limits must be known before anything reads the form, which the check of the form's token does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from flask import Flask, Request, current_app, g, request

from backend.settings import Settings
from backend.units import MB
from backend.web.upload_spool import UploadSpool

MAX_FIELDS = 100
MAX_FIELD_BYTES = 4 * MB
_MARK = "takes_many_files"
_MESH_MARK = "takes_a_mesh"
_RECORDING_MARK = "takes_a_recording"

View = TypeVar("View", bound=Callable[..., Any])


def takes_many_files(view: View) -> View:
    """Mark a view as one that takes many files at once."""
    setattr(view, _MARK, True)
    return view


def takes_a_mesh(view: View) -> View:
    """Mark a view as one that takes a mesh, which may be larger than a picture."""
    setattr(view, _MESH_MARK, True)
    return view


def takes_a_recording(view: View) -> View:
    """Mark a view as one that takes a recording, which may be larger than a picture."""
    setattr(view, _RECORDING_MARK, True)
    return view


class SpoolingRequest(Request):
    """A request that writes its files into a spool, if it was given one."""

    spool: UploadSpool | None = None

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.spool is None:
            return super()._get_file_stream(
                total_content_length, content_type, filename, content_length
            )
        return self.spool.open_part()  # type: ignore[return-value]


def install(app: Flask, settings: Settings, folder: Path) -> None:
    """Give marked routes their limits; to be called before any other check of requests.

    Parameters
    ----------
    app : Flask
        The app.
    settings : Settings
        ``max_batch_items``, ``max_batch_upload_mb``.
    folder : Path
        Where spools lie.
    """
    app.request_class = SpoolingRequest

    @app.before_request
    def widen() -> None:
        view = current_app.view_functions.get(request.endpoint or "")
        if request.method != "POST":
            return
        if getattr(view, _MESH_MARK, False):
            _widen_for_one(max(settings.max_mesh_mb, settings.max_audio_mb), settings, folder)
        if getattr(view, _RECORDING_MARK, False):
            _widen_for_one(settings.max_audio_mb, settings, folder)
        if not getattr(view, _MARK, False):
            return
        if not request.is_json:  # JSON has to fit into memory, so it keeps the usual limit
            request.max_content_length = settings.max_batch_upload_mb * MB
        request.max_form_parts = settings.max_batch_items + MAX_FIELDS
        request.max_form_memory_size = MAX_FIELD_BYTES
        _spool_to(UploadSpool(folder, settings.max_batch_items + 1))  # and the lines that name them

    @app.teardown_request
    def drop(_error: BaseException | None) -> None:
        spool: UploadSpool | None = g.pop("spool", None)
        if spool is not None:
            spool.close()


def _widen_for_one(limit_mb: int, settings: Settings, folder: Path) -> None:
    """Let a form hold one file so large; where it is larger than a picture, it goes to disk."""
    usual = settings.max_upload_mb * MB
    length = request.content_length
    if request.is_json or (length is not None and length <= usual):
        return
    request.max_content_length = max(usual, limit_mb * MB + MAX_FIELD_BYTES)
    _spool_to(UploadSpool(folder, MAX_FIELDS))


def _spool_to(spool: UploadSpool) -> None:
    g.spool = spool
    spooling: SpoolingRequest = request._get_current_object()  # type: ignore[attr-defined]
    spooling.spool = spool
