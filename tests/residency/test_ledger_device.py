from __future__ import annotations

import gc
import weakref

import psutil
import pytest
import torch
from torch import nn

from backend.errors import ModelLoadFailed, OutOfMemory
from backend.residency.ledger_device import LedgerDevice
from backend.units import MB

from .tiny_models import TINY_MODELS


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("name", TINY_MODELS)
def test_output_is_bit_equal_on_the_device_and_after_each_move(name, in_place):
    load, make_input = TINY_MODELS[name]
    model, data = load(), make_input()
    device = LedgerDevice(10 * MB, in_place=in_place)
    with torch.inference_mode():
        expected = model(data)
        copy = device.host_copy(model, 0)
        for _ in range(3):
            device.upload(copy)
            assert torch.equal(model(data), expected)
            device.remove(copy)
            assert torch.equal(model(data), expected)
    assert device.memory().free_bytes == 10 * MB
    assert all(not p.is_inference() for p in model.parameters())


def test_ledger_counts_every_byte_and_refuses_beyond_its_size():
    device = LedgerDevice(1 * MB)
    first = device.host_copy(nn.Linear(400, 400, bias=False), 0)
    second = device.host_copy(nn.Linear(400, 400, bias=False), 0)
    device.upload(first)
    assert device.memory().allocated_bytes == first.size_bytes == 400 * 400 * 4
    with pytest.raises(OutOfMemory, match="ledger of 1 MB"):
        device.upload(second)
    assert device.memory().allocated_bytes == first.size_bytes
    device.remove(first)
    device.upload(second)
    assert device.memory().allocated_bytes == second.size_bytes


def test_block_is_really_freed_and_nothing_is_copied_back():
    device = LedgerDevice(64 * MB)
    copy = device.host_copy(nn.Linear(2048, 2048), 0)
    device.upload(copy)
    block = weakref.ref(copy.block)
    writes = copy.arena.host._version
    device.remove(copy)
    gc.collect()
    assert block() is None
    assert copy.arena.host._version == writes, "something was copied back"


def test_in_place_holds_the_weights_once():
    process = psutil.Process()
    device = LedgerDevice(256 * MB, in_place=True)
    copy = device.host_copy(nn.Linear(4096, 4096, bias=False), 0)
    before = process.memory_info().rss
    device.upload(copy)
    assert device.memory().allocated_bytes == 64 * MB
    assert process.memory_info().rss - before < 16 * MB


def test_a_broken_copy_leaves_neither_block_nor_pointers(monkeypatch):
    model = nn.Linear(16, 16)
    device = LedgerDevice(1 * MB)
    copy = device.host_copy(model, 0)
    monkeypatch.setattr(device, "_fill", lambda *_: (_ for _ in ()).throw(RuntimeError("broke")))
    with pytest.raises(RuntimeError, match="broke"):
        device.upload(copy)
    assert device.memory().allocated_bytes == 0
    assert copy.arena.is_whole(copy.arena.host)


def test_adapters_added_on_the_device_survive_the_way_back():
    model = nn.Linear(8, 8)
    device = LedgerDevice(1 * MB)
    copy = device.host_copy(model, 0)
    device.upload(copy)
    model.adapter = nn.Parameter(torch.full((3,), 7.0))
    device.remove(copy)
    assert copy.arena.is_whole(copy.arena.host)
    assert device.memory().allocated_bytes == 0
    device.upload(copy)
    assert torch.equal(model.adapter, torch.full((3,), 7.0))
    assert device.memory().allocated_bytes == copy.size_bytes == 256 * 3


def test_a_loader_called_inside_inference_mode_makes_movable_weights():
    device = LedgerDevice(1 * MB)
    with torch.inference_mode():
        model = device.run_loader(lambda: nn.Linear(2, 2))
        device.upload(device.host_copy(model, 0))
    assert not model.weight.is_inference()


def test_discard_frees_the_weights_though_somebody_still_holds_the_model():
    device = LedgerDevice(512 * MB)
    model = nn.Linear(4096, 4096, bias=False)
    model.itself = [model]  # a cycle, which only the collector would find
    copy = device.host_copy(model, 0)
    before = psutil.Process().memory_info().rss
    device.discard(copy)
    assert copy.host_bytes == 0
    assert before - psutil.Process().memory_info().rss > 60 * MB


def test_a_change_that_cannot_be_moved_frees_the_block_and_is_named():
    model = nn.Linear(8, 8)
    device = LedgerDevice(1 * MB)
    copy = device.host_copy(model, 0)
    device.upload(copy)
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    with pytest.raises(ModelLoadFailed, match="could not be kept"):
        device.remove(copy)
    assert device.memory().allocated_bytes == 0
    assert not copy.is_on_device
    with pytest.raises(ModelLoadFailed, match="could not be kept") as caught:
        device.upload(copy)
    assert "Release the model" in caught.value.advice
