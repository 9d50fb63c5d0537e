from __future__ import annotations

import math

import pytest
import torch

from backend.models.clip_text import SD21_TEXT, ClipText, ClipTextConfig
from backend.models.clip_text_weights import fold, upstream_shapes

TINY = ClipTextConfig(width=16, mlp_width=24, layers=2, heads=4, tokens=6, vocabulary=20)
PUBLISHED = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 6, "vocab_size": 20, "hidden_act": "gelu",
}  # fmt: skip


@pytest.fixture(scope="module")
def state():
    generator = torch.Generator().manual_seed(0)
    return {
        name: 0.4 * torch.randn(shape, generator=generator)
        for name, shape in upstream_shapes(TINY).items()
    }


@pytest.fixture(scope="module")
def network(state):
    with torch.device("meta"):
        network = ClipText(TINY)
    network.load_state_dict(fold(state, TINY), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def written_out(state, words):
    """The network once more, token by token."""

    def norm(name, x):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(name, x):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    x = state["embeddings.token_embedding.weight"][words]
    x = x + state["embeddings.position_embedding.weight"]
    for layer in range(TINY.layers):
        at = f"encoder.layers.{layer}."
        z = norm(f"{at}layer_norm1", x)
        q, k, v = (linear(f"{at}self_attn.{part}_proj", z) for part in "qkv")
        seen = torch.zeros_like(x)
        for token in range(TINY.tokens):
            for head in range(TINY.heads):
                own = slice(4 * head, 4 * head + 4)
                score = (k[: token + 1, own] @ q[token, own]) / math.sqrt(4)
                seen[token, own] = score.softmax(0) @ v[: token + 1, own]
        x = x + linear(f"{at}self_attn.out_proj", seen)
        wide = linear(f"{at}mlp.fc1", norm(f"{at}layer_norm2", x))
        x = x + linear(f"{at}mlp.fc2", 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2))))
    return norm("final_layer_norm", x)


def test_it_computes_what_its_formula_says(network, state):
    words = torch.tensor([3, 1, 4, 1, 5, 9])
    torch.testing.assert_close(network(words[None])[0], written_out(state, words))


def test_an_empty_text_begins_ends_and_is_filled_up(network, state):
    described = network.empty_text()
    assert described.shape == (1, 6, 16)
    torch.testing.assert_close(described[0], written_out(state, torch.tensor([18, 19, 0, 0, 0, 0])))


def test_full_size_has_the_published_number_of_parameters():
    """1.36 GB in float32, as the folders of the hub hold it."""
    assert sum(shape.numel() for shape in upstream_shapes(SD21_TEXT).values()) == 340_387_840


def test_the_published_description_is_read():
    assert ClipTextConfig.from_upstream(PUBLISHED) == TINY
    with pytest.raises(ValueError, match="quick_gelu"):
        ClipTextConfig.from_upstream({**PUBLISHED, "hidden_act": "quick_gelu"})
    with pytest.raises(ValueError, match="5 heads"):
        ClipTextConfig.from_upstream({**PUBLISHED, "num_attention_heads": 5})
    with pytest.raises(KeyError, match="hidden_size"):
        ClipTextConfig.from_upstream({"hidden_act": "gelu"})


def test_a_description_without_the_activation_means_the_usual_one_which_is_another():
    untold = {name: value for name, value in PUBLISHED.items() if name != "hidden_act"}
    with pytest.raises(ValueError, match="quick_gelu"):
        ClipTextConfig.from_upstream(untold)


def test_a_missing_tensor_is_named(state):
    lacking = {name: each for name, each in state.items() if "1.self_attn.k_proj.bias" not in name}
    with pytest.raises(KeyError, match=r"encoder\.layers\.1\.self_attn\.k_proj\.bias"):
        fold(lacking, TINY)
