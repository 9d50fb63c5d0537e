"""A program of others with modules in plain attributes; it runs in a guest's process only."""

import meshkiln_guest
import torch
from torch import nn


class WithTorch:
    def __init__(self):
        torch.manual_seed(0)
        self.parts = {"body": nn.Linear(256, 256), "voice": [nn.Linear(16, 16)]}
        self.kept = []
        meshkiln_guest.on_offload(self.kept.clear)

    def run(self, data):
        self.kept.append(data)
        with torch.inference_mode():
            return self.parts["body"](data.float()).bfloat16()

    def keeps(self):
        return len(self.kept)


class Large:
    """Weights of a given size, which say where they are."""

    def __init__(self, size_mb):
        torch.manual_seed(0)
        self.net = nn.ParameterList([torch.randn(512, 512) for _ in range(size_mb)])

    def where(self):
        first = self.net[0]
        return {"device": str(first.device), "sum": float(first.sum())}
