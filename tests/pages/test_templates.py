"""What no template, style or script of ours may contain, and contrast by the WCAG formula."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FRONTEND = Path(__file__).parents[2] / "frontend"
TEMPLATES = sorted((FRONTEND / "templates").rglob("*.html"))
SCRIPTS = sorted((FRONTEND / "static" / "js").glob("*.js"))
TOKENS = (FRONTEND / "static" / "css" / "tokens.css").read_text()
GROUNDS = ("page", "surface", "raised")
TEXTS = ("text", "muted", "accent", "good", "warn", "bad")
PAIRS = [("good", "good-ground"), ("warn", "warn-ground"), ("bad", "bad-ground")]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_holds_no_script_of_its_own(path):
    text = path.read_text()
    assert not re.search(r"\bhx-on|\bjs:|javascript:|\son\w+\s*=", text)
    for script in re.findall(r"<script\b[^>]*>", text):
        assert "src=" in script or ('type="importmap"' in script and "nonce=" in script)
    assert not re.search(r"""(?:src|href)=["']https?://""", text)
    assert not re.search(r"\|\s*safe", text.replace("live|safe", ""))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_is_small_and_needs_no_eval(path):
    text = path.read_text()
    assert "eval(" not in text
    assert "new Function" not in text
    assert text.count("\n") < 300


def colour(name, dark):
    value = re.search(rf"--{name}:\s*(?:light-dark\((#\w+),\s*(#\w+)\)|(#\w+));", TOKENS)
    found = value[3] or value[2 if dark else 1]
    return tuple(int(found[i : i + 2], 16) / 255 for i in (1, 3, 5))


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_are_readable_on_every_ground(dark):
    for text in TEXTS:
        for ground in GROUNDS:
            ratio = contrast(colour(text, dark), colour(ground, dark))
            assert ratio >= 4.5, (text, ground, ratio)
    for text, ground in PAIRS:
        assert contrast(colour(text, dark), colour(ground, dark)) >= 4.5, text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_borders_of_controls_and_focus_are_visible(dark):
    for line in ("control-line", "accent-2"):
        for ground in ("page", "surface"):
            assert contrast(colour(line, dark), colour(ground, dark)) >= 3, (line, ground)


def test_ink_is_readable_all_along_the_gradient():
    start, end = colour("gradient-from", False), colour("gradient-to", False)
    ink = colour("on-gradient", False)
    for step in range(21):
        mixed = tuple(a + (b - a) * step / 20 for a, b in zip(start, end, strict=True))
        assert contrast(ink, mixed) >= 4.5


def test_pulse_stops_for_those_who_do_not_want_motion():
    styles = (FRONTEND / "static" / "css" / "components.css").read_text()
    assert "prefers-reduced-motion: reduce" in styles


def test_every_shortcut_in_the_help_is_handled():
    from backend.web.pages.shortcuts import SHORTCUTS

    script = (FRONTEND / "static" / "js" / "shortcuts.js").read_text()
    for keys, _ in SHORTCUTS:
        for key in keys.split():
            if key != "Esc":  # the browser closes dialogs itself
                assert re.search(rf'"{re.escape(key)}"|\b{re.escape(key)}:', script), key
