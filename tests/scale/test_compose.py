"""The container files name what exists; no engine runs here, so they are read, not run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from backend.cli.main import _parser
from backend.settings import ENV_PREFIX, Settings

REPO = Path(__file__).parents[2]
OURS = ("web", "worker-cpu", "worker-gpu")
KNOWN = {ENV_PREFIX + field.name.upper() for field in fields(Settings)}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((REPO / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def dockerfile():
    return (REPO / "docker" / "Dockerfile").read_text()


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_variable_is_understood(compose, name):
    service = compose["services"][name]
    args = _parser().parse_args(service["command"])
    assert args.only == ("web" if name == "web" else "worker")
    assert set(service["environment"]) <= KNOWN


@pytest.mark.parametrize("name", OURS)
def test_parts_share_what_a_part_needs(compose, name):
    needed = {"MESHKILN_REDIS_URL", "MESHKILN_DATABASE_URL", "MESHKILN_STORE_URL"}
    shared = compose["services"]["web"]["environment"]
    given = compose["services"][name]["environment"]
    assert {key: given[key] for key in needed} == {key: shared[key] for key in needed}
    assert "store:/store" in compose["services"][name]["volumes"]


def test_every_service_is_watched_and_waits_for_what_it_needs(compose):
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"], name
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][needed]


def test_profiles_choose_one_kind_of_worker(compose):
    profiles = {name: compose["services"][name].get("profiles") for name in OURS}
    assert profiles == {"web": None, "worker-cpu": ["cpu"], "worker-gpu": ["gpu"]}
    gpu = compose["services"]["worker-gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert gpu["build"]["args"] == {"VARIANT": "gpu"}
    assert gpu["image"] != compose["services"]["worker-cpu"]["image"]


def test_nothing_is_published_beyond_this_machine_unasked(compose):
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {"web": ["${MESHKILN_PUBLISH:-127.0.0.1:7860}:7860"]}


def test_named_volumes_are_declared(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source, _, target = volume.rpartition(":/")
            if target and source and not source.startswith(("/", "$")):
                assert source in compose["volumes"]


def test_the_image_holds_what_is_there_and_runs_as_nobody_special(dockerfile):
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (REPO / source).exists(), source
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["meshkiln"]
    kept = (REPO / "docker" / "Dockerfile.dockerignore").read_text()
    for needed in ("!backend", "!frontend", "!requirements*.txt", "!docker/health.py"):
        assert needed in kept


def test_health_of_a_web_process_that_is_not_there_is_bad():
    env = os.environ | {"MESHKILN_PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "docker.health", "web"],
        env=env, cwd=REPO, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
