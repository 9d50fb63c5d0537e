"""Hosted programs in processes of their own; this one has no torch, so that it starts at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from backend.errors import (
    EngineUnavailable,
    HostedEngineCrashed,
    HostedEngineFailed,
    HostedEngineSilent,
    InvalidParameter,
    JobCanceled,
    ModelLoadFailed,
    OutOfMemory,
)
from backend.residency.managed import guest_connection
from backend.residency.managed.guest_host import GuestHost
from backend.residency.managed.guest_process import BOOT
from tests.residency.conftest import Caller, wait_until

PROGRAMS = Path(__file__).parent / "programs"


class Watcher:
    def __init__(self, cancel_after: int | None = None) -> None:
        self.steps: list[tuple[int, int | None]] = []
        self.canceled = threading.Event()
        self._cancel_after = cancel_after

    def check_canceled(self) -> None:
        if self.canceled.is_set():
            raise JobCanceled

    def report(self, done: int, total: int | None = None) -> None:
        self.steps.append((done, total))
        if done == self._cancel_after:
            self.canceled.set()
        self.check_canceled()


@pytest.fixture
def make_host():
    made = []

    def make(**more) -> GuestHost:
        given = {"python": sys.executable, "path": [PROGRAMS]} | more
        host = GuestHost("plain", given.pop("factory", "plain_program:Plain"), **given)
        made.append(host)
        return host

    yield make
    for host in made:
        host.close()


@pytest.fixture
def host(make_host):
    return make_host()


@pytest.fixture
def loaded(host):
    return host.load()


def facts_of(host, loaded) -> dict:
    return host.call(loaded, "surroundings", [], {})


def test_arguments_and_results_pass_untouched(make_host):
    host = make_host(arguments={"greeting": "salut"})
    loaded = host.load()
    args = [1, "two", (3.5, None), {4: b"five"}, Path("/six")]
    assert host.call(loaded, "echo", args, {"key": [True]}) == (tuple(args), {"key": [True]})
    assert facts_of(host, loaded)["greeting"] == "salut"
    status = host.status()
    assert status["pid"] == facts_of(host, loaded)["pid"]
    assert status["rss_mb"] > 1
    assert loaded.host_bytes == pytest.approx(loaded.size_bytes, rel=0.5), "its process is its size"


def test_a_program_sees_neither_our_settings_nor_secrets_nor_our_modules(make_host, monkeypatch):
    for name in ("MESHKILN_X", "REDIS_URL", "HF_TOKEN", "MY_PASSWORD", "aws_secret_access_key"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("HARMLESS", "x")
    host = make_host(env={"OWN": "1"})
    facts = facts_of(host, host.load())
    env = facts["env"]
    assert not {"MESHKILN_X", "REDIS_URL", "HF_TOKEN", "MY_PASSWORD"} & set(env)
    assert not [name for name in env if "secret" in name.lower()]
    assert (env["OWN"], env["HARMLESS"], env["CUDA_VISIBLE_DEVICES"]) == ("1", "x", "")
    assert facts["argv"] == ["meshkiln-guest"]
    assert facts["path"][0] == str(PROGRAMS)
    assert not [p for p in facts["path"] if p.endswith("guest") or p == str(Path.cwd())]
    assert not [name for name in facts["modules"] if name.startswith("backend")]
    assert facts["group"] == facts["pid"] != os.getpgrp()


def test_the_gpu_of_the_server_is_that_of_the_guest(make_host, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    host = make_host(device=lambda: "cuda")
    assert facts_of(host, host.load())["env"]["CUDA_VISIBLE_DEVICES"] == "1"


def test_what_a_program_prints_goes_to_our_log_and_not_onto_the_wire(host, loaded, caplog):
    caplog.set_level("INFO")
    assert host.call(loaded, "say", [], {}) == "unharmed"
    said = ("said by print", "said by descriptor", "said as error")
    wait_until(lambda: all(f"[plain] {line}" in caplog.text for line in said))


def test_progress_reaches_the_watcher_while_the_call_runs(host, loaded):
    watcher = Watcher()
    assert host.call(loaded, "work", [100], {"pause_s": 0.002}, watcher) == 100
    assert watcher.steps[0] == (1, 100)
    assert watcher.steps[-1] == (100, 100)
    assert len(watcher.steps) < 100, "not every step is worth a message"
    assert host.call(loaded, "work", [2], {}) == 2, "and nobody has to watch"


@pytest.mark.parametrize(
    ("method", "error", "text"),
    [
        ("fail", HostedEngineFailed, "ValueError: what the program says itself"),
        ("out_of_memory", OutOfMemory, "CUDA out of memory"),
        ("give_object", HostedEngineFailed, "the result['parts'][1] is a builtins.object"),
        ("missing", HostedEngineFailed, "no attribute 'missing'"),
    ],
)
def test_errors_of_a_program_are_its_own_words_and_it_lives_on(host, loaded, method, error, text):
    with pytest.raises(error) as caught:
        host.call(loaded, method, [], {})
    assert text in caught.value.detail
    assert host.call(loaded, "echo", [], {}) == ((), {})


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("unspeakable", "Unspeakable: its message cannot be read"),
        ("not an Exception", "CancelledError: given up"),
        ("half a character", "ValueError: a?b"),
        ("exit", "SystemExit: {'code': 3}"),
        ("a name that is no text", "ImportError: no such thing"),
    ],
)
def test_an_odd_error_is_a_failed_call_and_no_crash(host, loaded, how, text):
    with pytest.raises(HostedEngineFailed) as caught:
        host.call(loaded, "fail_oddly", [how], {})
    assert text in caught.value.detail
    caught.value.detail.encode()
    assert host.call(loaded, "echo", [1], {}) == ((1,), {})


def test_an_argument_that_cannot_pass_is_named_by_its_place(host, loaded):
    with pytest.raises(HostedEngineFailed) as caught:
        host.call(loaded, "echo", [1, object()], {})
    assert "the argument['args'][1]" in caught.value.detail
    assert "numpy" in caught.value.advice
    assert host.call(loaded, "echo", [], {}) == ((), {})


def test_the_traceback_of_a_program_is_in_our_log(host, loaded, caplog):
    caplog.set_level("INFO")
    with pytest.raises(HostedEngineFailed):
        host.call(loaded, "fail", [], {})
    assert "plain_program.py" in caplog.text


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"arguments": {"fail": "package"}}, EngineUnavailable, "a_package_that_nobody_has"),
        ({"arguments": {"fail": "error"}}, ModelLoadFailed, "weights are of another model"),
        ({"arguments": {"fail": "exit"}}, ModelLoadFailed, "no licence file was found"),
        ({"factory": "plain_program:Absent"}, ModelLoadFailed, "Absent"),
        ({"factory": "absent_program:make"}, EngineUnavailable, "absent_program"),
        ({"python": "/absent/python"}, EngineUnavailable, "/absent/python"),
        ({"env": {"NAME": "a\0b"}}, EngineUnavailable, "null byte"),
        ({"python": "/bin/true"}, ModelLoadFailed, "exit code 0"),
        ({"movable": ["tokenizer"]}, ModelLoadFailed, "no module at tokenizer"),
    ],
    ids=str,
)
def test_what_keeps_a_program_from_starting_is_said_and_leaves_no_process(
    make_host, more, error, text
):
    before = psutil.Process().children()
    with pytest.raises(error) as caught:
        make_host(**more).load()
    assert text in caught.value.detail + caught.value.advice
    assert psutil.Process().children() == before


def test_a_factory_is_named_with_its_module():
    with pytest.raises(InvalidParameter, match="module:callable"):
        GuestHost("x", "just_a_module", python=sys.executable)


def test_kill_in_the_middle_of_a_call_is_a_clear_failure_and_leaves_nothing(make_host):
    process = psutil.Process()
    descriptors, children = process.num_fds(), process.children()
    host = make_host()
    gone = threading.Event()
    host.on_gone = gone.set
    loaded = host.load()
    loaded.to_device()
    call = Caller(lambda: host.call(loaded, "sleep", [], {}))
    wait_until(lambda: "about to sleep" in loaded.connection.process.tail)
    os.kill(loaded.pid, signal.SIGKILL)
    with pytest.raises(HostedEngineCrashed) as caught:
        call.finished()
    assert "SIGKILL" in caught.value.detail
    assert gone.wait(5)
    assert not host.is_alive(loaded)
    assert loaded.device_bytes == loaded.host_bytes == 0
    with pytest.raises(HostedEngineCrashed):
        host.call(loaded, "echo", [], {})
    again = host.load()
    assert host.call(again, "echo", [1], {}) == ((1,), {})
    assert host.status()["restarts"] == 1
    again.free()
    wait_until(lambda: process.num_fds() == descriptors)
    assert process.children() == children, "not even a zombie"


def test_a_crash_names_its_signal_and_shows_where(host, loaded):
    with pytest.raises(HostedEngineCrashed) as caught:
        host.call(loaded, "crash", [], {})
    assert "SIGSEGV" in caught.value.detail
    assert "in crash" in caught.value.detail


def test_what_a_program_printed_of_other_calls_is_told_to_nobody(host, loaded):
    host.call(loaded, "say", [], {})
    wait_until(lambda: "said by print" in loaded.connection.process.tail)
    with pytest.raises(HostedEngineCrashed) as caught:
        host.call(loaded, "crash", [], {})
    assert "said" not in caught.value.detail


def test_a_death_while_idle_is_noticed_at_once(host, loaded):
    gone = threading.Event()
    host.on_gone = gone.set
    loaded.to_device()
    assert loaded.device_bytes > 0
    os.kill(loaded.pid, signal.SIGKILL)
    assert gone.wait(5)
    assert not host.is_alive(loaded)
    assert loaded.device_bytes == 0
    loaded.to_device()
    assert host.call(loaded, "echo", [], {}) == ((), {}), "started again by itself"


def test_a_silent_program_is_ended(make_host):
    host = make_host(timeout_s=0.3)
    loaded = host.load()
    with pytest.raises(HostedEngineSilent):
        host.call(loaded, "sleep", [], {})
    assert not host.is_alive(loaded)


def test_one_that_reports_all_the_time_is_ended_at_its_limit_too(make_host):
    host = make_host(timeout_s=0.2)
    loaded = host.load()
    with pytest.raises(HostedEngineSilent):
        host.call(loaded, "work", [1000], {})
    assert not loaded.is_alive


class Deaf(Watcher):
    """Says that the call is not wanted when it is asked, and only then."""

    def report(self, done: int, total: int | None = None) -> None:
        self.canceled.set()


def test_a_cancel_is_asked_for_between_reports_too(host, loaded):
    with pytest.raises(JobCanceled):
        host.call(loaded, "work", [1000], {}, Deaf())
    assert host.call(loaded, "echo", [1], {}) == ((1,), {})


def stand_still(loaded) -> None:
    os.kill(loaded.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(loaded.pid).status() == psutil.STATUS_STOPPED)


def test_a_program_that_stands_still_is_looked_at_without_waiting(host, loaded):
    connection = loaded.connection
    stand_still(loaded)
    call = Caller(lambda: host.call(loaded, "echo", [bytes(8_000_000)], {}))
    try:
        wait_until(connection.process.channel._sending.locked)
        seen = Caller(lambda: connection.refresh(0.01))
        seen.finished(2.0)
    finally:
        os.kill(loaded.pid, signal.SIGCONT)
    call.finished()
    connection.refresh(5.0)
    assert connection.figures["rss"] > 0


def test_one_that_does_not_answer_is_not_asked_again_and_again(loaded, monkeypatch):
    connection = loaded.connection
    asked = []
    offer = connection.process.channel.offer
    monkeypatch.setattr(
        connection.process.channel, "offer", lambda *order: asked.append(order) or offer(*order)
    )
    stand_still(loaded)
    try:
        for _ in range(5):
            connection.refresh(0.01)
    finally:
        os.kill(loaded.pid, signal.SIGCONT)
    assert len(asked) == 1
    wait_until(lambda: connection._asked is None)
    connection.refresh(5.0)
    assert len(asked) == 2


def test_cancel_is_heard_by_a_program_that_reports_and_it_lives_on(host, loaded):
    pid = loaded.pid
    with pytest.raises(JobCanceled):
        host.call(loaded, "work", [5000], {"pause_s": 0.002}, Watcher(cancel_after=1))
    assert host.call(loaded, "echo", [], {}) == ((), {})
    assert loaded.pid == pid


def test_a_program_that_does_not_hear_is_ended_after_a_grace(host, loaded, monkeypatch):
    monkeypatch.setattr(guest_connection, "CANCEL_GRACE_S", 0.2)
    watcher = Watcher()
    watcher.canceled.set()
    with pytest.raises(JobCanceled):
        host.call(loaded, "sleep", [], {}, watcher)
    assert not host.is_alive(loaded)


def test_what_a_program_has_started_ends_with_it(host, loaded):
    child = host.call(loaded, "leave_child", [], {})
    assert psutil.pid_exists(child)
    loaded.free()
    wait_until(lambda: not psutil.pid_exists(child) or _is_zombie(child))


def test_what_cannot_be_moved_leaves_by_its_end_and_comes_back_anew(host, loaded):
    first = loaded.pid
    loaded.to_device()
    loaded.to_host()
    assert not psutil.pid_exists(first)
    assert loaded.host_bytes == 0
    loaded.to_device()
    assert host.call(loaded, "echo", [], {}) == ((), {})
    assert loaded.pid != first
    assert "no torch module" in host.status()["obstacle"]
    loaded.free()
    with pytest.raises(ModelLoadFailed, match="released"):
        loaded.to_device()


def test_a_broken_wire_ends_the_guest_and_not_us(host, loaded):
    with pytest.raises(HostedEngineCrashed):
        host.call(loaded, "scribble", [], {})
    again = host.load()
    again.connection.process.channel._sock.sendall(b"what is no frame at all")
    wait_until(lambda: not again.is_alive)
    assert again.connection.process.exit_code == 70
    assert "conversation broke" in "\n".join(again.connection.process.tail)


def test_results_of_inner_methods_are_kept_across_processes(make_host, tmp_path):
    given = {"cached": ["tokenizer.encode", "tokenizer.absent"], "cache_dir": tmp_path}
    for runs, version in ((1, "1"), (0, "1"), (1, "2")):
        host = make_host(**given, version=version)
        loaded = host.load()
        results = [host.call(loaded, "encode", ["text"], {}) for _ in range(2)]
        assert results == [("TEXT", runs)] * 2
        assert host.status()["not_cached"] == ["tokenizer.absent"]
    counts = host.status()["cache"]
    assert (counts["hits"], counts["misses"], counts["entries"]) == (4, 2, 2)


PARENT = """
import os, signal, sys
from backend.residency.managed.guest_host import GuestHost
from backend.residency.managed.guest_process import BOOT
host = GuestHost("plain", "plain_program:Plain", python=sys.executable, path=[sys.argv[1]])
pid = host.load().pid
os.kill(pid, signal.SIGSTOP)  # it cannot even hear that we hang up
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_guest_does_not_outlive_a_server_that_was_killed():
    run = subprocess.run(
        [sys.executable, "-c", PARENT, str(PROGRAMS)], capture_output=True, text=True, check=False
    )
    pid = int(run.stdout)
    wait_until(lambda: not psutil.pid_exists(pid) or _is_zombie(pid))


def test_a_guest_whose_server_died_before_it_began_ends_at_once():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, BOOT, str(theirs.fileno()), str(os.getpid() + 1)],
            pass_fds=(theirs.fileno(),), timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 0


def test_a_guest_outlives_the_thread_that_loaded_it(host):
    loaded = Caller(host.load).finished()
    assert host.call(loaded, "echo", [], {}) == ((), {})
    assert not loaded.connection.process.ended.wait(0.2)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
