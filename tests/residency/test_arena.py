from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.errors import JobCanceled, ModelLoadFailed
from backend.residency.arena import Arena, size_of

from .tiny_models import TINY_MODELS


@pytest.mark.parametrize("name", TINY_MODELS)
def test_output_is_bit_equal_in_the_arena_and_in_a_copy_of_it(name):
    load, make_input = TINY_MODELS[name]
    model, data = load(), make_input()
    with torch.no_grad():
        expected = model(data)
        arena = Arena(model)
        assert torch.equal(model(data), expected)
        block = arena.host.clone()
        arena.point_to(block)
        arena.host.zero_()  # the model must not read the host buffer any more
        assert torch.equal(model(data), expected)


def test_every_byte_is_held_once_and_aligned():
    shared = nn.Linear(10, 10)
    model = nn.ModuleList([shared, nn.Linear(10, 10)])
    model[1].weight = shared.weight
    arena = Arena(model)
    assert len(arena.places) == 3
    assert all(place.start % 256 == 0 for place in arena.places)
    assert arena.size_bytes == 512 + 256 + 256
    assert size_of(model) == arena.size_bytes
    assert arena.host.data_ptr() % 4096 == 0
    assert model[1].weight.data_ptr() == shared.weight.data_ptr()


def test_views_of_one_storage_still_share_it():
    model = nn.Module()
    base = torch.arange(12.0)
    model.register_buffer("whole", base.view(3, 4))
    model.register_buffer("turned", base.view(3, 4).T)
    model.register_buffer("part", base[5:9])
    model.register_buffer("wide", torch.ones(1).expand(4, 5))
    arena = Arena(model)
    arena.point_to(arena.host.clone())
    with torch.no_grad():
        model.whole[1, 1] = 99.0
    assert model.turned[1, 1] == 99.0
    assert model.part[0] == 99.0
    assert model.wide.shape == (4, 5)
    assert arena.size_bytes == 512


def test_the_caller_is_asked_before_each_tensor():
    asked = []
    Arena(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), lambda: asked.append(1))
    assert len(asked) == 4

    def stop():
        raise JobCanceled

    with pytest.raises(JobCanceled):
        Arena(nn.Linear(3, 3), stop)


def test_dtypes_keep_their_values():
    model = nn.Module()
    for dtype in (torch.int64, torch.float16, torch.bfloat16, torch.bool, torch.uint8):
        model.register_buffer(f"a_{dtype}".replace(".", "_"), torch.ones(3).to(dtype))
    model.register_buffer("empty", torch.zeros(0))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    arena = Arena(model)
    arena.point_to(arena.host.clone())
    for name, buffer in model.named_buffers():
        assert buffer.dtype == before[name].dtype
        assert torch.equal(buffer, before[name])


def test_writes_on_the_device_are_found_and_kept():
    load, _ = TINY_MODELS["tiny_convolution"]
    model = load()
    arena = Arena(model)
    block = arena.host.clone()
    arena.point_to(block)
    sums = arena.checksums(block)
    assert arena.keep_changes(block, sums) == 0
    model.train()
    with torch.no_grad():
        model(torch.randn(2, 3, 8, 8))  # updates the batch statistics
    statistics = model.body[1].running_mean.clone()
    assert arena.keep_changes(block, sums) > 0
    model.body[0].weight.data += 1.0  # how adapters are merged; torch does not count it
    weights = model.body[0].weight.detach().clone()
    assert arena.keep_changes(block, sums) > 0
    assert arena.keep_changes(block, sums) == 0
    arena.point_to(arena.host)
    assert torch.equal(model.body[1].running_mean, statistics)
    assert torch.equal(model.body[0].weight, weights)


def test_only_the_chunks_that_changed_are_copied_back(monkeypatch):
    monkeypatch.setattr("backend.residency.arena.CHUNK_BYTES", 1024)
    model = nn.Linear(64, 64)
    arena = Arena(model)
    block = arena.host.clone()
    arena.point_to(block)
    sums = arena.checksums(block)
    model.bias.data.zero_()
    assert arena.keep_changes(block, sums) == 256


def test_replaced_tensors_are_noticed():
    model = nn.Linear(4, 4)
    arena = Arena(model)
    assert arena.is_whole(arena.host)
    model.half()
    assert not arena.is_whole(arena.host)
    other = nn.Linear(4, 4)
    arena = Arena(other)
    other.adapter = nn.Parameter(torch.zeros(2))
    assert not arena.is_whole(arena.host)


def test_what_cannot_be_moved_is_refused_with_a_reason():
    with pytest.raises(ModelLoadFailed, match="holds no torch module"):
        Arena({"a": 3})
    with pytest.raises(ModelLoadFailed, match="on meta"):
        Arena(nn.Linear(2, 2, device="meta"))
    with torch.inference_mode():
        made_inside = nn.Linear(2, 2)
    with pytest.raises(ModelLoadFailed, match="inference_mode"):
        Arena(made_inside)
    sparse = nn.Module()
    sparse.register_buffer("s", torch.eye(3).to_sparse())
    with pytest.raises(ModelLoadFailed, match="cannot be moved as plain memory"):
        Arena(sparse)


def test_a_compiled_module_does_not_recompile_when_its_weights_move():
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)).eval()
    arena = Arena(model)
    frames = []

    def count(graph, _):
        frames.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=count)
    data = torch.randn(2, 8)
    with torch.no_grad():
        first = compiled(data)
        for _ in range(3):
            arena.point_to(arena.host.clone())
            assert torch.equal(compiled(data), first)
            arena.point_to(arena.host)
            assert torch.equal(compiled(data), first)
    assert len(frames) == 1
