"""The root of the tree of errors, and those that belong to no branch."""

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
