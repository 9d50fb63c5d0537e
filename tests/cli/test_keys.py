from __future__ import annotations

import re

import pytest

from backend.cli.main import main
from backend.cli.remote import call, key_header
from backend.jobs.access.access import Access
from backend.jobs.store import JobStore
from backend.settings import Settings
from backend.units import SystemClock


@pytest.fixture
def keys(tmp_path, monkeypatch, capsys):
    """Run ``keys`` on an empty data folder; returns the status and what was printed."""
    monkeypatch.setenv("MESHKILN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def access(tmp_path):
    settings = Settings(data_dir=tmp_path)
    store = JobStore(settings.sql_url)
    yield Access(store.engine, settings, SystemClock())
    store.close()


def test_a_key_is_printed_once_alone_on_its_line(keys, access):
    status, secret, note = keys("keys", "create", "ann", "--max-queued", "5", "--expires-days", "1")
    assert status == 0
    assert re.fullmatch(r"mk_[A-Za-z0-9_-]{43}\n", secret)
    assert "cannot be shown again" in note
    found = access.keys.find(secret.strip())
    assert (found.name, found.limits.max_queued_jobs, found.is_admin) == ("ann", 5, False)
    assert found.expires_at is not None
    _, listed, _ = keys("keys", "list")
    assert secret.strip() not in listed
    assert found.prefix in listed
    assert "own jobs" in listed


def test_revoking(keys, access):
    _, secret, _ = keys("keys", "create", "boss", "--admin")
    assert "everything" in keys("keys", "list")[1]
    status, said, _ = keys("keys", "revoke", secret[:11])
    assert (status, "Revoked boss" in said) == (0, True)
    assert access.keys.find(secret.strip()) is None
    assert "revoked" in keys("keys", "list")[1]
    status, _, error = keys("keys", "revoke", "boss")
    assert status == 1
    assert "keys list" in error


def test_an_empty_list_says_how_to_make_one(keys):
    assert "keys create NAME" in keys("keys", "list")[1]


@pytest.mark.parametrize("option", ["--max-queued", "--expires-days", "--reads-per-min"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "1e12"])
def test_limits_are_numbers_above_zero(keys, option, value, capsys):
    with pytest.raises(SystemExit):
        keys("keys", "create", "ann", f"{option}={value}")


def test_the_audit_log_is_shown_and_cannot_steer_the_terminal(keys, access):
    keys("keys", "create", "ann")
    access.audit.record("login.failed", "x\x1b[2J\r\nforged", client="10.0.0.1")
    status, shown, _ = keys("audit")
    assert status == 0
    assert "key.created" in shown
    assert "10.0.0.1" in shown
    assert "\x1b[2J" not in shown
    assert "\r" not in shown
    assert "key.created" not in keys("audit", "--since", "2099-01-01")[1]


def test_a_server_beyond_this_machine_asks_for_a_key_first(keys, tmp_path):
    folder = tmp_path / "other"
    status, _, error = keys("serve", "--host", "0.0.0.0", "--data-dir", str(folder))
    assert status == 1
    assert "reachable from other machines" in error
    assert f"keys create NAME --admin --data-dir {folder}" in error


def test_the_old_option_is_explained(keys):
    status, _, error = keys("serve", "--host", "0.0.0.0", "--allow-network")
    assert status == 1
    assert "asks for keys" in error


def test_commands_show_the_key_of_the_environment(monkeypatch):
    assert key_header() == {}
    monkeypatch.setenv("MESHKILN_KEY", " mk_x\n")
    sent = {}

    class Answer:
        status_code = 200

    def request(method, url, **options):
        sent.update(options)
        return Answer()

    monkeypatch.setattr("requests.request", request)
    call("GET", "http://x/", headers={"A": "b"})
    assert sent["headers"] == {"Authorization": "Bearer mk_x", "A": "b"}
