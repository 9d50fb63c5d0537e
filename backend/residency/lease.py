"""A lease: the right to use a model on the device, until it is released."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any


class Lease:
    """Holds a model on the device.

    Use it in a ``with`` statement, or call ``release`` once the work is queued; releasing twice
    is harmless.

    Parameters
    ----------
    name : str
        The model's name; 'memory' for a lease on memory alone.
    model : object
        What the loader returned, usable on the device.
    """

    __slots__ = ("_end", "model", "name")

    def __init__(self, name: str, model: Any, end: Callable[[Lease], None]) -> None:
        self.name = name
        self.model = model
        self._end: Callable[[Lease], None] | None = end

    @property
    def released(self) -> bool:
        """Whether the lease has ended."""
        return self._end is None

    def release(self) -> None:
        """End the lease."""
        end, self._end = self._end, None
        if end is not None:
            self.model = None  # a lease that is kept must not keep the weights
            end(self)

    def __enter__(self) -> Any:
        return self.model

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
