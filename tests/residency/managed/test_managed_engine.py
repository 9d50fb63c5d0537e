from __future__ import annotations

import gc
import json
import threading
import weakref

import pytest
import torch

from backend.errors import (
    EngineUnavailable,
    GpuBusy,
    HostedEngineCrashed,
    HostedEngineFailed,
    InvalidParameter,
    JobCanceled,
    ModelLoadFailed,
    ModelTooLarge,
    OutOfMemory,
)
from backend.residency.arena import size_of
from backend.residency.controls import offload, release
from backend.residency.managed import call_turn
from backend.residency.managed.call_turn import CallTurn
from backend.residency.managed.in_process import report
from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.records import ModelSpec
from backend.units import MB
from tests.residency.conftest import Caller, wait_until
from tests.residency.tiny_models import TINY_MODELS

from .conftest import bytes_there, state_of
from .speech_shaped import TinyTTS, weights_bytes

SHAPE = TINY_MODELS["tiny_transformer"][0]
SHAPE_BYTES = size_of(SHAPE())


class Watcher:
    def __init__(self) -> None:
        self.steps: list = []
        self.canceled = False

    def check_canceled(self) -> None:
        if self.canceled:
            raise JobCanceled("stopped")

    def report(self, done, total=None) -> None:
        self.steps.append((done, total))


def hold(tts: TinyTTS) -> threading.Event:
    """Keep the next call of a program inside it until the event is set."""
    go_on = threading.Event()
    tts.during = lambda _: go_on.wait(5)
    return go_on


def test_calls_reach_the_program_with_all_arguments_untouched(make_engine):
    engine = make_engine(arguments={"model_path": "m", "quantization_config": None, "own": 3})
    sound, rate_hz = engine.clone("a.wav", "said", target_text="to say", temperature=0.5)
    tts = engine._residency.manager().table.find("tts").loaded.program
    assert tts.given == {
        "model_path": "m", "audio_tokenizer": None, "quantization_config": None, "own": 3,
    }  # fmt: skip
    assert tts.seen == [("a.wav", "said", "to say", {"temperature": 0.5})]
    assert rate_hz == 24_000
    assert torch.equal(sound, TinyTTS().clone("", "", "to say")[0])


def test_only_listed_methods_are_delegated_and_nothing_else_loads_the_program(make_engine):
    engine = make_engine()
    made = TinyTTS.made
    with pytest.raises(AttributeError, match=r"does not delegate 'secret', only: clone, edit"):
        engine.secret  # noqa: B018
    with pytest.raises(InvalidParameter, match="no method 'secret'"):
        engine.call("secret")
    assert not hasattr(engine, "kv_cache")
    assert TinyTTS.made == made


def test_weights_leave_after_each_call_and_after_one_that_fails(make_engine, residency):
    engine = make_engine()
    seen = []
    engine.clone("", "", "x")
    tts = residency.manager().table.find("tts").loaded.program
    tts.during = lambda _: seen.append(bytes_there(residency))
    engine.clone("", "", "x")
    assert seen[0] >= weights_bytes(tts)
    assert bytes_there(residency) == 0
    with pytest.raises(HostedEngineFailed, match="ValueError: no such edit") as caught:
        engine.edit("", "", "explode")
    assert isinstance(caught.value.__cause__, ValueError)
    assert bytes_there(residency) == 0
    assert engine.status()["leases"] == 0
    assert engine.status() | {"calls": 3, "failures": 1} == engine.status()


def test_budget_is_promised_beside_the_weights_and_ends_with_the_call(open_ledger):
    residency = open_ledger(8 * MB)
    engine = ManagedEngine("tts", TinyTTS, ["clone"], budget_mb=6, residency=residency)
    table = residency.manager().table
    promised = []
    engine.clone("", "", "x")
    record = table.find("tts")
    record.loaded.program.during = lambda _: promised.append(table.promised_bytes)
    engine.clone("", "", "x")
    assert promised == [6 * MB - record.size_bytes]
    assert table.promised_bytes == 0
    larger = ManagedEngine("larger", TinyTTS, ["clone"], budget_mb=9, residency=residency)
    with pytest.raises(ModelTooLarge, match="9 MB on the device, at most 8 MB"):
        larger.clone("", "", "x")


def test_a_3d_model_makes_room_and_comes_back(open_ledger):
    residency = open_ledger(SHAPE_BYTES + 1000, residency="resident")
    residency.register(ModelSpec("shape", SHAPE))
    engine = ManagedEngine("tts", TinyTTS, ["clone"], residency=residency)
    first = engine.clone("", "", "x")[0]
    with residency.manager().lease("shape"):
        assert state_of(residency) == "host"
    assert torch.equal(engine.clone("", "", "x")[0], first)
    assert state_of(residency) == "resident"


