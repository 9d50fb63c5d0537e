"""Which engine does a stage: the one asked for, or the best that can run here."""

from __future__ import annotations

from backend.engines.engine import AnyEngine, Listing, Role
from backend.engines.gpu_presence import has_gpu
from backend.errors import EngineUnavailable
from backend.settings import Settings

AUTO = "auto"
_ADVICE = {
    Role.SPEECH: "Set up the program that speaks, as docs/speech.md says, and name its folder with "
    "--speech-path or MESHKILN_SPEECH_PATH."
}


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

        What takes hours without a GPU is not chosen by itself where there is none.

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
            if reason is None and name == AUTO:
                reason = _too_slow(engine)
            if reason is None:
                return engine
            reasons.append(f"{engine.name}: {reason}")
        raise EngineUnavailable("; ".join(reasons), advice=_ADVICE.get(role))


def _too_slow(engine: AnyEngine) -> str | None:
    if not engine.needs.is_too_slow_without_gpu or has_gpu(Settings.from_env()):
        return None
    return "without a GPU it takes hours, so that it has to be asked for by name"
