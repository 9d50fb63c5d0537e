from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from backend.gpu import flops
from backend.gpu.flops import MOST_COUNTS, count_work, forget_work
from backend.gpu.work_counter import stored_bytes

FP32 = 4


class Block(nn.Module):
    """A transformer block as diffusion models have it: attention, cross attention, feed-forward."""

    def __init__(self, width, heads, widening=4):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.cross_out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, widening * width, bias=False)
        self.down = nn.Linear(widening * width, width, bias=False)

    def forward(self, x, condition):
        query, key, value = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out(self.attend(query, key, value))
        key, value = self.key_value(condition).chunk(2, dim=-1)
        x = x + self.cross_out(self.attend(self.query(x), key, value))
        return x + self.down(functional.gelu(self.up(self.norm(x))))

    def attend(self, query, key, value):
        parts = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        return functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(-2)


def block_flop(batch, tokens, condition_tokens, width, widening=4):
    """Two operations per multiply-add of every product in the block."""
    per_token = (3 + 1 + 1 + 1 + 2 * widening) * width * width
    attention = 2 * tokens * tokens * width + 2 * tokens * condition_tokens * width
    condition = condition_tokens * 2 * width * width
    return 2 * batch * (tokens * per_token + attention + condition)


def test_a_transformer_block_is_counted_to_the_operation():
    block = Block(width=64, heads=4)
    work = count_work(block, torch.zeros(2, 48, 64), torch.zeros(2, 20, 64))
    assert work.flop == block_flop(batch=2, tokens=48, condition_tokens=20, width=64)
    assert work.dtype == "fp32"


def test_real_tensors_on_a_processor_would_miss_the_attention():
    """If this fails, torch counts the processor's kernel too, and the meta device is not needed."""
    block, x, condition = Block(width=64, heads=4), torch.zeros(2, 48, 64), torch.zeros(2, 20, 64)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        block(x, condition)
    attention = 2 * 2 * 2 * 48 * (48 + 20) * 64
    assert count_work(block, x, condition).flop - counter.get_total_flops() == attention


def test_it_agrees_with_the_counter_of_torch_on_the_meta_device():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.GroupNorm(2, 8), nn.SiLU(), nn.ConvTranspose2d(8, 4, 4),
        nn.Flatten(2), nn.LSTM(24 * 24, 5, batch_first=True),
    ).eval()  # fmt: skip
    picture = torch.zeros(2, 3, 43, 43)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        copy.deepcopy(model).to("meta")(picture.to("meta"))
    assert count_work(model, picture).flop == counter.get_total_flops() > 0


def test_linear_is_exact_in_operations_and_bytes():
    work = count_work(nn.Linear(16, 32), torch.zeros(8, 16))
    assert work.flop == 2 * 8 * 16 * 32
    assert work.moved_bytes_min == FP32 * (8 * 16 + 16 * 32 + 32 + 8 * 32)


def test_convolution_in_space_is_exact():
    work = count_work(nn.Conv3d(4, 8, 3, padding=1), torch.zeros(2, 4, 6, 5, 7))
    assert work.flop == 2 * 2 * 8 * (6 * 5 * 7) * 4 * 27
    assert work.moved_bytes_min == FP32 * (2 * 4 * 210 + 8 * 4 * 27 + 8 + 2 * 8 * 210)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_attention_moves_its_inputs_and_its_result_but_no_scores(dtype):
    query, key = torch.zeros(1, 2, 512, 8, dtype=dtype), torch.zeros(1, 2, 300, 8, dtype=dtype)
    work = count_work(functional.scaled_dot_product_attention, query, key, key.clone())
    assert work.flop == 2 * 2 * (2 * 512 * 300 * 8)
    assert work.moved_bytes_min == dtype.itemsize * 2 * 8 * (512 + 300 + 300 + 512)
    assert (
        work.dtype == {2: "bf16" if dtype is torch.bfloat16 else "fp16", 4: "fp32"}[dtype.itemsize]
    )


