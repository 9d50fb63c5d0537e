"""Programs of others that the server hosts: what went wrong inside them, or with them."""

from __future__ import annotations

from backend.errors.generation import GenerationFailed


class HostedEngineCrashed(GenerationFailed):
    """The process of a hosted engine ended in the middle of a call."""

    code = "hosted-engine-crashed"
    title = "The hosted engine's process ended"
    default_advice = "Retry: the next call starts it again. Its last words are in the server's log."
    retryable = True


class HostedEngineFailed(GenerationFailed):
    """The hosted program raised an error of its own."""

    code = "hosted-engine-failed"
    title = "The hosted engine reported an error"
    default_advice = "The message is the engine's own; its traceback is in the server's log."


class HostedEngineSilent(GenerationFailed):
    """A hosted engine did not answer in time and was ended."""

    code = "hosted-engine-silent"
    http_status = 504
    title = "The hosted engine did not answer in time"
    default_advice = "Retry with a shorter input; look at the server's log for what it did."
    retryable = True
