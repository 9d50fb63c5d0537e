"""Fetches a picture by its address, where the operator allows that."""

from __future__ import annotations

import threading
from urllib.parse import unquote, urlsplit

from backend.errors import FieldProblem, UrlNotAllowed, UrlUnreachable
from backend.outbound.addresses import Rules, read_ports
from backend.outbound.client import Answer, Limits, OutboundClient
from backend.settings import Settings
from backend.units import MB

AT_A_TIME = 8
WAIT_S = 5.0
REDIRECTS = 3
OK = 200
POINTER = "/image_url"

_slots = threading.BoundedSemaphore(AT_A_TIME)


def fetch_picture(
    url: str, settings: Settings, client: OutboundClient, pointer: str = POINTER
) -> tuple[str, bytes]:
    """Fetch a picture; what it is, its bytes decide later, not what the other server says.

    Parameters
    ----------
    url : str
        As the user gave it.
    settings : Settings
        ``fetch_urls``, ``outbound_ports`` and ``max_upload_mb``.
    client : OutboundClient
        Makes the call.
    pointer : str
        The field to blame.

    Returns
    -------
    tuple of str and bytes
        The last part of its address, only ever shown, and what was sent.

    Raises
    ------
    UrlNotAllowed
        Fetching is off, or the address is not on the public internet; no connection was made.
    UrlUnreachable
        It did not give a whole file in time.
    """
    check_fetching(settings, pointer)
    limits = Limits(settings.max_upload_mb * MB, REDIRECTS)
    try:
        answer = _fetched(url, Rules(ports=read_ports(settings.outbound_ports)), limits, client)
    except (UrlNotAllowed, UrlUnreachable) as error:
        fields = (FieldProblem(pointer, error.detail),)
        wait_s = error.retry_after_s
        raise type(error)(error.detail, fields=fields, retry_after_s=wait_s) from error
    return unquote(urlsplit(answer.url).path.rpartition("/")[2]), answer.body


def check_fetching(settings: Settings, pointer: str = POINTER) -> None:
    """Raise UrlNotAllowed unless pictures may be fetched by address."""
    if not settings.fetch_urls:
        problem = FieldProblem(pointer, "pictures are not fetched by address")
        raise UrlNotAllowed(
            "Fetching pictures by address is off.",
            advice="Upload the file itself, or start the server with MESHKILN_FETCH_URLS=1.",
            fields=(problem,),
        )


def _fetched(url: str, rules: Rules, limits: Limits, client: OutboundClient) -> Answer:
    if not _slots.acquire(timeout=WAIT_S):
        raise UrlUnreachable("Too many pictures are being fetched.", retry_after_s=10)
    try:
        answer = client.call(url, rules, limits)
    finally:
        _slots.release()
    if answer.status != OK:
        raise UrlUnreachable(f"The other server answered {answer.status}.")
    return answer
