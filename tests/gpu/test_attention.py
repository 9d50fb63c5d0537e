from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch

from backend.gpu import attention
from backend.gpu.attention import (
    MOST_REASONS,
    Attention,
    AttentionBackend,
    attend_with,
    unavailable_reason,
)
from backend.gpu.precision import compare
from tests.residency.conftest import Caller

HERE = [b for b in AttentionBackend if unavailable_reason(b, "cpu") is None]


def inputs(tokens=17, context=33, heads=4, dtype=torch.float32):
    source = torch.Generator().manual_seed(0)
    shapes = [(2, heads, n, 32) for n in (tokens, context, context)]
    return [torch.randn(s, generator=source, dtype=torch.float64).to(dtype) for s in shapes]


def exact(q, k, v, scale=None):
    """Attention in fp64, written out."""
    q, k, v = q.double(), k.double(), v.double()
    weights = (q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5)).softmax(-1)
    return weights @ v


def anything_goes(backend, device_type):
    return None


def packages(monkeypatch, name, attend):
    """Install a scripted package; it takes (batch, tokens, heads, head_dim) as the real one."""
    package = ModuleType(name)
    package.__spec__ = ModuleSpec(name, None)
    package.flash_attn_func = attend
    monkeypatch.setitem(sys.modules, name, package)


def tokens_first(q, k, v, softmax_scale=None):
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    return exact(q, k, v, softmax_scale).to(q.dtype).transpose(1, 2)


def test_what_runs_on_a_processor():
    assert HERE == [AttentionBackend.SDPA_FLASH, AttentionBackend.MATH]
    assert "needs a CUDA device" in unavailable_reason(AttentionBackend.SDPA_CUDNN, "cpu")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: None)
    reason = unavailable_reason(AttentionBackend.FLASH_ATTN_3, "cuda")
    assert "flash_attn_interface is not installed" in reason
    assert unavailable_reason(AttentionBackend.SDPA_CUDNN, "cuda") is None


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 2e-2)],
)
@pytest.mark.parametrize("scale", [None, 0.5])
def test_every_backend_equals_plain_products_in_fp64(backend, dtype, tolerance, scale):
    tensors = inputs(dtype=dtype)
    result = attend_with(backend, *tensors, scale)
    assert result.dtype is dtype
    assert compare(exact(*tensors, scale), result).relative < tolerance


@pytest.mark.parametrize(
    ("backend", "package"),
    [
        (AttentionBackend.FLASH_ATTN_2, "flash_attn"),
        (AttentionBackend.FLASH_ATTN_3, "flash_attn_interface"),
    ],
)
@pytest.mark.parametrize("with_sums", [False, True])
def test_the_packages_get_their_own_layout_and_ours_comes_back(
    monkeypatch, backend, package, with_sums
):
    def attend(q, k, v, softmax_scale=None):
        assert q.shape == (2, 17, 4, 32)
        result = tokens_first(q, k, v, softmax_scale)
        return (result, None) if with_sums else result

    packages(monkeypatch, package, attend)
    tensors = inputs()
    run = Attention(backend, unavailable=anything_goes)
    result = run(*tensors, scale=0.3)
    assert result.shape == (2, 4, 17, 32)
    assert compare(exact(*tensors, 0.3), result).relative < 1e-5
    assert run.report()["runs"] == {str(backend): 1}


def test_a_fallback_keeps_the_layout_and_is_reported(monkeypatch):
    def refuse(q, k, v, softmax_scale=None):
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type\nat line 3")

    packages(monkeypatch, "flash_attn", refuse)
    run = Attention(
        AttentionBackend.FLASH_ATTN_2,
        unavailable=lambda b, d: None if b == "flash_attn_2" else unavailable_reason(b, d),
    )
    tensors = inputs()
    for _ in range(3):
        assert compare(exact(*tensors), run(*tensors)).relative < 1e-5
    report = run.report()
    assert report["runs"] == {"sdpa_flash": 3}
    assert report["last"] == "sdpa_flash"
    fallback = report["fallbacks"][0]
    assert (fallback["from"], fallback["to"], fallback["calls"]) == (
        "flash_attn_2",
        "sdpa_flash",
        3,
    )
    assert fallback["reason"] == "FlashAttention only support fp16 and bf16 data type"


def failing(broken, error):
    """Attend, but raise with some backends; remembers what was tried."""
    tried = []

    def attend(backend, q, k, v, scale=None):
        tried.append(backend)
        if backend in broken:
            raise error
        return exact(q, k, v, scale).to(q.dtype)

    return attend, tried


