from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d.mixture_of_experts import MixtureOfExperts

WIDTH, HIDDEN, EXPERTS, PICKED = 8, 16, 4, 2


@pytest.fixture
def mixture():
    torch.manual_seed(1)
    built = MixtureOfExperts(WIDTH, HIDDEN, EXPERTS, PICKED).requires_grad_(False)
    for parameter in built.parameters():
        parameter.normal_(std=0.3)
    return built


@pytest.fixture
def tokens():
    torch.manual_seed(2)
    return torch.randn(2, 13, WIDTH)


def gate_opens(mixture, *experts):
    """Send tokens whose first channel is 1 to some experts, in this order."""
    mixture.gate.weight.zero_()
    for place, expert in enumerate(experts):
        mixture.gate.weight[expert, 0] = 9.0 - place


def test_a_token_gets_its_experts_by_their_probabilities_and_the_shared_one(mixture, tokens):
    token = tokens[0, 0]
    shares = mixture.gate(token).softmax(-1)
    expected = mixture.shared(token)
    for expert in shares.argsort(descending=True)[:PICKED].tolist():
        hidden = torch.nn.functional.gelu(mixture.up.of_expert(expert, token))
        expected = expected + shares[expert] * mixture.down.of_expert(expert, hidden)
    assert float(shares.sort().values[-PICKED:].sum()) < 0.99
    for is_sorted in (False, True):
        torch.testing.assert_close(mixture(tokens, is_sorted)[0, 0], expected)


def test_sorting_gives_what_masking_does(mixture, tokens):
    torch.testing.assert_close(mixture(tokens, True), mixture(tokens, False))


def test_an_expert_may_have_no_tokens(mixture, tokens):
    tokens[..., 0] = 1.0
    gate_opens(mixture, 3, 1)
    mixture.up.weight[0] = mixture.down.weight[2] = torch.nan
    answers = mixture(tokens, True)
    assert answers.isfinite().all()
    torch.testing.assert_close(answers, mixture(tokens, False))


@pytest.mark.parametrize("larger", [0, 1])
@pytest.mark.parametrize("is_sorted", [False, True])
def test_shares_that_16_bits_cannot_tell_apart_still_pick_the_larger(is_sorted, larger):
    lone = MixtureOfExperts(WIDTH, HIDDEN, EXPERTS, 1).requires_grad_(False).bfloat16()
    gate = torch.tensor([0.25, 0.25, 0.0, 0.0], dtype=torch.bfloat16)
    gate[larger] = 0.251953125
    lone.gate.weight[:, 0] = gate
    lone.up.bias[1 - larger] = torch.nan
    first, second, *_ = gate.softmax(-1)
    assert first == second
    answer = lone(torch.eye(WIDTH, dtype=torch.bfloat16)[:1], is_sorted)
    assert answer.dtype == torch.bfloat16
    assert answer.isfinite().all()


def test_all_tokens_may_have_one_expert(tokens):
    lone = MixtureOfExperts(WIDTH, HIDDEN, EXPERTS, 1).requires_grad_(False)
    for parameter in lone.parameters():
        parameter.fill_(0.1)
    tokens[..., 0] = 1.0
    gate_opens(lone, 2)
    lone.up.weight[2] = 0.7
    torch.testing.assert_close(lone(tokens, True), lone(tokens, False))
    assert not torch.allclose(lone(tokens, True), 2 * lone.shared(tokens))


def test_equal_probabilities_do_not_stop_either_way(mixture, tokens):
    mixture.gate.weight.zero_()
    torch.testing.assert_close(mixture(tokens, True), mixture(tokens, False))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_both_ways_agree_in_half_precision(mixture, tokens, dtype):
    mixture.to(dtype)
    tokens = tokens.to(dtype)
    assert mixture(tokens, True).dtype == dtype
    precision = torch.finfo(dtype).eps
    torch.testing.assert_close(
        mixture(tokens, True), mixture(tokens, False), rtol=4 * precision, atol=8 * precision
    )
