from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils import _pytree as pytree

from backend.models.attention import plain_attention
from backend.models.xpart.denoiser import PLAIN_WAY, PartDenoiser
from backend.models.xpart.denoiser_config import key_bytes
from backend.models.xpart.part_block import BlockWay, Contexts
from backend.models.xpart.part_sampler import part_rows
from tests.models.xpart.part_golden import config, contexts, denoiser, golden

PUBLISHED_TOLERANCE = 5e-6  # the golden set allows 5e-5; observed 1.5e-6
TOLERANCE = 4e-6  # other order of the same sums, at outputs of about 1
TIMES = torch.tensor([0.0, 0.37, 0.7])
PARTS = 3
WAYS = {
    "sorted": BlockWay(),
    "masked": PLAIN_WAY,
    "one by one": BlockWay(parts_per_call=1),
    "two at a time": BlockWay(sorted_experts=False, parts_per_call=2),
    "more than there are": BlockWay(parts_per_call=9),
}


def differ(one, other):
    return float((one.float() - other.float()).abs().max())


@pytest.fixture(scope="module")
def network():
    return denoiser()


@pytest.fixture(scope="module")
def recorded(network):
    """Return the velocity and what the layers returned on the way, for the recorded input."""
    seen = {}

    def note(name):
        return lambda _layer, given, out: seen.update({name: (given, out)})

    hooks = [network.latent_in.register_forward_hook(note("latents"))]
    for number, block in enumerate(network.blocks):
        hooks.append(block.register_forward_hook(note(number)))
        if config().trunk.has_experts(number):
            hooks.append(block.perceptron.gate.register_forward_hook(note(f"gate{number}")))
    given = golden()
    seen["velocity"] = network.velocity(
        given["in.x"], given["in.t"], contexts(), given["in.part_embed_idx"]
    )
    for hook in hooks:
        hook.remove()
    return seen


@pytest.fixture(scope="module")
def shared():
    """Return the recorded contexts with one object for all parts, as a pipeline has them."""
    return Contexts(contexts().whole[:1], contexts().own)


@pytest.fixture(scope="module")
def expected(network, shared):
    """Return the velocities at every time, with an object for each part and nothing prepared."""
    own_object = Contexts(shared.whole.repeat(PARTS, 1, 1), shared.own)
    rows = golden()["in.part_embed_idx"]
    return [
        network.velocity(golden()["in.x"], time.expand(PARTS), own_object, rows) for time in TIMES
    ]


def prepared(network, seen, **how):
    rows = golden()["in.part_embed_idx"]
    return network.prepare(seen.whole, seen.own, TIMES, rows, **how)


def test_the_velocity_is_the_published_one(recorded):
    assert differ(recorded["velocity"], golden()["out.velocity"]) < PUBLISHED_TOLERANCE


def test_what_is_prepared_gives_the_published_velocity_too(network):
    velocity = network(golden()["in.x"], prepared(network, contexts()), 1)
    assert differ(velocity, golden()["out.velocity"]) < PUBLISHED_TOLERANCE


@pytest.mark.parametrize("number", range(7))
def test_every_block_returns_what_the_published_one_does(recorded, number):
    _, tokens = recorded[number]
    assert differ(tokens, golden()[f"mid.block{number}.out"]) < PUBLISHED_TOLERANCE


@pytest.mark.parametrize("number", [4, 5, 6])
def test_tokens_go_to_the_published_experts(recorded, number):
    shares, picked = recorded[f"gate{number}"][1].softmax(-1).topk(2)
    assert torch.equal(picked, golden()[f"mid.block{number}.moe.topk_idx"])
    assert differ(shares, golden()[f"mid.block{number}.moe.topk_weight"]) < PUBLISHED_TOLERANCE


def test_times_and_latents_become_the_published_tokens(network, recorded):
    tokens = network.embed_times(golden()["in.t"])[:, None]
    assert differ(tokens, golden()["mid.t_emb"]) < TOLERANCE
    (first, *_), _ = recorded[0]
    assert differ(first[:, :1], golden()["mid.t_emb"]) < TOLERANCE
    told_apart = network.part_table[golden()["in.part_embed_idx"]][:, None]
    assert torch.equal(first[:, 1:], recorded["latents"][1] + told_apart)
    assert differ(recorded["latents"][1], golden()["mid.x_emb"]) < TOLERANCE


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("keys_for_blocks", [None, 0, 3])
def test_no_saving_changes_a_result(network, shared, expected, way, keys_for_blocks):
    ready = prepared(network, shared, keys_for_blocks=keys_for_blocks, way=way)
    for step, velocity in enumerate(expected):
        assert differ(network(golden()["in.x"], ready, step), velocity) < TOLERANCE


def test_kept_keys_do_not_change_a_bit(network, shared):
    velocities = [
        network(golden()["in.x"], prepared(network, shared, keys_for_blocks=blocks), 1)
        for blocks in (None, 0, 1, 4)
    ]
    assert all(torch.equal(velocities[0], one) for one in velocities[1:])


@pytest.mark.parametrize("blocks", [0, 2, 7, 100, -1])
def test_kept_keys_take_the_memory_that_was_reckoned(network, blocks):
    """Nothing else stays in memory with them, such as what they are a slice of."""
    whole, own = torch.ones(1, 16, 24), torch.ones(PARTS, 16, 20)
    ready = prepared(network, Contexts(whole, own), keys_for_blocks=blocks)
    kept = {
        leaf.untyped_storage().data_ptr(): leaf.untyped_storage().nbytes()
        for leaf in pytree.tree_leaves(ready.keys)
    }
    of_one = key_bytes(config(), PARTS, item_bytes=4, context_tokens=16)
    assert sum(kept.values()) == min(max(blocks, 0), 7) * of_one
    assert (ready.contexts is None) == (blocks >= 7)


