"""Which host a program gets: one in this process, or one under an interpreter of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.errors import InvalidParameter
from backend.residency.managed.host import Host
from backend.residency.managed.unmovable import Movable, Unmovable
from backend.settings import Settings
from backend.units import MB


def make_host(
    name: str,
    factory: Callable[..., Any] | str,
    *,
    movable: Movable,
    unmovable: Sequence[Unmovable],
    venv: str | Path | None,
    path: Sequence[str | Path],
    arguments: Mapping[str, Any],
    budget_mb: int | None,
    timeout_s: float | None,
    version: str,
    cached: Sequence[str],
    device: Callable[[], str],
    on_gone: Callable[[], None],
) -> Host:
    """Make the host that the arguments of a ``ManagedEngine`` ask for.

    Raises
    ------
    InvalidParameter
        They contradict each other.
    """
    if venv is None:
        _refuse_child_only(factory, path, cached, timeout_s)
        from backend.residency.managed.in_process import InProcessHost

        return InProcessHost(
            name, _called(factory), arguments=arguments, movable=movable, unmovable=unmovable,
            budget_bytes=(budget_mb or 0) * MB,
        )  # fmt: skip
    if not isinstance(factory, str) or ":" not in factory:
        raise InvalidParameter(
            f"{name}: a program in a process of its own is named as text.",
            advice="Give 'module:callable' as its factory; 'path' says where the module is.",
        )
    if unmovable:
        raise InvalidParameter(
            f"{name}: hooks of this process cannot reach into another one.",
            advice="Let the program call meshkiln_guest.on_offload(callback) over there.",
        )
    from backend.residency.managed.guest_host import GuestHost

    settings = Settings.from_env()
    host = GuestHost(
        name, factory, python=venv, path=path, arguments=arguments, movable=movable,
        cached=cached, cache_dir=settings.stage_cache_dir,
        cache_mb=settings.stage_cache_mb, version=version, timeout_s=timeout_s, device=device,
    )  # fmt: skip
    host.on_gone = on_gone
    return host


def _refuse_child_only(
    factory: Callable[..., Any] | str,
    path: Sequence[str | Path],
    cached: Sequence[str],
    timeout_s: float | None,
) -> None:
    """Refuse what only a process of its own can do; raises InvalidParameter."""
    asked = {
        "a factory as text": isinstance(factory, str),
        "path": bool(path),
        "cached": bool(cached),
        "timeout_s": timeout_s is not None,
    }
    wrong = [what for what, given in asked.items() if given]
    if wrong:
        raise InvalidParameter(
            f"Without 'venv' there can be no {' and no '.join(wrong)}.",
            advice="Give 'venv', a Python interpreter or a virtual environment's folder.",
        )


def _called(factory: Callable[..., Any] | str) -> Callable[..., Any]:
    if isinstance(factory, str):
        raise TypeError("a factory as text was refused before")
    return factory
