from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

from backend.errors import HostedEngineFailed, ModelLoadFailed
from backend.residency.managed.in_process import InProcessHost
from backend.residency.managed.program import DroppedProgram, HookedProgram
from backend.residency.managed.unmovable import Unmovable
from backend.residency.self_moving import SelfMoving
from backend.units import MB

from .conftest import bytes_there, state_of
from .speech_shaped import InferenceSession, Plain, TinyTTS, weights_bytes


class Linear4bit(nn.Linear):
    """As bitsandbytes' class, by its name only."""


Linear4bit.__module__ = "bitsandbytes.nn.modules"


class QuantisedTTS(TinyTTS):
    def __init__(self, **given) -> None:
        super().__init__(**given)
        self.llm.head = Linear4bit(32, 64)


class OnlyRuntime:
    def __init__(self) -> None:
        self.session = InferenceSession()

    def run(self, text: str) -> list[int]:
        return self.session.run(text)


def loaded_by(residency):
    return residency.manager().table.find("tts").loaded


def test_parts_are_released_before_the_weights_leave_and_restored_before_the_next_call(
    make_engine, residency
):
    happened = []

    def close(session):
        happened.append(("release", bytes_there(residency) > 0))
        session.is_open = False

    def reopen(session):
        happened.append(("restore", bytes_there(residency) > 0))
        session.is_open = True

    engine = make_engine(unmovable=[Unmovable("tokenizer.session", close, reopen)])
    engine.clone("", "", "x")
    assert happened == [("release", True)]
    assert loaded_by(residency).program.tokenizer.session.is_open is False
    engine.clone("", "", "x")
    assert happened == [("release", True), ("restore", True), ("release", True)]


def test_a_kv_cache_is_dropped_by_a_hook_on_the_program_itself(make_engine, residency):
    engine = make_engine(unmovable=[Unmovable("", lambda tts: tts.kv_cache.clear())])
    engine.clone("", "", "x")
    assert loaded_by(residency).program.kv_cache == []


def test_a_fault_in_a_release_keeps_neither_weights_nor_other_parts(make_engine, residency, caplog):
    released = []

    def fail(_):
        raise RuntimeError("it clings")

    parts = [Unmovable("tokenizer.session", fail), Unmovable("kv_cache", released.append)]
    make_engine(unmovable=parts).clone("", "", "x")
    assert bytes_there(residency) == 0
    assert len(released) == 1
    assert "it clings" in caplog.text


def test_a_fault_in_a_restore_fails_the_call_and_is_tried_again(make_engine, residency):
    faults = [OSError("not yet")]

    def reopen(session):
        if faults:
            raise faults.pop()
        session.is_open = True

    def close(session):
        session.is_open = False

    engine = make_engine(unmovable=[Unmovable("tokenizer.session", close, reopen)])
    expected = engine.clone("", "", "x")[0]
    with pytest.raises(HostedEngineFailed, match=r"'tokenizer\.session' could not be brought back"):
        engine.clone("", "", "x")
    assert bytes_there(residency) == 0
    assert torch.equal(engine.clone("", "", "x")[0], expected)


def test_a_path_that_leads_nowhere_is_a_failed_load(make_engine):
    engine = make_engine(unmovable=[Unmovable("codec.session", print)])
    with pytest.raises(ModelLoadFailed, match=r"nothing at 'codec\.session'") as caught:
        engine.clone("", "", "x")
    assert "Correct the path" in caught.value.advice


def test_a_program_without_anything_to_move_is_refused_with_advice(make_engine):
    engine = make_engine(OnlyRuntime, ["run"])
    with pytest.raises(ModelLoadFailed, match="no torch module was found in a OnlyRuntime") as at:
        engine.run("x")
    assert "Unmovable" in at.value.advice


def test_named_modules_and_tensors_are_moved_and_others_stay(make_engine, residency):
    class WithTable(TinyTTS):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.arange(1000.0)
            self.kept = torch.zeros(5)

    engine = make_engine(WithTable, movable=["llm", "table"])
    seen = []
    engine.clone("", "", "x")
    program = loaded_by(residency).program
    home = program.table.data_ptr()
    program.during = lambda tts: seen.append((tts.table.data_ptr(), tts.table.sum().item()))
    engine.clone("", "", "x")
    assert seen[0][0] != home, "the tensor did not move"
    assert seen[0][1] == 499_500.0
    assert program.table.data_ptr() == home
    not_moved = {row["path"]: row["reason"] for row in engine.status()["program"]["not_moved"]}
    assert not_moved["cosy_model.cosy_impl.parts['hift'][0]"] == "not named in 'movable'"
    assert not_moved["kept"] == "stays on cpu"
    assert "table" not in not_moved


