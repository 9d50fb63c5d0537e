"""Documentation pages, drawn from the same sources as the API itself."""

from __future__ import annotations

from flask import Blueprint, render_template

from backend.errors import MeshkilnError
from backend.web.api.openapi import document


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/docs/api", view_func=api)
    blueprint.add_url_rule("/docs/problems", view_func=problems)


def api() -> str:
    """List every route."""
    return render_template("pages/api.html", document=document())


def problems() -> str:
    """List every problem code."""
    leaves = sorted(_leaves(MeshkilnError), key=lambda cls: cls.code)
    return render_template("pages/problems.html", problems=leaves)


def _leaves(cls: type[MeshkilnError]) -> list[type[MeshkilnError]]:
    children = cls.__subclasses__()
    if not children:
        return [cls] if cls.__module__.startswith("backend.errors.") else []
    return [leaf for child in children for leaf in _leaves(child)]
