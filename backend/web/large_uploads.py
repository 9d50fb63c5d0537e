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

View = TypeVar("View", bound=Callable[..., Any])


def takes_many_files(view: View) -> View:
    """Mark a view as one that takes many files at once."""
    setattr(view, _MARK, True)
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
        if request.method != "POST" or not getattr(view, _MARK, False):
            return
        if not request.is_json:  # JSON has to fit into memory, so it keeps the usual limit
            request.max_content_length = settings.max_batch_upload_mb * MB
        request.max_form_parts = settings.max_batch_items + MAX_FIELDS
        request.max_form_memory_size = MAX_FIELD_BYTES
        g.spool = UploadSpool(folder, settings.max_batch_items + 1)  # and the lines that name them
        spooling: SpoolingRequest = request._get_current_object()  # type: ignore[attr-defined]
        spooling.spool = g.spool

    @app.teardown_request
    def drop(_error: BaseException | None) -> None:
        spool: UploadSpool | None = g.pop("spool", None)
        if spool is not None:
            spool.close()
