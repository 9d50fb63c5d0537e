"""Which engine does a stage: the one asked for, or the best that can run here."""

from __future__ import annotations

from backend.engines.engine import AnyEngine, Listing, Role
from backend.errors import EngineUnavailable

AUTO = "auto"


class EngineRegistry:
    """Engines by role and name.

    Parameters
    ----------
    listings : list of Listing
        All engines of this build.
    """

    def __init__(self, listings: list[Listing]) -> None:  # type: ignore[type-arg]
        self._listings = sorted(listings, key=lambda listing: -listing.rank)

    def names(self, role: Role) -> list[str]:
        """Names of the engines of a role, best first."""
        return [listing.engine.name for listing in self._listings if listing.role == role]

    def engines(self, role: Role) -> list[AnyEngine]:
        """Engines of a role, best first."""
        return [listing.engine for listing in self._listings if listing.role == role]

    def choose(self, role: Role, name: str = AUTO) -> AnyEngine:
        """Pick the engine named, or the best available one for ``auto``.

        Raises
        ------
        EngineUnavailable
            The engine does not exist or cannot run here; the detail says why.
        """
        candidates = [e for e in self.engines(role) if name in (AUTO, e.name)]
        if not candidates:
            raise EngineUnavailable(f"There is no {role} engine {name!r}.")
        reasons = []
        for engine in candidates:
            reason = engine.available()
            if reason is None:
                return engine
            reasons.append(f"{engine.name}: {reason}")
        raise EngineUnavailable("; ".join(reasons))
