"""Static files go out compressed to whoever takes gzip; pages do not.

A page holds the form token beside words from its address, and the length of such a text,
compressed, can give a secret away. Static files hold none.
"""

from __future__ import annotations

import gzip

from flask import Response, request

MIMETYPES = frozenset({"text/css", "text/javascript", "application/javascript", "image/svg+xml"})
LEAST_BYTES = 1000
MOST_KEPT = 128


class StaticCompression:
    """Compresses each version of a file once."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def apply(self, response: Response) -> Response:
        """Compress a whole text file if the client takes it so."""
        if response.mimetype not in MIMETYPES:
            return response
        response.vary.add("Accept-Encoding")
        etag, _ = response.get_etag()
        if (
            response.status_code != 200
            or etag is None
            or "Range" in request.headers
            or request.accept_encodings.quality("gzip") <= 0
            or (response.content_length or 0) < LEAST_BYTES
        ):
            return response
        response.direct_passthrough = False
        response.set_data(self._compressed(etag, response))
        response.headers["Content-Encoding"] = "gzip"
        response.headers.pop("Accept-Ranges", None)
        response.set_etag(etag, weak=True)  # the same file in other bytes
        return response

    def _compressed(self, etag: str, response: Response) -> bytes:
        found = self._kept.get(etag)
        if found is None:
            found = gzip.compress(response.get_data(), mtime=0)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[etag] = found
        else:
            response.close()
        return found
