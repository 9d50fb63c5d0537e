from __future__ import annotations

import torch

from backend.engines.weight_format import WeightFormat, weight_format
from backend.models.checkpoints.catalogue import ModelKind
from backend.models.checkpoints.checkpoint import Component
from backend.settings import Settings


def on_a_card(monkeypatch, capability=(9, 0)):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


def test_a_card_computes_in_the_format_that_the_weights_were_made_for(monkeypatch):
    on_a_card(monkeypatch)
    assert weight_format(Settings()) == WeightFormat(torch.float16, torch.float16)
    assert weight_format(Settings(precision="fp32")).network is torch.float32


def test_a_card_that_is_slow_in_it_does_not(monkeypatch):
    on_a_card(monkeypatch, (6, 1))
    assert weight_format(Settings()).network is torch.float32


def test_a_server_that_leaves_its_card_alone_computes_in_full_precision(monkeypatch):
    on_a_card(monkeypatch)
    assert weight_format(Settings(gpu="cpu")) == WeightFormat(torch.float32, torch.float32)


def test_what_finds_parts_is_exact_whatever_is_asked(monkeypatch):
    on_a_card(monkeypatch)
    asked = Settings(precision="bf16", weights="int8")
    found = weight_format(asked, ModelKind.SEGMENTATION)
    assert found.of(Component.SEGMENTER) is torch.float32
    assert not found.is_int8
    assert found.title == "float32"


def test_parts_are_made_in_bf16_where_a_card_knows_it_but_decoded_in_fp16(monkeypatch):
    on_a_card(monkeypatch)
    found = weight_format(Settings(), ModelKind.COMPLETION)
    assert found.of(Component.DENOISER) is found.of(Component.CONDITIONER) is torch.bfloat16
    assert found.of(Component.VAE) is torch.float16
    on_a_card(monkeypatch, (7, 5))
    assert weight_format(Settings(), ModelKind.COMPLETION).network is torch.float16
    processor = weight_format(Settings(gpu="cpu", weights="int8"), ModelKind.COMPLETION)
    assert processor == WeightFormat(torch.float32, torch.float32, is_int8=True)


def test_a_processor_keeps_the_decoder_in_full_when_asked_for_bf16():
    found = weight_format(Settings(precision="bf16", weights="int8"))
    assert found == WeightFormat(torch.bfloat16, torch.float32, is_int8=True)


def test_what_paints_computes_in_half_precision_and_never_in_8_bits(monkeypatch):
    on_a_card(monkeypatch)
    for kind in (ModelKind.TEXTURE, ModelKind.COMPANION):
        found = weight_format(Settings(weights="int8"), kind)
        assert found == WeightFormat(torch.float16, torch.float16)
