"""The start script, with a scripted nvidia-smi, docker and server beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from backend.settings import Settings

SCRIPT = Path(__file__).parents[2] / "script"
CARDS = """\
0, GPU-aaaa, NVIDIA RTX 4090, 550.54, 9000, 24564
1, GPU-bbbb, NVIDIA RTX 4090, 550.54, 120, 24564
2, GPU-cccc, NVIDIA A10, 550.54, 4000, 23028
"""


@pytest.fixture
def place(tmp_path):
    """A copy of the scripts beside a server and programs that write down how they were called."""
    for name in ("start-with-gpu-management", "environment"):
        (tmp_path / "script").mkdir(exist_ok=True)
        shutil.copy(SCRIPT / name, tmp_path / "script" / name)
    (tmp_path / "bin").mkdir()
    program(tmp_path / "script" / "server", 'printf "%s\\n" "$@"')
    return tmp_path


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def has_cards(place: Path, cards: str = CARDS) -> None:
    program(place / "bin" / "nvidia-smi", f"cat <<'END'\n{cards}END")


def has_docker(place: Path) -> None:
    keep = f'cat "$5" > {place}/override.json; printf "%s\\n" "$@"; echo "$MESHKILN_PUBLISH"'
    program(place / "bin" / "docker", f'case $* in *" up "*) {keep} ;; esac')
    (place / ".env").write_text("POSTGRES_PASSWORD=secret\n")


def start(place: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "HOME": str(place),
        "MESHKILN_PYTHON": sys.executable,
        "MESHKILN_PORT": str(free_port()),
    }
    return subprocess.run(
        [place / "script" / "start-with-gpu-management", *options],
        env=given | env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def refused(place: Path, *options: str, **env: str) -> str:
    ended = start(place, *options, **env)
    assert ended.returncode == 1
    assert ended.stdout == "", "something was started"
    assert "\n  → " in ended.stderr, "no advice"
    return ended.stderr


def test_it_takes_the_least_used_gpu_and_says_what_it_starts(place):
    has_cards(place)
    ended = start(place, MESHKILN_PORT=(port := str(free_port())))
    assert ended.stdout.split() == ["--gpu", "GPU-bbbb", "--enable-gpu-management"]
    said = ended.stderr
    assert "NVIDIA RTX 4090, driver 550.54, 120 of 24564 MB in use" in said
    for path in ("/", "/api/v1/jobs", "/gpu", "/api/gpu/status"):
        assert f"http://127.0.0.1:{port}{path}" in said
    rules = Settings()
    assert (
        f"policy {rules.residency}; idle models leave the GPU after {rules.idle_offload_s:g} s, "
        f"host memory after {rules.idle_release_s:g} s"
    ) in said


def test_options_pass_through_and_are_told(place):
    has_cards(place)
    (place / "own models").mkdir()
    options = (
        "--model-path", "own models", "--enable-gpu-management", "--gpu-idle-timeout=120",
        "--enable-auto-transcribe", "--port", str(free_port()), "--residency", "resident",
        "--precision", "bf16",
    )  # fmt: skip
    ended = start(place, *options)
    assert ended.stdout.splitlines() == ["--gpu", "GPU-bbbb", *options]
    assert "policy resident; " in ended.stderr
    assert "host memory after 120 s" in ended.stderr
    assert "own models" in ended.stderr


@pytest.mark.parametrize(
    ("asked", "taken"),
    [("2", "GPU-cccc"), ("GPU-aaaa", "GPU-aaaa"), ("0,2", "0,2"), ("cpu", "cpu"), ("all", "all")],
)
def test_a_gpu_that_was_asked_for_is_taken(place, asked, taken):
    has_cards(place)
    options = [f"--gpu={asked}"] if asked == "cpu" else ["--gpu", asked]
    assert start(place, *options).stdout.split()[:2] == ["--gpu", taken]


def test_a_gpu_that_is_not_there_is_refused(place):
    has_cards(place)
    assert "nvidia-smi shows no GPU 7." in refused(place, "--gpu", "7")


def test_without_a_gpu_it_says_so_and_runs_on_the_processor(place):
    program(place / "bin" / "nvidia-smi", "echo 'NVIDIA-SMI has failed' >&2; exit 9")
    ended = start(place)
    assert ended.stdout.split() == ["--gpu", "cpu", "--enable-gpu-management"]
    assert "models run on the processor" in ended.stderr


def test_management_that_is_off_stays_off(place):
    has_cards(place)
    ended = start(place, "--disable-gpu-management")
    assert ended.stdout.split() == ["--gpu", "GPU-bbbb", "--disable-gpu-management"]
    assert "Management   off" in ended.stderr


def test_a_port_in_use_is_refused(place):
    has_cards(place)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"Port {port} on 127.0.0.1 cannot be used." in refused(place, "--port", port)


def test_folders_and_disk_are_checked_before_anything_starts(place):
    has_cards(place)
    assert "models nowhere does not exist" in refused(place, "--model-path", "nowhere")
    (place / "speech").mkdir()
    assert "it has no tts.py" in refused(place, "--speech-path", "speech")
    (place / "speech" / "tts.py").touch()
    assert "speech/.venv/bin/python does not exist" in refused(place, "--speech-path", "speech")
    said = start(place, "--speech-path", "speech", "--speech-python", sys.executable).stderr
    assert "Speech       speech\n" in said
    assert "uploads are refused" in refused(place, MESHKILN_DISK_FLOOR_MB="999999999")


def test_containers_get_the_card_and_the_options_of_workers(place):
    has_cards(place)
    has_docker(place)
    (place / "m").mkdir()
    port = str(free_port())
    ended = start(
        place, "--gpu-idle-timeout", "300", "--docker", "--port", port, "--model-path", "m"
    )
    assert ended.stdout.split()[:3] == ["compose", "-f", "compose.yaml"]
    assert ended.stdout.split()[5:] == ["--profile", "gpu", "up", "-d", f"127.0.0.1:{port}"]
    worker = json.loads((place / "override.json").read_text())["services"]["worker-gpu"]
    assert worker["command"] == [
        "serve", "--only", "worker", "--gpu", "GPU-bbbb", "--gpu-idle-timeout", "300",
        "--enable-gpu-management",
    ]  # fmt: skip
    assert not Path(ended.stdout.split()[4]).exists(), "the file is left behind"


def test_containers_refuse_what_cannot_reach_into_them(place):
    has_cards(place)
    said = refused(place, "--docker", "--enable-auto-transcribe", "--host", "0.0.0.0")
    assert "not possible: --enable-auto-transcribe --host." in said
    assert "docker compose was not found" in refused(place, "--docker", PATH=without_docker(place))
    has_docker(place)
    (place / ".env").unlink()
    assert "no password" in refused(place, "--docker")


def without_docker(place: Path) -> str:
    program(place / "bin" / "docker", "exit 1")
    return f"{place}/bin:{os.defpath}"


def test_the_gpu_that_the_environment_names_is_taken(place):
    has_cards(place)
    assert start(place, MESHKILN_GPU="2").stdout.split()[:2] == ["--gpu", "GPU-cccc"]
    assert start(place, "--gpu=cpu", MESHKILN_GPU="2").stdout.split()[:2] == ["--gpu", "cpu"]


def test_a_folder_at_home_is_found_as_the_server_finds_it(place):
    (place / "my models").mkdir()
    ended = start(place, "--model-path=~/my models")
    assert "--model-path=~/my models" in ended.stdout.splitlines()
    assert f"Models       {place}/my models" in ended.stderr
