from __future__ import annotations

import importlib.util
import socket

import pytest

from backend.cli import doctor
from backend.cli.doctor import Verdict, examine, print_report
from backend.settings import Settings


@pytest.fixture
def settings(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings.from_env({}, data_dir=tmp_path, port=port, disk_floor_mb=1)


@pytest.fixture
def bare(monkeypatch):
    """A machine without the optional packages."""
    really = importlib.util.find_spec
    optional = ("torch", "flash_attn", "rembg")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in optional else really(name)
    )


def test_what_is_missing_comes_with_its_cost_and_cure(settings, bare):
    checks = {check.name: check for check in examine(settings)}
    for name in ("torch", "flash_attn", "rembg"):
        assert checks[name].verdict is Verdict.MISSING
        assert checks[name].cost
        assert "pip install" in checks[name].cure


def test_absent_extras_do_not_count_as_broken(settings, bare, capsys):
    assert print_report(settings) == 0
    shown = capsys.readouterr().out
    assert "costs:" in shown
    assert "rembg[cpu]" in shown


def test_a_full_disk_is_broken(settings, monkeypatch, capsys):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: type("D", (), {"free": 0})())
    assert print_report(settings) == 1
    assert "uploads are refused" in capsys.readouterr().out


def test_a_taken_port_is_noticed(settings):
    with socket.create_server((settings.host, settings.port)):
        checks = {check.name: check for check in examine(settings)}
    port = checks[f"Port {settings.port}"]
    assert port.verdict is Verdict.MISSING
    assert "--port" in port.cure


def test_examining_changes_nothing(settings):
    examine(settings)
    assert list(settings.data_dir.iterdir()) == []
