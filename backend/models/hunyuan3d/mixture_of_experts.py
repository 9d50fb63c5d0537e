"""A perceptron of which every token uses a part. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.hunyuan3d.grouped_linear import group_ends, grouped_linear


class Perceptron(nn.Module):
    """Two linear layers with a Gaussian error linear unit between them."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden_width)
        self.down = nn.Linear(hidden_width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        changed: Tensor = self.down(functional.gelu(self.up(tokens)))
        return changed


class StackedLinear(nn.Module):
    """The linear layers of all experts, one after the other."""

    def __init__(self, experts: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(experts, out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(experts, out_channels))

    def of_expert(self, expert: int, rows: Tensor) -> Tensor:
        """Return rows, (rows, out_channels), through the layer of one expert."""
        return functional.linear(rows, self.weight[expert], self.bias[expert])


class MixtureOfExperts(nn.Module):
    """Several perceptrons, of which a gate picks a few per token, and one for all tokens.

    The picked ones are weighed by their probabilities as they are: they do not add up to 1.

    Parameters
    ----------
    width, hidden_width : int
    experts, experts_per_token : int

    Source
    ------
    Shazeer et al., Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer
    (2017); the shared expert as in Dai et al., DeepSeekMoE (2024).
    """

    def __init__(self, width: int, hidden_width: int, experts: int, experts_per_token: int) -> None:
        super().__init__()
        self.experts = experts
        self.experts_per_token = experts_per_token
        self.gate = nn.Linear(width, experts, bias=False)
        self.up = StackedLinear(experts, width, hidden_width)
        self.down = StackedLinear(experts, hidden_width, width)
        self.shared = Perceptron(width, hidden_width)

    def forward(self, tokens: Tensor, sorted_experts: bool) -> Tensor:
        """Return the sum of the shared perceptron and the picked ones.

        Parameters
        ----------
        tokens : Tensor, shape (..., width)
        sorted_experts : bool
            Whether tokens are sorted by expert on the device. The other way asks the host which
            tokens each expert has.

        Returns
        -------
        Tensor, shape of ``tokens``
        """
        rows = tokens.flatten(0, -2)
        # Rounded to 16 bits, shares would be equal that are not, and other experts be picked.
        shares, picked = self.gate(rows).float().softmax(-1).topk(self.experts_per_token)
        answer = self.by_sorting if sorted_experts else self.by_masking
        changed: Tensor = self.shared(rows) + answer(rows, shares.to(rows.dtype), picked)
        return changed.view_as(tokens)

    def by_sorting(self, rows: Tensor, shares: Tensor, picked: Tensor) -> Tensor:
        """Answer for all experts with one grouped product per layer.

        Nothing is added up in memory by several threads, so the result is the same every time.

        Parameters
        ----------
        rows : Tensor, shape (rows, width)
        shares : Tensor, shape (rows, experts_per_token)
        picked : Tensor, shape (rows, experts_per_token) int64

        Returns
        -------
        Tensor, shape (rows, width)
        """
        owners, order = picked.flatten().sort(stable=True)
        ends = group_ends(owners, self.experts)
        taken = rows[order // self.experts_per_token]
        hidden = functional.gelu(grouped_linear(taken, self.up.weight, self.up.bias, ends))
        answers = grouped_linear(hidden, self.down.weight, self.down.bias, ends)
        per_token: Tensor = answers[order.argsort()].unflatten(0, shares.shape)
        return (per_token * shares[..., None]).sum(1)

    def by_masking(self, rows: Tensor, shares: Tensor, picked: Tensor) -> Tensor:
        """Answer expert by expert; parameters and result are those of ``by_sorting``."""
        answers = torch.zeros_like(rows)
        for expert in range(self.experts):
            row, place = (picked == expert).nonzero(as_tuple=True)
            hidden = functional.gelu(self.up.of_expert(expert, rows[row]))
            answer = self.down.of_expert(expert, hidden)
            answers[row] += answer * shares[row, place, None]
        return answers