def test_keys_of_one_object_are_computed_and_looked_at_once_for_all_parts(shared):
    attended, projected = [], []

    def watched(q, k, v, scale=None):
        attended.append((q.shape[0], q.shape[2], k.shape[2]))
        return plain_attention(q, k, v, scale)

    network = denoiser(attend=watched)
    for block in network.blocks:
        block.cross_attention.kv.register_forward_hook(lambda *_: projected.append(1))
    ready = prepared(network, shared)
    for step in range(len(TIMES)):
        network(golden()["in.x"], ready, step)
    assert len(projected) == len(network.blocks)
    tokens = golden()["in.x"].shape[1] + 1
    alone, together = (PARTS, tokens, tokens), (1, PARTS * tokens, PARTS * tokens)
    to_object, to_part = (1, PARTS * tokens, 20), (PARTS, tokens, 18)
    step = [
        one
        for number in range(len(network.blocks))
        for one in (together if number % 2 else alone, to_object, to_part)
    ]
    assert attended == len(TIMES) * step


def test_parts_know_of_each_other_through_every_second_block_alone(network, shared):
    ready = prepared(network, shared)
    other = golden()["in.x"].clone()
    other[1] += 1
    tokens = [
        torch.cat([ready.time_tokens[:1].expand(PARTS, 1, -1), network.latent_in(latents)], dim=1)
        for latents in (golden()["in.x"], other)
    ]
    for number, is_moved in ((0, False), (1, True)):
        block, keys = network.blocks[number], ready.keys[number]
        one, changed = (block(given, None, keys, ready.way) for given in tokens)
        assert (differ(one[0], changed[0]) > 1e-4) == is_moved


def test_the_order_of_parts_does_not_matter(network, shared):
    order = torch.tensor([2, 0, 1])
    given = golden()
    rows, latents = given["in.part_embed_idx"], given["in.x"]
    ready = prepared(network, shared)
    turned = network.prepare(shared.whole, shared.own[order], TIMES, rows[order])
    velocity = network(latents, ready, 2)
    assert differ(network(latents[order], turned, 2), velocity[order]) < TOLERANCE
    assert differ(velocity[0], velocity[1]) > 1e-2


def test_there_may_be_more_parts_than_rows(network, shared):
    count = 2 * config().part_rows + 1
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(count, 12, 8, generator=generator)
    own = torch.randn(count, 18, 20, generator=generator)
    rows = part_rows(3, count, config().part_rows)
    velocities = [
        network(latents, network.prepare(shared.whole, own, TIMES, rows, way=way), 1)
        for way in (BlockWay(), BlockWay(parts_per_call=4))
    ]
    assert velocities[0].shape == latents.shape
    assert differ(*velocities) < TOLERANCE


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
def test_half_precision_stays_close(dtype, most):
    half, given = denoiser(dtype), contexts()
    ready = prepared(half, Contexts(given.whole.to(dtype), given.own.to(dtype)))
    velocity = half(golden()["in.x"].to(dtype), ready, 1)
    assert velocity.dtype == dtype
    assert differ(velocity, golden()["out.velocity"]) < most


def test_waves_of_time_are_rounded_only_once():
    seen = []
    for dtype in (torch.float32, torch.bfloat16):
        network = denoiser(dtype)
        network.time_in.up.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        network.embed_times(torch.tensor([0.3331, 0.9997]))
    torch.testing.assert_close(seen[1], seen[0].bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("keys_for_blocks", [None, 2])
def test_a_step_may_be_a_tensor(network, shared, keys_for_blocks):
    ready = prepared(network, shared, keys_for_blocks=keys_for_blocks)
    for step in range(len(TIMES)):
        velocity = network(golden()["in.x"], ready, step)
        assert torch.equal(network(golden()["in.x"], ready, torch.tensor([step])), velocity)


@pytest.mark.parametrize(("blocks", "tensors"), [(None, 2 + 4 * 7), (0, 2 + 2), (3, 4 + 4 * 3)])
def test_what_is_prepared_is_a_tree_of_tensors(network, shared, blocks, tensors):
    """Engines replace every tensor in it, to put it elsewhere or to make one up."""
    ready = prepared(network, shared, keys_for_blocks=blocks)
    latents = golden()["in.x"]
    leaves = [leaf for leaf in pytree.tree_leaves(ready) if isinstance(leaf, torch.Tensor)]
    assert len(leaves) == tensors
    copied = pytree.tree_map_only(torch.Tensor, torch.clone, ready)
    assert torch.equal(network(latents, copied, 1), network(latents, ready, 1))
    zeros = pytree.tree_map_only(torch.Tensor, torch.zeros_like, ready)
    assert differ(network(latents, zeros, 1), network(latents, ready, 1)) > 1e-2


def test_a_call_is_one_graph(shared):
    sizes = replace(config(), trunk=replace(config().trunk, depth=3, expert_blocks=1))
    small = PartDenoiser(sizes).requires_grad_(False)
    ready = prepared(small, shared, keys_for_blocks=1, way=BlockWay(parts_per_call=2))
    latents, step = golden()["in.x"], torch.tensor([1])
    compiled = torch.compile(small, fullgraph=True, backend="eager")
    with torch.inference_mode():
        assert torch.equal(compiled(latents, ready, step), small(latents, ready, step))
