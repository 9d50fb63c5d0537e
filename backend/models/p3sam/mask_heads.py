"""The heads of P3-SAM: which points belong to the part that a prompt points at. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.p3sam.config import MASKS, HeadsConfig

ROWS = 16384
"""Terms of places are computed for so many points at a time: beside all terms there is no room."""


@dataclass(frozen=True)
class PointTerms:
    """What the first layers of all perceptrons make of points or of prompts.

    Parameters
    ----------
    first : Tensor, shape (n, 3 * width)
        For the first masks.
    context : Tensor, shape (n, inner_width)
        For what is known of all points.
    refined : Tensor, shape (n, 3 * inner_width)
        For the refined masks.
    quality : Tensor, shape (n, inner_width)
        For how good those are.
    """

    first: Tensor
    context: Tensor
    refined: Tensor
    quality: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, chosen: slice) -> PointTerms:
        """Take some of them, without a copy."""
        return PointTerms(
            self.first[chosen], self.context[chosen], self.refined[chosen], self.quality[chosen]
        )


class MaskHeads(nn.Module):
    """Perceptrons over a point's features, its place and the place of a prompt.

    The first layer of each is a sum of a term for the point, a term for the prompt and one for
    the masks predicted so far. Terms of points are computed once, not for every prompt: of
    2.97 million multiplications per point and prompt 1.25 million are left.

    Source
    ------
    P3-SAM: Native 3D Part Segmentation (2025).
    """

    def __init__(self, config: HeadsConfig) -> None:
        super().__init__()
        self.config = config
        width, inner = config.width, config.inner_width
        self.features_in = nn.Linear(config.feature_channels, config.first_channels, bias=False)
        self.points_in = nn.Linear(3, config.first_channels, bias=False)
        self.prompts_in = nn.Linear(3, config.first_channels)
        self.first = nn.ModuleList(_Tail(width, width, 1) for _ in range(MASKS))
        self.context = _Tail(inner, inner, inner)
        self.context_masks = nn.Linear(MASKS, inner, bias=False)
        self.refined = nn.ModuleList(_Tail(inner, inner, 1) for _ in range(MASKS))
        self.refined_masks = nn.Linear(MASKS, MASKS * inner, bias=False)
        self.refined_context = nn.Linear(inner, MASKS * inner, bias=False)
        self.quality = _Tail(inner, inner, inner)
        self.quality_masks = nn.Linear(MASKS, inner, bias=False)
        self.quality_context = nn.Linear(inner, inner, bias=False)
        self.iou_in = nn.Linear(inner, inner)
        self.iou = _Tail(inner, inner, MASKS)

    @torch.no_grad()
    def point_terms(self, features: Tensor, points: Tensor) -> PointTerms:
        """Compute what all prompts share, once per cloud.

        Parameters
        ----------
        features : Tensor, shape (n, feature_channels)
        points : Tensor, shape (n, 3) float32
            In the coordinates of the cloud that the features were made of, with z from 0.

        Returns
        -------
        PointTerms
            In the dtype of the weights.
        """
        terms = self.features_in(features.to(self.features_in.weight.dtype))
        weight = self.points_in.weight.float()
        for rows, places in zip(terms.split(ROWS), points.float().split(ROWS), strict=True):
            rows += functional.linear(places, weight).to(terms.dtype)
        return self._split(terms)

    @torch.no_grad()
    def prompt_terms(self, prompts: Tensor) -> PointTerms:
        """Compute what all points share.

        Parameters
        ----------
        prompts : Tensor, shape (k, 3) float32
            In the coordinates of the points.
        """
        layer = self.prompts_in
        places = functional.linear(prompts.float(), layer.weight.float(), layer.bias.float())
        return self._split(places.to(layer.weight.dtype))

    def first_masks(self, points: PointTerms, prompts: PointTerms) -> Tensor:
        """Predict masks from each point alone: logits (k, n, 3) float32."""
        width = self.config.width
        logits = []
        for number, tail in enumerate(_tails(self.first)):
            part = slice(number * width, (number + 1) * width)
            seen = prompts.first[:, None, part] + points.first[None, :, part]
            logits.append(tail.logits(seen))
        return torch.cat(logits, dim=-1)

    def context_of(self, points: PointTerms, prompts: PointTerms, masks: Tensor) -> Tensor:
        """Find the greatest of each channel over points: (k, inner_width)."""
        seen = self.context_masks(masks.to(points.context.dtype))
        seen += points.context
        seen += prompts.context[:, None]
        greatest: Tensor = self.context(seen).amax(dim=1)
        return greatest

    def with_context(self, prompts: PointTerms, context: Tensor) -> PointTerms:
        """Add what is known of all points to the terms of the prompts."""
        return PointTerms(
            prompts.first,
            prompts.context,
            prompts.refined + self.refined_context(context),
            prompts.quality + self.quality_context(context),
        )

    def refined_logits(self, points: PointTerms, prompts: PointTerms, masks: Tensor) -> Tensor:
        """Predict masks anew: logits (k, n, 3) float32; prompts are those ``with_context``."""
        inner = self.config.inner_width
        seen = self.refined_masks(masks.to(points.refined.dtype))
        seen += points.refined
        seen += prompts.refined[:, None]
        parts = seen.split(inner, dim=-1)
        logits = [tail.logits(part) for tail, part in zip(_tails(self.refined), parts, strict=True)]
        return torch.cat(logits, dim=-1)

    def quality_of(self, points: PointTerms, prompts: PointTerms, masks: Tensor) -> Tensor:
        """Find the greatest of each channel over points: (k, inner_width)."""
        seen = self.quality_masks(masks.to(points.quality.dtype))
        seen += points.quality
        seen += prompts.quality[:, None]
        greatest: Tensor = self.quality(seen).amax(dim=1)
        return greatest

    def predicted_iou(self, quality: Tensor) -> Tensor:
        """Say how well each refined mask is expected to fit, from 0 to 1: (k, 3) float32."""
        return torch.sigmoid(self.iou.logits(self.iou_in(quality)))

    @torch.no_grad()
    def forward(
        self, terms: PointTerms, prompts: Tensor, iterations: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Predict three masks for each prompt, all at once.

        For comparisons; ``prompt_masks`` bounds the memory that it takes.

        Parameters
        ----------
        terms : PointTerms
            Of all points.
        prompts : Tensor, shape (k, 3) float32
        iterations : int
            How often masks are refined; more than 1 is for comparisons only.

        Returns
        -------
        logits : Tensor, shape (k, n, 3) float32
            Above 0 for points that belong to the part.
        iou : Tensor, shape (k, 3) float32
            How well each is expected to fit, from 0 to 1.
        """
        asked = self.prompt_terms(prompts)
        logits = self.first_masks(terms, asked)
        known = asked
        for _ in range(iterations):
            known = self.with_context(asked, self.context_of(terms, asked, logits))
            logits = self.refined_logits(terms, known, logits)
        return logits, self.predicted_iou(self.quality_of(terms, known, logits))

    def _split(self, joined: Tensor) -> PointTerms:
        width, inner = self.config.width, self.config.inner_width
        return PointTerms(*joined.split([MASKS * width, inner, MASKS * inner, inner], dim=-1))


class _Tail(nn.Module):
    """What follows the first layer of a perceptron."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_channels, hidden)
        self.out = nn.Linear(hidden, out_channels)

    def forward(self, seen: Tensor) -> Tensor:
        found: Tensor = self.out(self._inside(seen))
        return found

    def logits(self, seen: Tensor) -> Tensor:
        """Return what ``forward`` does, with the last sums in float32."""
        inside = self._inside(seen).float()
        return functional.linear(inside, self.out.weight.float(), self.out.bias.float())

    def _inside(self, seen: Tensor) -> Tensor:
        return functional.gelu(self.hidden(functional.gelu(seen)))


def _tails(modules: nn.ModuleList) -> list[_Tail]:
    return [module for module in modules if isinstance(module, _Tail)]
