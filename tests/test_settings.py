from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from backend.errors import StartFailed
from backend.settings import Settings

REPO = Path(__file__).parent.parent


def test_defaults_listen_on_loopback_7860():
    settings = Settings.from_env({"XDG_DATA_HOME": "/x"})
    assert (settings.host, settings.port) == ("127.0.0.1", 7860)
    assert settings.data_dir == Path("/x/meshkiln")
    assert settings.sql_url == "sqlite:////x/meshkiln/meshkiln.sqlite3"


def test_environment_is_read_by_type_with_its_provenance():
    env = {"MESHKILN_PORT": "81", "MESHKILN_LEASE_S": "2.5", "MESHKILN_ALLOWED_HOSTS": "a, b"}
    settings = Settings.from_env(env)
    assert (settings.port, settings.lease_s, settings.allowed_hosts) == (81, 2.5, ("a", "b"))
    assert settings.provenance["port"] == "MESHKILN_PORT"
    assert "host" not in settings.provenance


def test_command_line_beats_the_environment_and_none_does_not():
    settings = Settings.from_env({"MESHKILN_PORT": "81"}, port=82, host=None)
    assert (settings.port, settings.host) == (82, "127.0.0.1")
    assert settings.provenance["port"] == "command line"


def test_usual_names_of_redis_and_database_are_read():
    settings = Settings.from_env({"REDIS_URL": "redis://r", "DATABASE_URL": "postgresql://p"})
    assert settings.redis_url == "redis://r"
    assert settings.sql_url == "postgresql://p"


def test_unreadable_value_names_the_variable():
    with pytest.raises(StartFailed, match="MESHKILN_PORT='many'") as caught:
        Settings.from_env({"MESHKILN_PORT": "many"})
    assert "MESHKILN_PORT" in caught.value.advice


def test_every_setting_is_documented():
    text = (REPO / "docs" / "settings.md").read_text()
    names = {spec.name for spec in fields(Settings)} - {"provenance"}
    missing = {name for name in names if f"MESHKILN_{name.upper()}" not in text}
    assert missing == set()


def test_switches_are_read_as_words_and_survive_the_way_to_a_child():
    for text, value in (("off", False), ("0", False), ("True", True), ("yes", True)):
        assert Settings.from_env({"MESHKILN_GPU_MANAGEMENT": text}).gpu_management is value
    off = Settings.from_env({"MESHKILN_GPU_MANAGEMENT": "no"})
    assert Settings.from_env(off.to_env()).gpu_management is False
    with pytest.raises(StartFailed, match="not a valid bool"):
        Settings.from_env({"MESHKILN_GPU_MANAGEMENT": "perhaps"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RESIDENCY", "sometimes"),
        ("ATTENTION", "fastest"),
        ("DECODE", "sparse"),
        ("DECODE_CHUNK", "-1"),
        ("MAX_BATCH", "0"),
        ("MAX_BATCH", "65"),
        ("EXPORT_THREADS", "17"),
    ],
)
def test_a_value_that_is_none_of_its_setting_stops_the_start(name, text):
    with pytest.raises(StartFailed, match=f"MESHKILN_{name}='?{text}"):
        Settings.from_env({f"MESHKILN_{name}": text})


def test_settings_of_networks_are_read():
    env = {
        "MESHKILN_ATTENTION": "math",
        "MESHKILN_COMPILE_MODELS": "on",
        "MESHKILN_DECODE": "dense",
        "MESHKILN_DECODE_CHUNK": "8192",
        "MESHKILN_CFG_BATCH": "yes",
        "MESHKILN_MAX_BATCH": "1",
        "MESHKILN_OVERLAP": "off",
    }
    settings = Settings.from_env(env)
    assert {name: settings.to_env()[name] for name in env} == {
        "MESHKILN_ATTENTION": "math",
        "MESHKILN_COMPILE_MODELS": "True",
        "MESHKILN_DECODE": "dense",
        "MESHKILN_DECODE_CHUNK": "8192",
        "MESHKILN_CFG_BATCH": "True",
        "MESHKILN_MAX_BATCH": "1",
        "MESHKILN_OVERLAP": "False",
    }
    assert Settings.from_env(settings.to_env()) == settings
