"""What only a CUDA device can show; not part of the default run.

Run it with ``pytest -m gpu tests/gpu/test_on_cuda.py`` on a machine with a card that nobody else
uses: several tests compare the driver's own figures before and after.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from backend.gpu.allocator import VARIABLE, allocator_environment
from backend.gpu.attention import Attention, AttentionBackend, attend_with, unavailable_reason
from backend.gpu.attention_choice import AttentionShape, ChoiceCache, choose_attention
from backend.gpu.compilation import CompiledModel
from backend.gpu.cuda_graphs import GraphCache, capture_on_cuda
from backend.gpu.faults import run_halving
from backend.gpu.peak_model import BatchSample, fit
from backend.gpu.precision import compare
from backend.residency import controls
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelSpec
from backend.residency.states import PinState
from backend.units import MB, SystemClock
from tests.residency.conftest import PLAIN_RULES, wait_until
from tests.residency.tiny_models import TINY_MODELS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # torch warns of each fused kernel that a shape does not suit, and of parts of its own
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
GB = 1024 * MB
CONTEXT_DRIFT_MB = 64
LAYER_BYTES = 64 * MB


@pytest.fixture
def device():
    from backend.residency.cuda_device import CudaDevice

    torch.cuda.empty_cache()
    return CudaDevice()


@pytest.fixture
def manager(device):
    from dataclasses import replace

    rules = replace(PLAIN_RULES, fraction=0.9, lease_timeout_s=60.0)
    made = ResidencyManager(device, rules, free_host=lambda: 10**12)
    yield made
    controls.release(made, drain=True)


def free_bytes():
    torch.cuda.synchronize()
    return torch.cuda.mem_get_info()[0]


def large_model(size_bytes):
    """Many layers of 64 MB, with values that differ from each other."""

    def load():
        layers = nn.ModuleList()
        for number in range(size_bytes // LAYER_BYTES):
            weight = torch.full((4096, 4096), float(number + 1))
            layer = nn.Linear(4096, 4096, bias=False, device="meta")
            layer.weight = nn.Parameter(weight, requires_grad=False)
            layers.append(layer)
        return layers

    return load


def register_large(manager, size_bytes):
    manager.register(ModelSpec("large", large_model(size_bytes), size_hint_bytes=size_bytes))


def offload(manager, name):
    assert controls.offload(manager, name) == {name: "done"}


@pytest.mark.parametrize("size_bytes", [1 * GB, 5 * GB])
def test_a_restore_reaches_most_of_the_rate_of_the_link(device, manager, size_bytes):
    link = device.link_bytes_per_s()
    register_large(manager, size_bytes)
    manager.lease("large").release()
    record = manager.table.records["large"]
    assert record.pin_state is PinState.FULL
    rates = []
    for _ in range(3):
        offload(manager, "large")
        manager.lease("large").release()
        rates.append(record.last_restore.bytes_per_s)
    assert record.last_restore.size_bytes == size_bytes
    assert max(rates) >= 0.8 * link, f"{max(rates) / 1e9:.1f} of {link / 1e9:.1f} GB/s"


def test_an_offload_gives_the_drivers_memory_back_within_a_second(manager):
    register_large(manager, 1 * GB)
    manager.lease("large").release()
    used = free_bytes()
    offload(manager, "large")
    wait_until(lambda: free_bytes() - used >= 1 * GB, within_s=1.0)


def test_two_hundred_cycles_leave_no_memory_behind(manager):
    load, make_input = TINY_MODELS["tiny_transformer"]
    manager.register(ModelSpec("m", load))
    data = make_input().cuda()

    def cycle():
        with manager.lease("m") as model, torch.inference_mode():
            model(data)
        offload(manager, "m")

    for _ in range(3):  # libraries make their workspaces
        cycle()
    before = free_bytes()
    for _ in range(200):
        cycle()
    assert abs(free_bytes() - before) < CONTEXT_DRIFT_MB * MB


@pytest.mark.parametrize("name", TINY_MODELS)
def test_outputs_are_bit_equal_after_each_move(manager, name):
    load, make_input = TINY_MODELS[name]
    manager.register(ModelSpec("m", load))
    data = make_input().cuda()
    results = []
    for _ in range(4):
        with manager.lease("m") as model, torch.inference_mode():
            assert next(model.parameters()).is_cuda
            results.append(model(data).cpu())
        offload(manager, "m")
        assert not next(model.parameters()).is_cuda
    assert all(torch.equal(results[0], other) for other in results[1:])
    with torch.no_grad():
        assert compare(load()(make_input()), results[0]).relative < 1e-2, "TF32 at the most"


def test_page_locking_is_exact_and_undone_on_release(device, monkeypatch):
    registered, unregistered = {}, []
    runtime = torch.cuda.cudart()

    class Spy:
        """Passes calls on and notes those that page-lock."""

        def cudaHostRegister(self, address, size, flags):  # noqa: N802  the driver's name
            registered[address] = size
            return runtime.cudaHostRegister(address, size, flags)

        def cudaHostUnregister(self, address):  # noqa: N802
            unregistered.append(address)
            return runtime.cudaHostUnregister(address)

        def __getattr__(self, name):
            return getattr(runtime, name)

    monkeypatch.setattr(torch.cuda, "cudart", Spy)
    size_bytes = 5 * LAYER_BYTES  # no power of two, and more than one step
    copy = device.host_copy(large_model(size_bytes)(), 10**12)
    host = copy.arena.host
    assert copy.size_bytes == copy.pinned_bytes == sum(registered.values()) == size_bytes
    assert min(registered) == host.data_ptr()
    assert host.is_pinned()
    device.discard(copy)
    assert sorted(unregistered) == sorted(registered)
    assert not host.is_pinned()


def test_a_compiled_model_is_not_compiled_anew_after_a_restore(manager):
    torch._dynamo.reset()
    load, make_input = TINY_MODELS["tiny_transformer"]
    manager.register(ModelSpec("m", load))
    data, model = make_input().cuda(), None
    for _ in range(4):
        with manager.lease("m") as module, torch.no_grad():
            model = model or CompiledModel(
                module, resident=False, enabled=True, clock=SystemClock()
            )
            assert compare(module(data), model(data)).relative < 1e-2
        offload(manager, "m")
    assert model.reason is None
    assert model.recompiles == 0


def test_inductors_graphs_are_right_after_a_drop(manager):
    torch._dynamo.reset()
    load, make_input = TINY_MODELS["tiny_transformer"]
    made = []
    manager.register(
        ModelSpec("m", load, keep=True, before_offload=lambda: [m.drop_graphs() for m in made])
    )
    data = make_input().cuda()
    for _ in range(3):
        with manager.lease("m") as module, torch.no_grad():
            if not made:
                made.append(CompiledModel(module, resident=True, enabled=True, clock=SystemClock()))
            made[0].warm_up(data)
            assert made[0].mode == "reduce-overhead"
            assert compare(module(data), made[0](data)).relative < 1e-2
        offload(manager, "m")
        occupied = torch.full((64 * MB,), 255, dtype=torch.uint8, device="cuda")
        del occupied


def test_graphs_are_right_after_a_drop_and_a_new_recording(manager):
    load, make_input = TINY_MODELS["tiny_transformer"]
    cache = GraphCache(capture_on_cuda)
    manager.register(ModelSpec("m", load, keep=True, before_offload=lambda: cache.drop("m")))
    one = make_input().cuda()
    other = (one + 7) % 32
    for round_number in range(1, 4):
        with manager.lease("m") as module, torch.inference_mode():
            for data in (one, other, one):
                result = cache.run("m", "16", module, (data,), resident=True)
                assert compare(module(data), result).relative < 1e-4
        assert cache.captures == round_number
        assert cache.state()["models"]["m"]["refused"] == []
        offload(manager, "m")
        # what a stale recording would read
        occupied = torch.full((64 * MB,), 255, dtype=torch.uint8, device="cuda")
        del occupied
    assert cache.eager_runs == 0


def test_a_recording_gives_its_memory_back_when_it_is_dropped():
    weight = torch.randn(2048, 2048, device="cuda")
    cache = GraphCache(capture_on_cuda)

    def record_and_drop():
        with torch.inference_mode():
            data = torch.randn(4096, 2048, device="cuda")
            cache.run("m", "b", lambda x: (x @ weight).relu() @ weight, (data,), resident=True)
        cache.drop("m")
        del data
        gc.collect()
        torch.cuda.empty_cache()

    record_and_drop()
    before = free_bytes()
    for _ in range(20):
        record_and_drop()
    assert abs(free_bytes() - before) < CONTEXT_DRIFT_MB * MB


class Stage:
    """A stage whose memory grows with the batch: about 576 MB for each item."""

    tokens = 256 * 1024

    def __init__(self):
        self.body = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).cuda()

    def run(self, batch_size):
        with torch.inference_mode():
            result = self.body(torch.zeros(batch_size, self.tokens, 64, device="cuda"))
        torch.cuda.synchronize()
        return result.shape[0]


def test_a_stage_that_runs_out_of_memory_is_run_with_half_the_batch():
    stage, tried = Stage(), []
    stage.run(1)
    torch.cuda.reset_peak_memory_stats()
    stage.run(4)
    per_item = torch.cuda.max_memory_allocated() / 4
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 6 * per_item  # for four, not for eight

    def run(size):
        tried.append(size)
        return stage.run(size)

    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        assert run_halving(run, 16, torch.cuda.empty_cache) == (4, 4)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert tried == [16, 8, 4]


def test_the_settings_of_the_allocator_are_in_force():
    code = (
        "import torch\n"
        "torch.zeros(1, device='cuda')\n"
        "segments = torch.cuda.memory_snapshot()\n"
        "assert all(s['is_expandable'] for s in segments), segments\n"
        "print(torch.cuda.memory._snapshot()['allocator_settings']['expandable_segments'])\n"
    )
    plain = {k: v for k, v in os.environ.items() if "ALLOC_CONF" not in k}
    added = allocator_environment(plain)
    if VARIABLE not in added:
        pytest.skip("expandable segments are not supported here")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=plain | added, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "True"


def test_three_measured_batches_predict_a_fourth():
    stage = Stage()
    stage.run(1)  # workspaces

    def peak_mb(size):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_reserved()
        stage.run(size)
        return (torch.cuda.max_memory_reserved() - start) / MB

    samples = [BatchSample(size, 1.0, peak_mb(size)) for size in (1, 2, 4)]
    predicted = fit(samples).peak_mb(8)
    assert predicted == pytest.approx(peak_mb(8), rel=0.10)


def attention_inputs(dtype, tokens=300, context=130):
    source = torch.Generator("cuda").manual_seed(0)
    shapes = [(2, 4, n, 64) for n in (tokens, context, context)]
    return [torch.randn(s, generator=source, device="cuda").to(dtype) for s in shapes]


@pytest.mark.parametrize("backend", AttentionBackend)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 5e-3), (torch.bfloat16, 2e-2)])
def test_every_attention_equals_plain_products(backend, dtype, tolerance):
    reason = unavailable_reason(backend, "cuda")
    if reason:
        pytest.skip(reason)
    tensors = attention_inputs(dtype)
    exact = attend_with(AttentionBackend.MATH, *(each.double() for each in tensors))
    try:
        result = attend_with(backend, *tensors)
    except RuntimeError as error:
        pytest.skip(f"this card refuses it: {error}")
    assert compare(exact, result).relative < tolerance


def test_attention_falls_back_on_a_dtype_that_fused_kernels_refuse():
    run, tensors = Attention(AttentionBackend.SDPA_FLASH), attention_inputs(torch.float32)
    exact = attend_with(AttentionBackend.MATH, *(each.double() for each in tensors))
    assert compare(exact, run(*tensors)).relative < 1e-3
    report = run.report()
    assert report["fallbacks"][0]["from"] == "sdpa_flash"
    assert "sdpa_flash" not in report["runs"]


def test_the_choice_is_timed_by_the_device_and_is_among_those_that_are_right():
    choice = choose_attention(
        AttentionShape(1, 16, 4096, 4096, 64), torch.bfloat16, "cuda", SystemClock(),
        cache=ChoiceCache(),
    )  # fmt: skip
    table = {trial.backend: trial for trial in choice.table}
    assert table[choice.backend].excluded is None
    assert table[choice.backend].median_s < table[AttentionBackend.MATH].median_s
