"""What of a piece of advice is put to the test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.profiling.advice.advice import Advice
from backend.profiling.experiment import Value


@dataclass(frozen=True)
class Proposal:
    """What of a piece of advice its trial needs.

    Parameters
    ----------
    setting : str
        What it changes; empty where only a person can act.
    strength : float
        As in `Advice`.
    """

    advice_id: str
    title: str
    setting: str
    new: Value
    strength: float

    @classmethod
    def of(cls, advice: Advice) -> Proposal:
        """Take it from the advice."""
        action = advice.action
        setting, new = (action.setting, action.new) if action else ("", None)
        return cls(advice.advice_id, advice.title, setting, new, advice.strength)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Proposal:
        """Take it from what ``Advice.to_document`` wrote."""
        action = document["action"] or {"setting": "", "to": None}
        gain = document["gain"]
        strength = gain["s_per_job"] if gain else document.get("strength") or 0.0
        return cls(
            document["id"], document["title"], action["setting"], action["to"], float(strength)
        )