@pytest.mark.parametrize(
    ("path", "message"),
    [("llm.nothing", "nothing at 'llm.nothing'"), ("tokenizer", "is a Plain, no module")],
)
def test_named_paths_must_lead_to_something_movable(make_engine, path, message):
    with pytest.raises(ModelLoadFailed, match=message):
        make_engine(movable=[path]).clone("", "", "x")


def test_modules_in_a_hosted_program_may_share_weights(make_engine, residency):
    class Tied(TinyTTS):
        def __init__(self) -> None:
            super().__init__()
            self.llm.head.weight = nn.Parameter(torch.zeros(64, 32))
            self.other = Plain(head=nn.Linear(32, 64))
            self.other.head.weight = self.llm.head.weight

    make_engine(Tied).clone("", "", "x")
    program = loaded_by(residency).program
    shared = program.llm.head.weight
    assert program.other.head.weight.data_ptr() == shared.data_ptr()


def test_a_quantised_program_is_dropped_instead_of_moved(make_engine, residency):
    engine = make_engine(QuantisedTTS)
    QuantisedTTS.made = 0
    expected = engine.clone("", "", "x")[0]
    assert bytes_there(residency) == 0
    loaded = loaded_by(residency)
    assert isinstance(loaded, DroppedProgram)
    assert isinstance(loaded, SelfMoving)
    assert loaded.program is None
    assert torch.equal(engine.clone("", "", "x")[0], expected)
    assert QuantisedTTS.made == 2
    not_moved = {row["path"]: row["reason"] for row in engine.status()["program"]["not_moved"]}
    assert not_moved["llm"] == "llm.head is quantised by bitsandbytes"
    assert not_moved["tokenizer.session"].startswith("ONNX Runtime")


def test_a_quantised_program_that_took_the_device_unasked_gives_it_back_until_its_turn():
    class OnDevice(QuantisedTTS):
        def __init__(self) -> None:
            super().__init__()
            self.llm.head.to("meta")  # stands for a card

    host = InProcessHost("tts", OnDevice, arguments={})
    loaded = host.load()
    assert isinstance(loaded, DroppedProgram)
    assert (loaded.program, loaded.device_bytes) == (None, 0)
    assert loaded.size_bytes == weights_bytes(TinyTTS())
    loaded.to_device()
    assert loaded.device_bytes == loaded.size_bytes


def test_movable_none_with_a_budget_is_built_only_when_its_place_is_promised(
    make_engine, residency
):
    built_at = []

    class Late(TinyTTS):
        def __init__(self) -> None:
            built_at.append(state_of(residency))
            super().__init__()

    engine = make_engine(Late, movable="none", budget_mb=2)
    engine.clone("", "", "x")
    assert built_at == ["restoring"]
    assert engine.status()["size_mb"] == round(weights_bytes(TinyTTS()) / MB, 1)
    tts = weakref.ref(loaded_by(residency))
    residency.manager()
    engine.close()
    gc.collect()
    assert tts() is None


def test_a_runtime_with_hooks_moves_by_them(make_engine, residency):
    opened = []

    def close(session):
        session.is_open = False
        opened.append(False)

    def reopen(session):
        session.is_open = True
        opened.append(True)

    part = Unmovable("session", close, reopen)
    engine = make_engine(OnlyRuntime, ["run"], unmovable=[part], budget_mb=3)
    assert engine.run("ab") == [33, 34]
    assert isinstance(loaded_by(residency), HookedProgram)
    assert opened == [False]
    assert bytes_there(residency) == 0
    assert engine.run("ab") == [33, 34]
    assert opened == [False, True, False]


def test_a_method_that_the_program_lacks_is_named(make_engine):
    with pytest.raises(HostedEngineFailed, match="TinyTTS has nothing at 'sing'") as caught:
        make_engine(methods=["sing"]).sing()
    assert "'sing'" in caught.value.advice
