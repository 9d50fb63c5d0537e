"""Which routes are open, which are for everybody with a key, and which for administrators."""

from __future__ import annotations

from enum import StrEnum

from flask import request

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Open to strangers; what the last three say to them is little.
OPEN = frozenset({"static", "login.show", "login.log_in", "login.log_out", "health.healthz",
                  "health.readyz", "share_page.show", "share_page.file"})  # fmt: skip
UNCOUNTED = frozenset({"static", "health.healthz", "health.readyz"})
# Changes that every key may make, since they concern its own jobs. Any other change, also one that
# somebody adds and does not name here, needs an administrator's key.
MEMBER_BLUEPRINTS = frozenset({
    "jobs", "batches", "shares", "share_forms", "webhooks", "login", "parts", "part_picks",
    "textures",
})  # fmt: skip
MEMBER_PAGES = frozenset(
    f"pages.{name}"
    for name in (
        "submit", "cancel", "retry", "delete", "rename", "selection", "start_cutout",
        "submit_batch", "batch_action", "submit_mesh", "submit_speech", "texture",
    )
)  # fmt: skip
SUBMITS = frozenset({
    "jobs.submit", "jobs.retry", "batches.submit", "batches.retry_failed",
    "pages.submit", "pages.retry", "pages.selection", "pages.start_cutout", "pages.submit_batch",
    "pages.submit_mesh", "pages.submit_speech", "pages.tune_start", "webhooks.resend",
    "part_picks.ask", "textures.ask", "pages.texture",
})  # fmt: skip


class RequestKind(StrEnum):
    """What a request counts as."""

    SUBMIT = "submits"
    READ = "reads"


def is_open() -> bool:
    """Whether the request needs no key."""
    return request.endpoint in OPEN


def needs_admin() -> bool:
    """Whether the request changes more than the jobs of its key."""
    if request.method in SAFE_METHODS or request.endpoint is None:
        return False
    is_own = request.blueprint in MEMBER_BLUEPRINTS or request.endpoint in MEMBER_PAGES
    return not is_own


def kind_of_request() -> RequestKind:
    """Whether the request asks for work or looks at something."""
    asks = request.endpoint in SUBMITS and request.method == "POST"
    return RequestKind.SUBMIT if asks else RequestKind.READ
