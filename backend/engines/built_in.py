"""What the built-in engines have in common: they need nothing and can run anywhere."""

from __future__ import annotations

from backend.catalog import CutOutParams
from backend.engines.engine import Needs


class BuiltIn:
    """An engine without weights; each says itself what it costs and how it runs."""

    needs = Needs()

    def available(self) -> str | None:
        """Run anywhere."""
        return None

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})
