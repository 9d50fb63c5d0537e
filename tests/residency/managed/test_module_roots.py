from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from backend.residency.guest import module_roots
from backend.residency.guest.module_roots import (
    FOREIGN_RUNTIME,
    QUANTISED,
    SPECIAL_TENSORS,
    find_roots,
    resolve,
    survey,
)

from .speech_shaped import InferenceSession, Plain, TinyTTS


class Slotted:
    __slots__ = ("__hidden", "empty", "net")

    def __init__(self, net: nn.Module, hidden: nn.Module) -> None:
        self.net = net
        self.__hidden = hidden


class Trapped:
    """Whatever is asked of it instead of read, it minds."""

    def __init__(self) -> None:
        self.net = nn.Linear(2, 2)

    @property
    def device(self):
        raise AssertionError("a property was called")

    def __getattr__(self, name):
        raise AssertionError(f"__getattr__({name}) was called")

    @property
    def __class__(self):
        raise AssertionError("the object was asked for its class")


def paths(program) -> list[str]:
    return [path for path, _ in find_roots(program)]


def test_modules_in_nested_attributes_are_found_with_their_paths():
    tts = TinyTTS()
    roots = dict(find_roots(tts))
    assert list(roots) == ["llm", "cosy_model.cosy_impl.parts['hift'][0]"]
    assert roots["llm"] is tts.llm
    for path, module in roots.items():
        assert resolve(tts, path) is module


def test_every_kind_of_container_and_slots_are_looked_into():
    a, b, c, d, e = (nn.Linear(1, 1) for _ in range(5))
    program = Plain(rows=[(a,)], named={"x.y": {b}}, slotted=Slotted(c, d), deep=[[[[[[e]]]]]])
    assert {id(m) for _, m in find_roots(program)} == {id(m) for m in (a, b, c, d, e)}
    assert "named['x.y'][0]" in paths(program)
    assert "slotted._Slotted__hidden" in paths(program)


def test_a_module_is_its_own_root_and_one_inside_another_is_none():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert paths(net) == [""]
    assert paths(Plain(head=net[1], net=net, also=[net])) == ["net"]


def test_modules_that_a_module_hides_in_a_plain_list_are_found():
    net, hidden = nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2)
    net[0].helpers = [hidden]
    assert paths(Plain(net=net)) == ["net", "net.0.helpers[0]"]


def test_depth_is_counted_in_attributes_and_cycles_end():
    program = Plain(a=Plain(b=Plain(c=Plain(d=nn.Linear(1, 1), e=Plain(f=nn.Linear(1, 1))))))
    program.a.up = program
    program.a.b.row = row = []
    row.append(row)
    assert paths(program) == ["a.b.c.d"]
    assert [path for path, _ in find_roots(program, depth=5)] == ["a.b.c.d", "a.b.c.e.f"]


def test_nothing_of_the_program_is_called():
    assert paths(Plain(trapped=Trapped())) == ["trapped.net"]


def test_classes_functions_and_arrays_are_not_entered():
    def function():
        pass

    function.net = nn.Linear(1, 1)
    array = np.array([nn.Linear(1, 1)], dtype=object)
    holder = type("Holder", (), {"net": nn.Linear(1, 1)})
    assert paths(Plain(function=function, array=array, holder=holder, module=nn)) == []


def test_tensors_beside_modules_are_told_from_those_of_modules():
    net, table = nn.Linear(2, 2), torch.zeros(3)
    found = survey(Plain(net=net, weight=net.weight, tables=[table]))
    assert [(path, t is table) for path, t in found.tensors] == [("tables[0]", True)]


def test_runtimes_of_others_are_named_without_importing_them():
    (found,) = survey(Plain(encoder=Plain(session=InferenceSession()))).immovable
    assert (found.path, found.reason) == (
        "encoder.session", "ONNX Runtime keeps its memory to itself",
    )  # fmt: skip
    assert survey(InferenceSession()).immovable[0].kind == FOREIGN_RUNTIME
    assert "onnxruntime" not in sys.modules


def test_quantised_modules_and_tensors_of_other_kinds_are_no_roots():
    class Linear4bit(nn.Linear):
        pass

    Linear4bit.__module__ = "bitsandbytes.nn.modules"

    class Packed(torch.Tensor):
        pass

    four_bit = nn.Sequential(Linear4bit(2, 2))
    packed = nn.Linear(2, 2)
    packed.weight = nn.Parameter(packed.weight.detach().as_subclass(Packed))
    found = survey(Plain(four_bit=four_bit, packed=packed, plain=nn.Linear(2, 2)))
    assert [path for path, _ in found.roots] == ["plain"]
    assert [(i.path, i.kind, i.reason) for i in found.immovable] == [
        ("four_bit", QUANTISED, "four_bit.0 is quantised by bitsandbytes"),
        ("packed", SPECIAL_TENSORS, "packed.weight is a Packed, no plain memory"),
    ]


@pytest.mark.parametrize("path", ["nothing", "llm.nothing", "kv_cache[3]", "llm['x']"])
def test_a_path_that_leads_nowhere_says_so(path):
    with pytest.raises(AttributeError, match=r"TinyTTS has nothing at"):
        resolve(TinyTTS(), path)


def test_it_runs_where_neither_torch_nor_our_packages_are():
    code = (
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('module_roots', {module_roots.__file__!r})\n"
        "module = sys.modules['module_roots'] = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "class P: pass\n"
        "p = P(); p.a = [1, {'b': p}]\n"
        "assert module.find_roots(p) == []\n"
        "assert 'torch' not in sys.modules and 'backend' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=60)