def test_bytes_of_views_repeats_and_lookups():
    rows = torch.zeros(1000, 8)
    number = torch.zeros(4, dtype=torch.long)
    assert count_work(lambda x: x.view(8, 1000).t()[:3], rows).moved_bytes_min == 0
    assert count_work(functional.embedding, number, rows).moved_bytes_min == 4 * 8 + 2 * FP32 * 32
    assert count_work(lambda x, n: x[n], rows, number).moved_bytes_min == 4 * 8 + 2 * FP32 * 32
    added = count_work(lambda x: x + torch.zeros(1, 8).expand(1000, 8), rows)
    assert added.moved_bytes_min == FP32 * (8 + 8000 + 8 + 8000)
    assert added.flop == 0
    assert added.dtype is None
    assert stored_bytes(torch.zeros(0, 3)) == 0


def test_counting_in_another_type_halves_the_bytes_and_leaves_the_operations():
    layer, x = nn.Linear(64, 64, bias=False), torch.zeros(32, 64)
    full, half = count_work(layer, x), count_work(layer, x, dtype=torch.bfloat16)
    assert half.flop == full.flop
    assert 2 * half.moved_bytes_min == full.moved_bytes_min
    assert (full.dtype, half.dtype) == ("fp32", "bf16")
    assert layer.weight.dtype is torch.float32


def test_products_of_several_types_are_mixed():
    def both(x):
        return x @ x.t(), (x.bfloat16() @ x.bfloat16().t())

    assert count_work(both, torch.zeros(4, 4)).dtype == "mixed"


def test_fp32_on_a_gpu_is_told_as_what_its_units_do(monkeypatch):
    monkeypatch.setattr(flops, "_tensors", lambda arguments: [FakeGpuTensor()])
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert count_work(nn.Linear(4, 4), torch.zeros(2, 4)).dtype == "fp32"
    assert count_work(nn.Conv1d(4, 4, 1), torch.zeros(2, 4, 4)).dtype == "tf32"
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert count_work(nn.Linear(4, 4), torch.zeros(2, 4)).dtype == "tf32"


class FakeGpuTensor:
    is_cuda = True


class Branching(nn.Module):
    def forward(self, x):
        return x @ x if x.sum() > 0 else x


class Unregistered(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x)


class RealAttention(nn.Module):
    def forward(self, x):
        real = torch.zeros(1, 1, 4, 4, device="cpu")
        return x + functional.scaled_dot_product_attention(real, real, real)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (Branching(), (4, 4)),
        (Unregistered(), (4, 4)),
        (RealAttention(), (4, 4)),
        (lambda x: torch.cdist(x, x), (40, 4)),
        (lambda x: x.nonzero(), (4, 4)),
        (lambda x: x.sum().item(), (4, 4)),
        (nn.Linear(3, 3), (4, 4)),
        (nn.Bilinear(4, 4, 2), (4, 4)),
    ],
)
def test_what_cannot_be_told_is_unknown_and_never_too_low(call, shape):
    assert count_work(call, torch.zeros(shape)) is None


def test_an_operation_of_another_library_is_unknown():
    with torch.library._scoped_library("meshkiln_test", "FRAGMENT") as library:
        library.define("attend(Tensor x) -> Tensor")
        library.impl("attend", torch.clone, "Meta")
        assert count_work(torch.ops.meshkiln_test.attend.default, torch.zeros(4)) is None


def test_hooks_make_the_work_unknown():
    layer = nn.Linear(4, 4)
    hook = layer.register_forward_pre_hook(lambda layer, args: None)
    assert count_work(nn.Sequential(layer), torch.zeros(2, 4)) is None
    hook.remove()
    assert count_work(nn.Sequential(layer), torch.zeros(2, 4)).flop == 64


def test_the_model_is_neither_run_nor_changed():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.table = torch.ones(4)
            self.register_buffer("seen", torch.zeros(()))
            self.calls = []

        def forward(self, x):
            self.calls.append(1)
            self.seen = self.seen + 1
            self.last = self.layer(x) * self.table
            return self.last

    model = Remembering()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert count_work(model, torch.zeros(2, 4)).flop == 64
    assert model.calls == []
    assert not hasattr(model, "last")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.layer.weight.device.type == "cpu"


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_mode_of_the_caller_does_not_matter(mode):
    block = Block(width=32, heads=2)
    with mode():
        work = count_work(block, torch.zeros(1, 6, 32), torch.zeros(1, 5, 32))
    assert work.flop == block_flop(1, 6, 5, 32)


