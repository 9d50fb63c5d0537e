from __future__ import annotations

import torch

from backend.engines.weight_format import WeightFormat, weight_format
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


def test_a_processor_keeps_the_decoder_in_full_when_asked_for_bf16():
    found = weight_format(Settings(precision="bf16", weights="int8"))
    assert found == WeightFormat(torch.bfloat16, torch.float32, is_int8=True)
