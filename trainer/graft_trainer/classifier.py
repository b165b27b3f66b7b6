"""Backbone and head as one module, with the head in a space where its figures are of one size."""

import numpy as np
import torch
from torch import Tensor, nn

from .head import ABSENT_BIAS, Head
from .network import Network


class Classifier(nn.Module):
    """`[n, 3, size, size]` (or the tensor at `start`) to logits `[n, present classes]`.

    `linear` takes embeddings `(x - centre) * scale`; both belong to the head's first training and stay as they are.
    """

    def __init__(self, network: Network, width: int, present: int):
        super().__init__()
        self.network = network
        self.linear = nn.Linear(width, present)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        for parameter in self.linear.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, start: str | None = None) -> Tensor:
        return self.linear((self.network(x, start) - self.centre) * self.scale)

    def head(self, present: list[int], classes: int) -> Head:
        """The head for embeddings as they are; `present` says which of the `classes` were trained."""
        weight = (self.linear.weight * self.scale).detach().double().cpu().numpy()
        bias = self.linear.bias.detach().double().cpu().numpy() - weight @ self.centre.double().cpu().numpy()
        full = Head(np.zeros((classes, weight.shape[1]), np.float32), np.full(classes, ABSENT_BIAS, np.float32))
        full.weight[present], full.bias[present] = weight, bias
        return full