def test_a_call_in_flight_keeps_its_place_and_others_are_refused_in_time(open_ledger):
    residency = open_ledger(SHAPE_BYTES + 1000, residency="resident")
    residency.register(ModelSpec("shape", SHAPE))
    engine = ManagedEngine("tts", TinyTTS, ["clone"], residency=residency)
    engine.clone("", "", "x")
    tts = residency.manager().table.find("tts").loaded.program
    tts.busy.clear()
    go_on = hold(tts)
    caller = Caller(lambda: engine.clone("", "", "x"))
    assert tts.busy.wait(5)
    assert offload(residency.manager(), "tts") == {"tts": "draining"}
    with pytest.raises(GpuBusy):
        residency.manager().lease("shape", timeout_s=0.05)
    assert bytes_there(residency) >= weights_bytes(tts)
    go_on.set()
    caller.finished()
    wait_until(lambda: bytes_there(residency) == 0)


def test_a_call_from_inside_a_call_does_not_wait_for_itself(open_ledger):
    residency = open_ledger(8 * MB)
    engine = ManagedEngine("tts", TinyTTS, ["clone", "edit"], budget_mb=7, residency=residency)
    other = ManagedEngine("other", TinyTTS, ["clone"], residency=residency)
    engine.clone("", "", "x")
    tts = residency.manager().table.find("tts").loaded.program

    def inside(program: TinyTTS) -> None:
        program.during = None
        engine.edit("", "inner", "speed")
        other.clone("", "", "another")

    tts.during = inside
    assert Caller(lambda: engine.clone("", "", "outer")).finished()[1] == 24_000
    assert [call[1] for call in tts.seen][-1] == "inner"
    assert bytes_there(residency) == 0


def test_calls_of_two_threads_take_turns(make_engine, residency):
    engine = make_engine()
    engine.clone("", "", "x")
    tts = residency.manager().table.find("tts").loaded.program
    inside, most = [], []

    def count(_):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()

    tts.during = count
    callers = [Caller(lambda: engine.clone("", "", "x")) for _ in range(4)]
    for caller in callers:
        caller.finished()
    assert most == [1, 1, 1, 1]


def test_who_waits_for_a_turn_may_cancel_or_run_out_of_time():
    turn, watcher = CallTurn("tts"), Watcher()
    with turn.taken(None, 1.0):
        caller = Caller(lambda: turn.taken(watcher, 60.0).__enter__())
        watcher.canceled = True
        with pytest.raises(JobCanceled):
            caller.finished()
        with pytest.raises(GpuBusy, match="tts was at another call"):
            Caller(lambda: turn.taken(None, 0.01).__enter__()).finished()
    with turn.taken(None, 1.0) as is_nested:
        assert not is_nested


def test_programs_that_call_each_other_do_not_wait_for_ever(make_engine, residency, monkeypatch):
    monkeypatch.setattr(call_turn, "NESTED_WAIT_S", 0.05)
    engines = {name: make_engine(name=name) for name in ("a", "b")}
    both_inside = threading.Barrier(2)

    def call_the_other(name: str, other: str):
        def inside(program: TinyTTS) -> None:
            program.during = None
            both_inside.wait(5)
            engines[other].clone("", "", "x")

        residency.manager().table.find(name).loaded.program.during = inside
        return engines[name].clone("", "", "x")

    for engine in engines.values():
        engine.clone("", "", "x")
    callers = [Caller(lambda n=n, o=o: call_the_other(n, o)) for n, o in ("ab", "ba")]
    refused = 0
    for caller in callers:
        try:
            caller.finished()
        except GpuBusy:
            refused += 1
    assert refused >= 1
    wait_until(lambda: bytes_there(residency) == 0)


def test_close_lets_a_call_under_way_end(make_engine, residency):
    engine = make_engine()
    engine.clone("", "", "x")
    program = residency.manager().table.find("tts").loaded.program
    program.busy.clear()
    go_on = hold(program)
    caller = Caller(lambda: engine.clone("", "", "x"))
    assert program.busy.wait(5)
    closing = Caller(engine.close)
    go_on.set()
    assert caller.finished()[1] == 24_000
    closing.finished()
    assert state_of(residency) == "unloaded"


def test_engines_and_3d_models_share_a_device_on_which_one_fits(open_ledger):
    residency = open_ledger(SHAPE_BYTES + 1000, residency="auto")
    residency.change_rules(min_residency_s=0.0, idle_grace_s=0.0)
    residency.register(ModelSpec("shape", SHAPE))
    engines = [
        ManagedEngine(name, TinyTTS, ["clone"], residency=residency) for name in ("one", "two")
    ]
    device, most = residency.manager().device, []

    def use_shape() -> None:
        with residency.manager().lease("shape") as model:
            assert model.embed.weight.numel() == 32 * 64
            most.append(device.memory().allocated_bytes)

    uses = [use_shape, *(lambda e=e: e.clone("", "", "x") for e in engines)]
    callers = [Caller(lambda use=use: [use() for _ in range(5)]) for use in uses * 2]
    for caller in callers:
        caller.finished(30.0)
    assert max(most) <= SHAPE_BYTES + 1000
    assert [engine.status()["failures"] for engine in engines] == [0, 0]
    assert residency.manager().table.promised_bytes == 0


