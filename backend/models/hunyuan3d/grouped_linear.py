"""A linear layer whose weights depend on the group that a row belongs to. Imports torch.

Rows lie sorted by group, and a tensor on their device tells where each group ends. On CUDA nothing
waits for that tensor to reach the host, so the call can be captured in a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

BLOCK_ROWS = 512
_GROUPED_KERNEL_MAJORS = (9, 10)
_ALIGNED_CHANNELS = 8  # 16 bytes of bfloat16


class GroupedWay(StrEnum):
    """Ways of computing it."""

    NATIVE = "native"
    """torch's grouped kernel, which exists for bfloat16 on compute capability 9 and 10. On other
    devices and in other types torch reads the ends on the host instead."""
    BLOCKS = "blocks"
    """Blocks of a fixed number of rows, each filled up from one group. Their number is bounded by
    that of the rows alone. Computing every group for every row asks for less bookkeeping, but for
    two to three times the work with 8 groups of 4096 tokens that go to 2 each."""
    LOOP = "loop"
    """One product per group, for the CPU, where reading the ends costs nothing."""


def grouped_way(device: torch.device, dtype: torch.dtype, *channels: int) -> GroupedWay:
    """Choose the way.

    Parameters
    ----------
    channels : int
        Into and out of the layer.
    """
    if device.type == "cpu":
        return GroupedWay.LOOP
    is_aligned = all(count % _ALIGNED_CHANNELS == 0 for count in channels)
    if device.type == "cuda" and dtype == torch.bfloat16 and is_aligned:
        major, _ = torch.cuda.get_device_capability(device)
        if major in _GROUPED_KERNEL_MAJORS:
            return GroupedWay.NATIVE
    return GroupedWay.BLOCKS


def group_ends(owners: Tensor, groups: int) -> Tensor:
    """Return where each group ends.

    Parameters
    ----------
    owners : Tensor, shape (rows,) int64
        The group of each row, ascending.

    Returns
    -------
    Tensor, shape (groups,) int32
    """
    numbers = torch.arange(groups, device=owners.device)
    return torch.searchsorted(owners, numbers, right=True).to(torch.int32)


@torch.library.custom_op(
    "meshkiln::grouped_linear",
    mutates_args=(),
    schema="(Tensor rows, Tensor weight, Tensor bias, Tensor ends) -> Tensor",
)
def grouped_linear(rows: Tensor, weight: Tensor, bias: Tensor, ends: Tensor) -> Tensor:
    """Apply the layer of its group to each row.

    It is one operator to torch, so that a compiler does not look into it and a counter of
    operations sees all of it.

    Parameters
    ----------
    rows : Tensor, shape (rows, in_channels)
        Sorted by group.
    weight : Tensor, shape (groups, out_channels, in_channels)
    bias : Tensor, shape (groups, out_channels)
    ends : Tensor, shape (groups,) int32
        As ``group_ends`` returns them.

    Returns
    -------
    Tensor, shape (rows, out_channels)
    """
    match grouped_way(rows.device, rows.dtype, *weight.shape[1:]):
        case GroupedWay.NATIVE:
            return by_grouped_kernel(rows, weight, bias, ends)
        case GroupedWay.BLOCKS:
            return by_blocks(rows, weight, bias, ends)
        case GroupedWay.LOOP:
            return by_loop(rows, weight, bias, ends)


@grouped_linear.register_fake
def _shape_of_result(rows: Tensor, weight: Tensor, bias: Tensor, ends: Tensor) -> Tensor:
    return rows.new_zeros(rows.shape[0], weight.shape[1])


@register_flop_formula(torch.ops.meshkiln.grouped_linear)
def _flop(
    rows: tuple[int, ...], weight: tuple[int, ...], *shapes: object, out_shape: object = None
) -> int:
    """Count two operations per multiply-add, as torch does for its own products."""
    return 2 * rows[0] * weight[1] * weight[2]


def by_loop(rows: Tensor, weight: Tensor, bias: Tensor, ends: Tensor) -> Tensor:
    """Multiply group by group; reads the ends on the host."""
    result = rows.new_zeros(len(rows), weight.shape[1])
    start = 0
    for group, end in enumerate(ends.tolist()):
        if end > start:
            torch.addmm(bias[group], rows[start:end], weight[group].T, out=result[start:end])
        start = end
    return result


def by_grouped_kernel(rows: Tensor, weight: Tensor, bias: Tensor, ends: Tensor) -> Tensor:
    """Multiply all groups in one kernel."""
    product = functional.grouped_mm(rows, weight.transpose(1, 2), offs=ends)
    numbers = torch.arange(len(rows), dtype=ends.dtype, device=ends.device)
    return product.add_(bias[torch.searchsorted(ends, numbers, right=True)])


def by_blocks(
    rows: Tensor, weight: Tensor, bias: Tensor, ends: Tensor, block_rows: int = BLOCK_ROWS
) -> Tensor:
    """Multiply block by block; neither sizes nor the number of blocks depend on the ends."""
    plan = plan_blocks(ends, len(rows), block_rows)
    filled = rows[plan.sources]
    result = rows.new_zeros(*plan.sources.shape, weight.shape[1])
    for number, block in enumerate(filled):
        owner = plan.owners[number : number + 1]
        own_weight, own_bias = (one.index_select(0, owner)[0] for one in (weight, bias))
        torch.addmm(own_bias, block, own_weight.T, out=result[number])
    return result.flatten(0, 1)[plan.places]


@dataclass(frozen=True)
class Blocks:
    """Which rows go into which block.

    Parameters
    ----------
    owners : Tensor, shape (blocks,) int64
        Group of each block. Blocks that are left over have some group, and no one reads them.
    sources : Tensor, shape (blocks, block_rows) int64
        Row for each place. Places that are left over have some row.
    places : Tensor, shape (rows,) int64
        Place of each row, counted over all blocks.
    """

    owners: Tensor
    sources: Tensor
    places: Tensor


def plan_blocks(ends: Tensor, rows: int, block_rows: int) -> Blocks:
    """Distribute rows over blocks that hold rows of one group each.

    Notes
    -----
    A group fills all of its blocks but the last, which holds one row at least. There are
    therefore at most ``(rows + groups * (block_rows - 1)) // block_rows`` blocks.
    """
    groups, device = len(ends), ends.device
    most_blocks = (rows + groups * (block_rows - 1)) // block_rows
    starts = functional.pad(ends[:-1], (1, 0)).long()
    block_ends = ((ends - starts + block_rows - 1) // block_rows).cumsum(0)
    first_blocks = functional.pad(block_ends[:-1], (1, 0))

    blocks = torch.arange(most_blocks, device=device)
    owners = torch.searchsorted(block_ends, blocks, right=True).clamp(max=groups - 1)
    first_rows = starts[owners] + (blocks - first_blocks[owners]) * block_rows
    sources = first_rows[:, None] + torch.arange(block_rows, device=device)

    numbers = torch.arange(rows, device=device)
    group = torch.searchsorted(ends.long(), numbers, right=True)
    places = first_blocks[group] * block_rows + numbers - starts[group]
    return Blocks(owners, sources.clamp(max=rows - 1), places)
