from __future__ import annotations

import pytest

from backend.cli.main import main


@pytest.fixture
def secret(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MESHKILN_DATA_DIR", str(tmp_path / "data"))

    def show(*options):
        assert main(["webhook-secret", *options]) == 0
        return capsys.readouterr()

    return show


def test_the_secret_is_made_once_and_shown_alone(secret):
    first, again = secret(), secret()
    assert first.out == again.out
    assert first.out.startswith("whsec_")
    assert first.out.count("\n") == 1
    assert first.err == ""


def test_rotating_keeps_the_old_one_until_it_is_dropped(secret):
    old = secret().out
    rotated = secret("--rotate")
    assert rotated.out != old
    assert "--drop-old" in rotated.err
    assert old.strip() not in rotated.out + rotated.err
    dropped = secret("--drop-old")
    assert (dropped.out, dropped.err) == (rotated.out, "")
