"""Hears how far a call is, and ends it when nobody wants it any more."""

from __future__ import annotations

import sys
from typing import Any


def host() -> Any:
    """Return what speaks for the server here; None in a process without one."""
    return sys.modules.get("meshkiln_guest")


class Listener:
    """Counts what language models generate, one forward pass a token, and looks for a cancel.

    Parameters
    ----------
    roots : list of Module
        Their submodules are hooked, not replaced; a root that is moved keeps its hooks.

    Attributes
    ----------
    tokens : int or None
        Generated since ``begin``; None where no module generates tokens, so that nobody knows.
    """

    def __init__(self, roots: list[Any]) -> None:
        self.tokens: int | None = None
        self._counts = False
        inside: set[int] = set()
        for root in roots:
            for module in root.modules():  # from the outside in
                if id(module) not in inside and callable(getattr(module, "generate", None)):
                    # parts of it may have the method too, and would count each token again
                    inside.update(map(id, module.modules()))
                    module.register_forward_hook(self._generated)
                elif any(True for _ in module.children()) and not _is_compiled(module):
                    module.register_forward_pre_hook(self._look)

    def begin(self) -> None:
        """Start to count anew."""
        self.tokens = 0 if self._counts else None

    def _generated(self, *_: Any) -> None:
        self._counts = True
        self.tokens = (self.tokens or 0) + 1
        guest = host()
        if guest is not None:
            guest.report(self.tokens)

    def _look(self, *_: Any) -> None:
        guest = host()
        if guest is not None and guest.is_canceled():
            guest.report(self.tokens or 0)  # which raises what ends the call


def _is_compiled(module: Any) -> bool:
    """Whether a module runs outside of Python, where no hook is called."""
    return type(module).__module__.startswith("torch.jit")
