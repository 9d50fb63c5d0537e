from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from backend.models.hunyuan3d.grouped_linear import (
    GroupedWay,
    by_blocks,
    by_grouped_kernel,
    by_loop,
    group_ends,
    grouped_linear,
    grouped_way,
    plan_blocks,
)

GROUPS, IN, OUT = 4, 8, 16
SIZES = [(5, 0, 9, 3), (0, 0, 0, 7), (7, 0, 0, 0), (1, 1, 1, 1), (8, 4, 4, 12), (0, 1, 0, 0)]


def layer():
    torch.manual_seed(0)
    return torch.randn(GROUPS, OUT, IN), torch.randn(GROUPS, OUT)


def owners_of(sizes):
    return torch.arange(GROUPS).repeat_interleave(torch.tensor(sizes))


@pytest.mark.parametrize("sizes", SIZES)
def test_every_way_gives_each_row_the_layer_of_its_group(sizes):
    weight, bias = layer()
    owners = owners_of(sizes)
    rows = torch.randn(len(owners), IN)
    expected = torch.stack(
        [
            functional.linear(row, weight[own], bias[own])
            for row, own in zip(rows, owners, strict=True)
        ]
    )
    ends = group_ends(owners, GROUPS)
    for way in (by_loop, by_grouped_kernel, grouped_linear):
        torch.testing.assert_close(way(rows, weight, bias, ends), expected)
    for block_rows in (1, 4, 512):
        blocks = by_blocks(rows, weight, bias, ends, block_rows)
        torch.testing.assert_close(blocks, expected)


@pytest.mark.parametrize("sizes", SIZES)
def test_blocks_hold_rows_of_one_group_and_are_as_many_whatever_the_sizes(sizes):
    owners, block_rows = owners_of(sizes), 4
    plan = plan_blocks(group_ends(owners, GROUPS), len(owners), block_rows)
    assert len(plan.owners) == (len(owners) + GROUPS * (block_rows - 1)) // block_rows
    assert torch.equal(plan.sources.flatten()[plan.places], torch.arange(len(owners)))
    assert torch.equal(plan.owners[plan.places // block_rows], owners)
    assert int(plan.sources.max()) < len(owners)


def test_ends_of_groups_without_rows_are_those_before_them():
    ends = group_ends(torch.tensor([1, 1, 3]), 5)
    assert (ends.tolist(), ends.dtype) == ([0, 2, 2, 3, 3], torch.int32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("major", [8, 9, 10, 12])
def test_the_kernel_of_torch_is_taken_only_where_it_needs_no_host(monkeypatch, dtype, major):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 0))
    is_native = dtype == torch.bfloat16 and major in (9, 10)
    expected = GroupedWay.NATIVE if is_native else GroupedWay.BLOCKS
    assert grouped_way(torch.device("cuda"), dtype, 2048, 8192) is expected
    assert grouped_way(torch.device("cuda"), dtype, 2044, 8192) is GroupedWay.BLOCKS
    assert grouped_way(torch.device("cpu"), dtype, 2048, 8192) is GroupedWay.LOOP


def test_ways_for_other_devices_ask_nothing_of_the_host():
    """On the meta device there is nothing that could be asked."""
    rows = torch.zeros(10, IN, device="meta", dtype=torch.bfloat16)
    weight = torch.zeros(GROUPS, OUT, IN, device="meta", dtype=torch.bfloat16)
    bias = torch.zeros(GROUPS, OUT, device="meta", dtype=torch.bfloat16)
    ends = group_ends(torch.zeros(10, device="meta", dtype=torch.int64), GROUPS)
    for way in (by_grouped_kernel, by_blocks, grouped_linear):
        assert way(rows, weight, bias, ends).shape == (10, OUT)


def test_a_counter_of_operations_sees_all_rows_once():
    weight, bias = layer()
    owners = owners_of((5, 0, 9, 3))
    with FlopCounterMode(display=False) as counter:
        grouped_linear(torch.randn(17, IN), weight, bias, group_ends(owners, GROUPS))
    assert counter.get_total_flops() == 2 * 17 * IN * OUT


def test_torch_accepts_the_operator():
    weight, bias = layer()
    owners = owners_of((5, 0, 9, 3))
    given = (torch.randn(17, IN), weight, bias, group_ends(owners, GROUPS))
    torch.library.opcheck(grouped_linear, given, test_utils=("test_schema", "test_faketensor"))
