from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend.engines.segmentation_memory import (
    DEVICE_LIMIT_BYTES,
    LARGEST,
    SMALLEST,
    MaskWork,
    asking_bytes,
    fitting_work,
    pass_bytes,
    room_bytes,
)
from backend.gpu.work_room import WorkRoom
from backend.models.p3sam.config import HeadsConfig
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.p3sam.prompt_masks import prompt_masks
from backend.units import MB

WEIGHTS_BYTES = 451 * MB
GPU_BYTES = 24_000 * MB


def full_size(points):
    return lambda work: pass_bytes(HeadsConfig(), points, work)


@pytest.mark.parametrize("points", [20_000, 100_000, 200_000])
def test_masks_stay_within_four_gigabytes_with_the_weights(points):
    room = room_bytes(WorkRoom(most=GPU_BYTES, as_it_is=GPU_BYTES), WEIGHTS_BYTES)
    work = fitting_work(room, full_size(points))
    assert WEIGHTS_BYTES + full_size(points)(work) <= DEVICE_LIMIT_BYTES <= 4_096 * MB
    pairs = work.chunk_points * work.prompt_batch
    assert pairs >= 4 * SMALLEST.chunk_points * SMALLEST.prompt_batch


def test_little_memory_gives_the_smallest_pass_and_much_the_largest():
    assert fitting_work(0, full_size(100_000)) == SMALLEST
    assert fitting_work(10**12, full_size(100_000)) == LARGEST


def test_no_more_than_a_share_of_what_is_free_is_taken():
    room = WorkRoom(most=GPU_BYTES, as_it_is=2_000 * MB)
    assert room_bytes(room, WEIGHTS_BYTES) == 1_000 * MB


class LiveBytes(TorchDispatchMode):
    """Adds up the memory of tensors that were made and not let go."""

    def __init__(self, module):
        super().__init__()
        self.live = self.most = 0
        self._sizes = {one.untyped_storage()._cdata: 0 for one in module.parameters()}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage):
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.live += storage.nbytes()
            self.most = max(self.most, self.live)
            weakref.finalize(storage, self._let_go, key)

    def _let_go(self, key):
        self.live -= self._sizes.pop(key, 0)


def test_no_more_memory_is_taken_than_was_asked_for():
    """At full size, on tensors without memory of their own."""
    points, config = 20_000, HeadsConfig()
    asked_for = asking_bytes(config, points)
    with torch.device("meta"):
        heads = MaskHeads(config)
        prompts = torch.zeros(2 * SMALLEST.prompt_batch, 3)
        with LiveBytes(heads) as taken, torch.inference_mode():
            terms = heads.point_terms(torch.zeros(points, 512), torch.zeros(points, 3))
            assert 0.8 * asked_for <= taken.most <= asked_for
            for work in (SMALLEST, MaskWork(8_192, 32)):
                taken.most = taken.live
                sizes = {"chunk_points": work.chunk_points, "prompt_batch": work.prompt_batch}
                prompt_masks(heads, terms, prompts, **sizes)
                assert taken.most <= pass_bytes(config, points, work)
    assert pass_bytes(config, points, SMALLEST) <= asked_for
