from __future__ import annotations

import pytest

from backend.errors import InvalidParameter
from backend.gpu.choice import choose_gpus

CARDS = [
    {"index": 0, "uuid": "GPU-a", "name": "A", "vram_free_mb": 1000, "gpu_util_pct": 0},
    {"index": 1, "uuid": "GPU-b", "name": "B", "vram_free_mb": 9000, "gpu_util_pct": 90},
    {"index": 2, "uuid": "GPU-c", "name": "C", "vram_free_mb": 9000, "gpu_util_pct": 10},
    {"index": 3, "uuid": None, "name": "D", "vram_free_mb": None, "gpu_util_pct": None},
]


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        ("all", ["GPU-c", "GPU-b", "GPU-a", "3"]),
        ("least-used", ["GPU-c"]),
        ("cpu", []),
        ("1, GPU-a,1", ["GPU-b", "GPU-a"]),
    ],
)
def test_choice(spec, chosen):
    assert choose_gpus(spec, CARDS) == chosen


def test_no_card_is_no_choice_and_a_wrong_one_names_what_exists():
    assert choose_gpus("all", []) == choose_gpus("least-used", []) == []
    with pytest.raises(InvalidParameter, match=r"0 \(A\), 1 \(B\)"):
        choose_gpus("7", CARDS)
    with pytest.raises(InvalidParameter, match="no GPU ''"):
        choose_gpus("", CARDS)
    with pytest.raises(InvalidParameter, match="none"):
        choose_gpus("0", [])
