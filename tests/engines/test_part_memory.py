from __future__ import annotations

import doctest

import pytest

from backend.engines import part_effort, part_memory
from backend.engines.part_memory import (
    DenoisePlan,
    decode_bytes,
    encode_bytes,
    plan_denoise,
    surfaces_per_call,
    work_bytes,
)
from backend.models.xpart.denoiser_config import X_PART, key_bytes
from backend.models.xpart.denoiser_weights import upstream_shapes
from backend.models.xpart.point_set_config import PointSetConfig

GB, GIB, BF16 = 10**9, 2**30, 2
CONTEXT = 4096
WEIGHTS = BF16 * sum(shape.numel() for shape in upstream_shapes(X_PART).values())
ENCODER = PointSetConfig.from_upstream({
    "num_latents": 4096, "width": 1024, "heads": 16, "num_encoder_layers": 8, "num_freqs": 8,
    "point_feats": 4, "pc_size": 81_920, "downsample_ratio": 20, "embed_dim": 64,
})  # fmt: skip


def plan(parts, room_bytes):
    return plan_denoise(X_PART, parts, CONTEXT, BF16, room_bytes)


def test_the_figures_of_the_published_sizes():
    assert pytest.approx(6.18 * GIB, rel=0.01) == WEIGHTS
    each = X_PART.trunk.depth * (key_bytes(X_PART, 2, BF16) - key_bytes(X_PART, 1, BF16))
    assert each == pytest.approx(0.66 * GIB, rel=0.01)  # the object's are there once, not per part
    assert X_PART.trunk.depth * key_bytes(X_PART, 1, BF16) == pytest.approx(1.31 * GIB, rel=0.01)


def test_ten_parts_fit_into_ten_gigabytes_with_some_keys_kept():
    found = plan(10, 10 * GB - WEIGHTS)
    assert found.parts_together == 10
    assert found.keys_for_blocks > 0
    assert WEIGHTS + found.extra_bytes <= 10 * GB


def test_with_memory_to_spare_all_keys_are_kept_and_nothing_more_is_promised():
    found = plan(10, 60 * GB)
    assert (found.parts_together, found.keys_for_blocks) == (10, 21)
    assert found.extra_bytes < 10 * GB
    assert plan(10, 80 * GB) == found


@pytest.mark.parametrize(
    ("parts", "per_call", "counted_gib"),
    [(1, 1, 0.20), (4, 4, 0.72), (4, 2, 0.48), (10, 4, 1.02), (10, 2, 0.93), (20, 4, 1.83),
     (50, 2, 4.53)],
)  # fmt: skip
def test_a_call_is_promised_what_was_counted_on_the_meta_device_and_little_more(
    parts, per_call, counted_gib
):
    """Figures of one full-size call in bf16, counted tensor by tensor, without its contexts."""
    contexts = (parts + 1) * CONTEXT * 1024 * BF16
    bound = (work_bytes(X_PART, parts, per_call, CONTEXT, BF16) - contexts) / GIB
    assert counted_gib <= bound <= 1.8 * counted_gib


@pytest.mark.parametrize("room_gb", [0.7, 1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("parts", [1, 2, 3, 10, 51, 400])
def test_no_plan_takes_more_than_there_is(parts, room_gb):
    found = plan(parts, int(room_gb * GB))
    assert found.extra_bytes <= room_gb * GB
    assert 1 <= found.parts_per_call <= found.parts_together <= parts
    more = plan(parts, int(2 * room_gb * GB))
    assert more.parts_together >= found.parts_together


def test_what_never_fits_is_asked_for_all_the_same_and_refused_by_who_knows():
    found = plan(3, 0)
    assert found == DenoisePlan(1, 1, 0, found.extra_bytes)
    assert found.extra_bytes > 0


def test_surfaces_are_encoded_one_by_one_where_memory_is_short():
    assert surfaces_per_call(ENCODER, BF16, 0) == 1
    assert surfaces_per_call(ENCODER, BF16, 100 * GB) == 4
    one = encode_bytes(ENCODER, 1, BF16)
    assert one < 3 * GB
    assert surfaces_per_call(ENCODER, BF16, 2 * one) == 2


def test_a_grid_of_a_part_takes_less_than_that_of_the_object():
    assert decode_bytes(513**3, 1024, BF16) - decode_bytes(129**3, 1024, BF16) > 5 * GB


def test_examples():
    assert doctest.testmod(part_memory).failed == 0
    assert doctest.testmod(part_effort).failed == 0
