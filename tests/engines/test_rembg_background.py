from __future__ import annotations

import importlib.util

from backend.engines import rembg_background as module
from backend.engines.rembg_background import RembgBackground


def test_without_the_package_it_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "not installed" in RembgBackground().available()


def test_without_its_model_it_says_how_to_get_it_and_never_downloads(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    assert "rembg d" in RembgBackground().available()
    (tmp_path / f"{module.MODEL}.onnx").write_bytes(b"model")
    assert RembgBackground().available() is None
