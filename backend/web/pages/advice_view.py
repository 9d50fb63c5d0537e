"""What the performance page shows of the advice: what to change first, and what came of it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.profiling.advice.advice import AdviceKind, Confidence, Method, QualityRisk
from backend.profiling.experiment import ExperimentState, RevertReason, Value
from backend.profiling.trial_interval import MOST_PAIRS
from backend.runtime_settings import RUNTIME_SETTINGS
from backend.units import MB

Document = Mapping[str, Any]

ITEMS_SHOWN = 5
EXPERIMENTS_SHOWN = 20
KIND_WORDS: Mapping[str, str] = {
    AdviceKind.WARNING: "Warning",
    AdviceKind.ADVICE: "Advice",
    AdviceKind.EXPERIMENT: "Worth measuring",
    AdviceKind.NOTE: "Note",
}
CONFIDENCE_WORDS: Mapping[str, str] = {
    Confidence.HIGH: "high: measured on your own jobs",
    Confidence.MEDIUM: "medium: worked out from times measured here",
    Confidence.LOW: "low: a bound, not a forecast",
}
RISK_WORDS: Mapping[str, str] = {
    QualityRisk.NONE: "none: the result stays the same",
    QualityRisk.LOSSY: "the result may change, so look at both before you keep it",
}
METHOD_WORDS: Mapping[str, str] = {
    Method.AMDAHL: "the stage's share of the job",
    Method.ROOFLINE: "the peaks of the device",
    Method.AB_MEASURED: "jobs run in turn with both values",
    Method.QUEUEING: "arrivals and waits in the queue",
}
REASON_WORDS: Mapping[str, str] = {
    RevertReason.SLOWER: "slower",
    RevertReason.OUT_OF_MEMORY: "a job ran out of memory",
    RevertReason.FAILURES: "jobs failed",
}
OPEN_STATES = frozenset({None, ExperimentState.PROPOSED, ExperimentState.DISMISSED})
REVERTIBLE = frozenset({ExperimentState.APPLIED, ExperimentState.CONFIRMED})
NEVER_S = -1


@dataclass(frozen=True)
class SettingChange:
    """A setting and its two values in words.

    Parameters
    ----------
    title : str
        What it is, for people; its name where there is no better one.
    is_open : bool
        Whether this page may change it.
    is_between_jobs : bool
        Whether no pair of jobs can judge it; the GPU page changes such settings.
    """

    name: str
    title: str
    old: str
    new: str
    is_open: bool
    is_between_jobs: bool = False


@dataclass(frozen=True)
class AdviceItem:
    """One piece of advice as it is shown.

    Parameters
    ----------
    anchor : str
        Its identifier as it may stand in an attribute.
    gain : mapping or None
        Seconds: ``s_per_job``, ``low``, ``high`` and ``ceiling``.
    button : str or None
        What the button that puts it to the test is called; None where there is none.
    can_dismiss : bool
        Whether it may be put away: nothing of it is tested or in force.
    standing : str or None
        Where a test of it stands.
    on_trial : bool
        Whether it is being tested now.
    facts : list of tuple
        Name and value of each figure behind it.
    digest : str
        Changes with the figures.
    """

    advice_id: str
    anchor: str
    kind: str
    kind_words: str
    title: str
    detail: str
    gain: Document | None
    n: int | None
    confidence: str
    risk: str
    change: SettingChange | None
    button: str | None
    can_dismiss: bool
    standing: str | None
    on_trial: bool
    facts: list[tuple[str, str]]
    digest: str


@dataclass(frozen=True)
class ExperimentRow:
    """A piece of advice that was applied or dismissed, and what came of it.

    Parameters
    ----------
    pairs : tuple of int or None
        Pairs of jobs measured and wanted, while it is on trial.
    ratio, low, high : float or None
        Time with the old value over time with the new one.
    """

    advice_id: str
    anchor: str
    title: str
    pipeline: str | None
    shape_key: str | None
    change: SettingChange
    state: str
    standing: str
    pairs: tuple[int, int] | None
    ratio: float | None
    low: float | None
    high: float | None
    applied_at: str | None
    decided_at: str | None
    can_revert: bool


@dataclass(frozen=True)
class AdvicePanel:
    """Both lists; ``note`` says what is missing for advice, ``most_pairs`` how long a trial is."""

    items: list[AdviceItem]
    experiments: list[ExperimentRow]
    note: str | None
    most_pairs: int = MOST_PAIRS

    @property
    def first(self) -> AdviceItem | None:
        """What to look at first."""
        return self.items[0] if self.items else None


def advice_panel(document: Document | None) -> AdvicePanel:
    """Write what the templates show.

    Parameters
    ----------
    document : mapping or None
        As ``GET /api/performance/recommendations`` answers; None is shown as no advice.
    """
    known = document or {}
    items = [advice_item(item) for item in (known.get("items") or [])[:ITEMS_SHOWN]]
    tried = (known.get("experiments") or [])[:EXPERIMENTS_SHOWN]
    return AdvicePanel(items, [experiment_row(entry) for entry in tried], known.get("note"))


def advice_item(item: Document) -> AdviceItem:
    """Write one piece of advice."""
    verify = item.get("verify") or {}
    facts = [(words_of(name), fact_text(name, value)) for name, value in item["evidence"].items()]
    facts.append(("Worked out by", METHOD_WORDS.get(item["method"], words_of(item["method"]))))
    n = item["evidence"].get("n")
    return AdviceItem(
        advice_id=item["id"],
        anchor=anchor_of(item["id"]),
        kind=item["kind"],
        kind_words=KIND_WORDS.get(item["kind"], words_of(item["kind"])),
        title=item["title"],
        detail=item["detail"],
        gain=item.get("gain"),
        n=n if isinstance(n, int) else None,
        confidence=CONFIDENCE_WORDS.get(item["confidence"], item["confidence"]),
        risk=RISK_WORDS.get(item["quality_risk"], item["quality_risk"]),
        change=_change_of(item.get("action")),
        button=_button(item, verify.get("state")),
        can_dismiss=verify.get("state") in OPEN_STATES,
        standing=_standing_of(verify),
        on_trial=verify.get("state") == ExperimentState.APPLIED,
        facts=facts,
        digest=f"{zlib.crc32(repr(facts).encode()):x}",
    )


def experiment_row(entry: Document) -> ExperimentRow:
    """Write one experiment."""
    low, high = entry.get("ci") or (None, None)
    state = entry["state"]
    on_trial = state == ExperimentState.APPLIED
    return ExperimentRow(
        advice_id=entry["id"],
        anchor=anchor_of(f"{entry['id']}-{entry.get('pipeline')}-{entry.get('shape_key')}"),
        title=entry.get("title") or entry["id"],
        pipeline=entry.get("pipeline"),
        shape_key=entry.get("shape_key"),
        change=setting_change(entry["setting"], entry["from"], entry["to"], is_open=True),
        state=state,
        standing=_standing_of(entry) or words_of(state),
        pairs=(entry["pairs_done"], entry["pairs"]) if on_trial else None,
        ratio=entry.get("ratio"),
        low=low,
        high=high,
        applied_at=entry.get("applied_at"),
        decided_at=entry.get("decided_at"),
        can_revert=state in REVERTIBLE,
    )


def setting_change(name: str, old: Value, new: Value, *, is_open: bool) -> SettingChange:
    """Name a setting and its two values."""
    known = RUNTIME_SETTINGS.get(name)
    title = known.title if known else words_of(name)
    between = known is not None and known.acts_between_jobs
    return SettingChange(
        name, title, value_text(name, old), value_text(name, new), is_open, between
    )


def value_text(name: str, value: Value) -> str:
    """Write the value of a setting.

    >>> value_text("idle_offload_s", -1.0), value_text("idle_offload_s", 300.0)
    ('never', '300 s')
    >>> value_text("pinned_memory", True), value_text("residency", None)
    ('on', 'not set')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if not name.endswith("_s"):
        return f"{value:g}"
    return "never" if value == NEVER_S else f"{value:g} s"