def test_a_method_and_named_arguments_are_counted():
    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = nn.Linear(4, 8)

        def decode(self, x, *, twice):
            return [self.decoder(x) for _ in range(2 if twice else 1)]

    coder, x = Coder(), torch.zeros(2, 4)
    assert count_work(coder.decode, x, twice=False).flop == 128
    assert count_work(coder.decode, x, twice=True).flop == 256


@pytest.fixture
def counted(monkeypatch):
    calls = []
    real = flops._count
    monkeypatch.setattr(flops, "_count", lambda *args: calls.append(args) or real(*args))
    return calls


def test_a_shape_is_counted_once_per_model(counted):
    layer, other = nn.Linear(4, 4), nn.Linear(4, 4)
    for _ in range(3):
        assert count_work(layer, torch.rand(2, 4)).flop == 64
    assert len(counted) == 1
    assert count_work(layer, torch.rand(3, 4)).flop == 96
    assert count_work(other, torch.rand(2, 4)).flop == 64
    assert count_work(layer.bfloat16(), torch.rand(2, 4).bfloat16()).dtype == "bf16"
    assert len(counted) == 4


def test_a_changed_model_is_counted_again_when_told(counted):
    model = nn.Sequential(nn.Linear(4, 4))
    assert count_work(model, torch.rand(2, 4)).flop == 64
    model.append(nn.Linear(4, 4))
    forget_work(model)
    assert count_work(model, torch.rand(2, 4)).flop == 128


def test_ever_new_shapes_are_not_counted_for_ever(counted):
    layer = nn.Linear(4, 4)
    found = [count_work(layer, torch.rand(n, 4)) for n in range(1, MOST_COUNTS + 5)]
    assert [work.flop for work in found[:MOST_COUNTS]] == [
        32 * n for n in range(1, MOST_COUNTS + 1)
    ]
    assert found[MOST_COUNTS:] == [None] * 4
    assert len(counted) == MOST_COUNTS
    assert count_work(layer, torch.rand(1, 4)).flop == 32


def test_a_count_is_blind_to_what_other_threads_compute():
    layer, x, stop = nn.Linear(64, 64), torch.rand(64, 64), threading.Event()

    def compute():
        while not stop.is_set():
            layer(x)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        found = {count_work(nn.Linear(64, 64), torch.zeros(n, 64)).flop // n for n in range(1, 30)}
    finally:
        stop.set()
        thread.join()
    assert found == {2 * 64 * 64}


@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.ReLU6, nn.RReLU]
)
def test_activations_in_place_do_not_hide_the_products_beside_them(activation):
    plain, in_place = (
        count_work(
            nn.Sequential(nn.Linear(8, 8, bias=False), activation(inplace=there)).eval(),
            torch.zeros(2, 8),
        )
        for there in (False, True)
    )
    assert plain.flop == in_place.flop == 2 * 2 * 8 * 8


PRODUCTS = {
    "mv": (lambda a, v: a @ v, [(6, 5), (5,)], 60),
    "dot": (lambda u, v: torch.dot(u, v), [(5,), (5,)], 10),
    "addmv": (lambda u, a, v: torch.addmv(u, a, v), [(6,), (6, 5), (5,)], 60),
    "addmm_": (lambda c, a, b: c.clone().addmm_(a, b), [(3, 4), (3, 5), (5, 4)], 120),
    "baddbmm_": (lambda c, a, b: c.clone().baddbmm_(a, b), [(2, 3, 4), (2, 3, 5), (2, 5, 4)], 240),
    "addbmm": (lambda c, a, b: torch.addbmm(c, a, b), [(3, 4), (2, 3, 5), (2, 5, 4)], 240),
}


class Product(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, *tensors):
        return PRODUCTS[self.name][0](*tensors)


@pytest.mark.parametrize("name", list(PRODUCTS))
def test_products_that_torch_has_no_formula_for_are_counted(name):
    _, shapes, flop = PRODUCTS[name]
    assert count_work(Product(name), *(torch.zeros(shape) for shape in shapes)).flop == flop


def test_upsampling_in_three_dimensions_is_no_product():
    model = nn.Sequential(
        nn.Conv3d(2, 2, 1, bias=False), nn.Upsample(scale_factor=2, mode="trilinear")
    )
    assert count_work(model, torch.zeros(1, 2, 4, 4, 4)).flop == 2 * 2 * 2 * 64