def test_progress_reaches_the_watcher_and_a_cancel_stops_the_call(make_engine, residency):
    engine, watcher = make_engine(), Watcher()
    engine.clone("", "", "x")
    report(1, 2)  # outside of a call nobody listens
    tts = residency.manager().table.find("tts").loaded.program
    tts.during = lambda _: (report(1, 3), setattr(watcher, "canceled", True), report(2, 3))
    with pytest.raises(JobCanceled):
        engine.call("clone", ("", "", "x"), watcher=watcher)
    assert watcher.steps == [(1, 3), (2, 3)]
    assert bytes_there(residency) == 0


def test_out_of_memory_of_the_program_is_named_so(make_engine, residency):
    engine = make_engine()
    engine.clone("", "", "x")

    def full(_):
        raise torch.OutOfMemoryError("CUDA out of memory\nand details")

    residency.manager().table.find("tts").loaded.program.during = full
    with pytest.raises(OutOfMemory, match=r"in 'clone': CUDA out of memory$"):
        engine.clone("", "", "x")
    assert bytes_there(residency) == 0


def test_a_program_that_crashed_is_released_and_loaded_anew(make_engine, residency):
    engine = make_engine()
    engine.clone("", "", "x")

    def crash(_):
        raise HostedEngineCrashed("its process ended")

    residency.manager().table.find("tts").loaded.program.during = crash
    with pytest.raises(HostedEngineCrashed):
        engine.clone("", "", "x")
    assert (state_of(residency), bytes_there(residency)) == ("unloaded", 0)
    engine.clone("", "", "x")
    assert engine.status()["loads"] == 2


def test_status_is_json_and_says_where_the_time_went(make_engine):
    engine = make_engine(title="Speech", budget_mb=4)
    assert engine.status()["state"] == "unloaded"
    engine.clone("", "", "x")
    status = json.loads(json.dumps(engine.status()))
    assert (status["title"], status["state"], status["vram_mb"]) == ("Speech", "host", 0)
    assert (status["lives_in"], status["pid"], status["budget_mb"]) == ("this process", None, 4)
    assert status["size_mb"] > 0
    assert status["last_call"].keys() == {"wait_s", "load_s", "restore_s", "compute_s"}
    assert [row["path"] for row in status["program"]["moved"]] == [
        "llm", "cosy_model.cosy_impl.parts['hift'][0]",
    ]  # fmt: skip
    assert status["program"]["not_moved"][0] == {
        "path": "tokenizer.session", "kind": "foreign_runtime",
        "reason": "ONNX Runtime keeps its memory to itself",
    }  # fmt: skip


def test_load_is_counted_once_and_restores_afterwards(make_engine):
    engine = make_engine()
    engine.clone("", "", "x")
    first = engine.last_call
    engine.clone("", "", "x")
    second = engine.last_call
    assert first.load_s > 0
    assert second.load_s == 0
    assert second.restore_s > 0
    assert second.compute_s > 0
    assert Caller(lambda: engine.last_call).finished() is None


def test_close_frees_the_program_and_gives_the_name_back(make_engine, residency):
    engine = make_engine()
    engine.clone("", "", "x")
    program = weakref.ref(residency.manager().table.find("tts").loaded.program)
    with pytest.raises(InvalidParameter, match="a model called 'tts' already"):
        make_engine()
    engine.close()
    gc.collect()
    assert program() is None
    assert state_of(residency) == "unloaded"
    with pytest.raises(EngineUnavailable, match="was closed"):
        engine.clone("", "", "x")
    with make_engine() as again:
        again.clone("", "", "x")
    assert state_of(residency) == "unloaded"


def test_an_idle_program_is_released_and_loaded_anew(make_engine, residency):
    engine = make_engine()
    expected = engine.clone("", "", "x")[0]
    program = weakref.ref(residency.manager().table.find("tts").loaded.program)
    release(residency.manager(), "tts")
    gc.collect()
    assert program() is None, "something keeps the program alive"
    assert torch.equal(engine.clone("", "", "x")[0], expected)
    assert engine.status()["loads"] == 2


def test_a_factory_that_fails_is_a_failed_load_with_its_words(make_engine):
    def broken():
        raise OSError("no weights here")

    with pytest.raises(ModelLoadFailed, match="tts could not be loaded: no weights here"):
        make_engine(broken).clone("", "", "x")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"factory": "tts:StepAudioTTS"}, "no a factory as text"),
        ({"cached": ["a.b"]}, "no cached"),
        ({"factory": TinyTTS, "venv": "/usr"}, "is named as text"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(make_engine, more, message):
    with pytest.raises(InvalidParameter, match=message):
        make_engine(**more)