def fact_text(name: str, value: object) -> str:
    """Write one figure of the evidence with its unit, which its name tells.

    >>> fact_text("now_s", 0.4212), fact_text("gpu_busy", 0.25), fact_text("others_mb", 812.4)
    ('0.421 s', '0.25', '812 MB')
    >>> fact_text("throttled_share", 0.25), fact_text("restore_s", None)
    ('25 %', 'unknown')
    >>> fact_text("now_bytes", 1048576), fact_text("window", "2026-11-20/2026-11-21")
    ('1 MB', '2026-11-20 to 2026-11-21')
    """
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value).replace("/", " to ") if name == "window" else str(value)
    if name.endswith("_bytes"):
        return f"{value / MB:.3g} MB"
    if name.endswith("_mb"):
        return f"{value:.0f} MB"
    if name.endswith("_pct"):
        return f"{value:.3g} %"
    if name == "share" or name.endswith("_share"):
        return f"{100 * value:.3g} %"
    text = f"{value:g}" if isinstance(value, int) else f"{value:.3g}"
    return f"{text} s" if name.endswith("_s") and not name.endswith("_per_s") else text


def words_of(name: str) -> str:
    """Write a name as words, without the unit at its end.

    >>> words_of("faster_level"), words_of("now_s"), words_of("n")
    ('Faster level', 'Now', 'Runs')
    """
    if name == "n":
        return "Runs"
    bare = name if name.endswith("_per_s") else re.sub(r"_(s|mb|pct|bytes)$", "", name)
    return bare.replace("_", " ").capitalize()


def anchor_of(identifier: str) -> str:
    """Write an identifier so that it may be an ``id`` of HTML.

    >>> anchor_of("R16.mesh_export")
    'R16-mesh_export'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", identifier)


def _change_of(action: Document | None) -> SettingChange | None:
    if action is None:
        return None
    return setting_change(action["setting"], action["from"], action["to"], is_open=_is_open(action))


def _is_open(action: Document) -> bool:
    """Whether the setting can be changed while the server runs."""
    return bool(action["available"]) and not action["needs_restart"]


def _button(item: Document, state: str | None) -> str | None:
    """Name the button; what cannot be changed here or may spoil results has none."""
    action = item.get("action")
    if not action or not _is_open(action) or item["quality_risk"] != QualityRisk.NONE:
        return None
    if state not in OPEN_STATES:
        return None
    return "Measure" if item["kind"] == AdviceKind.EXPERIMENT else "Apply"


def _standing_of(test: Document) -> str | None:
    """Say where a test stands; None before it was begun."""
    state, reason = test.get("state"), test.get("reason")
    if state in (None, ExperimentState.PROPOSED):
        return None
    if state == ExperimentState.APPLIED:
        done, wanted = test.get("pairs_done"), test.get("pairs")
        return "on trial" if done is None else f"on trial, {done} of {wanted} pairs"
    if state == ExperimentState.AUTO_REVERTED:
        return f"taken back: {REASON_WORDS.get(str(reason), words_of(str(reason)).lower())}"
    return {
        ExperimentState.CONFIRMED.value: "confirmed",
        ExperimentState.NO_EFFECT.value: "no gain of 3 % or more",
        ExperimentState.NOT_CLEAR.value: "not clear",
        ExperimentState.DISMISSED.value: "taken back" if test.get("applied_at") else "dismissed",
    }.get(state, words_of(state).lower())