def test_all_are_tried_in_order_once_and_plain_products_come_last():
    broken = set(AttentionBackend) - {AttentionBackend.MATH}
    attend, tried = failing(broken, ImportError("undefined symbol"))
    run = Attention(attend=attend, unavailable=anything_goes)
    tensors = inputs()
    run(*tensors)
    assert tried == list(AttentionBackend)
    run(*tensors)
    assert tried[6:] == [AttentionBackend.MATH], "a refusal is remembered"
    run(*(each.half() for each in tensors))
    assert tried[7:] == list(AttentionBackend), "another dtype is another question"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
)
def test_a_lack_of_memory_or_a_lost_context_is_not_hidden(error):
    attend, tried = failing({AttentionBackend.SDPA_FLASH}, error)
    with pytest.raises(type(error)):
        Attention(AttentionBackend.SDPA_FLASH, attend=attend)(*inputs())
    assert tried == [AttentionBackend.SDPA_FLASH]


def test_when_plain_products_fail_too_no_backend_is_blamed():
    attend, tried = failing(set(AttentionBackend), RuntimeError("bad strides"))
    run = Attention(AttentionBackend.SDPA_FLASH, attend=attend, unavailable=anything_goes)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="bad strides"):
            run(*inputs())
    assert tried[:4] == tried[4:], "all are tried again"
    assert run.report()["runs"] == {}
    assert run.report()["fallbacks"] == []


def test_the_wanted_backend_comes_first_and_auto_names_what_is_missing():
    run = Attention("math")
    run(*inputs())
    assert run.report() == {
        "wanted": "math", "last": "math", "runs": {"math": 1}, "fallbacks": [],
    }  # fmt: skip
    auto = Attention()
    auto(*inputs())
    assert auto.report()["last"] == "sdpa_flash"
    assert {f["from"] for f in auto.report()["fallbacks"]} == {"flash_attn_3", "flash_attn_2"}


def test_the_report_does_not_grow_without_end():
    count = iter(range(1000))

    def attend(backend, q, k, v, scale=None):
        if backend is AttentionBackend.SDPA_EFFICIENT:
            raise RuntimeError(f"failure number {next(count)}")
        return q

    run = Attention("sdpa_efficient", attend=attend, unavailable=anything_goes)
    for head_dim in range(1, 101):
        run(*(torch.zeros(1, 1, 2, head_dim) for _ in range(3)))
    assert len(run.report()["fallbacks"]) == MOST_REASONS
    assert run.report()["runs"] == {"math": 100}


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3, 8), (2, 3, 8), (2, 3, 8)],
        [(2, 4, 17, 32), (2, 33, 4, 32), (2, 33, 4, 32)],
        [(2, 4, 17, 32), (2, 4, 33, 16), (2, 4, 33, 16)],
        [(2, 4, 17, 32), (2, 4, 33, 32), (2, 4, 34, 32)],
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(shapes):
    with pytest.raises(ValueError, match="batch, heads, tokens, head_dim"):
        Attention()(*(torch.zeros(shape) for shape in shapes))


def test_threads_do_not_switch_each_others_backend_off(monkeypatch):
    """Torch keeps for the whole process which of its kernels may run."""
    attend, seen = torch.nn.functional.scaled_dot_product_attention, []

    def slow(q, k, v, scale=None):
        before = flags()
        threading.Event().wait(0.01)
        seen.append((before, flags()))
        return attend(q, k, v, scale=scale)

    def flags():
        return torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", slow)
    tensors = inputs()
    right, before = exact(*tensors), flags()

    def work(name):
        run = Attention(name)
        errors = [compare(right, run(*tensors)).relative for _ in range(10)]
        return max(errors), run.report()["runs"]

    callers = [(name, Caller(lambda name=name: work(name))) for name in HERE * 2]
    for name, caller in callers:
        error, runs = caller.finished(30)
        assert error < 1e-5
        assert runs == {str(name): 10}
    assert set(seen) == {((True, False), (True, False)), ((False, True), (False, True))}
    assert flags() == before


@pytest.mark.parametrize("backend", ["sdpa_flash", "math", "auto"])
def test_it_can_be_traced_into_compiled_code_without_a_graph_break(backend):
    torch._dynamo.reset()
    run, tensors = Attention(backend), inputs()
    with torch.no_grad():
        compiled = torch.compile(lambda q, k, v: run(q, k, v) * 2, backend="eager", fullgraph=True)
        assert compare(2 * exact(*tensors), compiled(*tensors)).relative < 1e-5
