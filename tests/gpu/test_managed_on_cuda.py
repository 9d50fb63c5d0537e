"""Hosted programs on a real card; not part of the default run.

``pytest -m gpu tests/gpu/test_managed_on_cuda.py`` on a machine with a card of its own.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.process import ProcessResidency
from backend.settings import Settings
from backend.units import MB
from tests.residency.managed.speech_shaped import TinyTTS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
LARGE_BYTES = 256 * MB


class LargeTTS(TinyTTS):
    """Large enough that the driver's figures show it; made on the device, as the original is."""

    def __init__(self, **given) -> None:
        super().__init__(**given)
        self.llm.ballast = nn.Parameter(torch.ones(LARGE_BYTES // 4), requires_grad=False)
        self.llm.cuda()
        self.cosy_model.cosy_impl.parts["hift"][0].cuda()
        self.table = torch.arange(1000.0, device="cuda")


@pytest.fixture
def residency():
    made = ProcessResidency(Settings(gpu="all", residency="offload_after_use"))
    yield made
    made.close()


@pytest.fixture
def engine(residency):
    with ManagedEngine("tts", LargeTTS, ["clone"], residency=residency) as made:
        yield made


def test_weights_and_tensors_leave_the_card_and_come_back(engine, residency):
    expected = engine.clone("", "", "x")[0]
    program = residency.manager().table.find("tts").loaded.program
    devices, held = [], []

    def look(tts) -> None:
        devices.append((tts.llm.ballast.device.type, tts.table.device.type))
        held.append(torch.cuda.memory_allocated())

    program.during = look
    for _ in range(2):
        assert torch.allclose(engine.clone("", "", "x")[0], expected, atol=1e-4)
    assert devices == [("cuda", "cuda")] * 2
    assert min(held) >= LARGE_BYTES
    assert program.llm.ballast.device.type == program.table.device.type == "cpu"
    assert torch.cuda.memory_allocated() < LARGE_BYTES // 4


def test_the_drivers_figure_falls_after_use(engine, residency):
    engine.clone("", "", "x")
    program = residency.manager().table.find("tts").loaded.program
    free_during = []
    program.during = lambda _: free_during.append(torch.cuda.mem_get_info()[0])
    engine.clone("", "", "x")
    torch.cuda.synchronize()
    assert torch.cuda.mem_get_info()[0] - free_during[0] >= LARGE_BYTES * 0.9
