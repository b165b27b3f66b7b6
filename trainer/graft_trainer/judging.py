"""How good a classifier is on pictures that it did not train on."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Two-sided 95 %.
_Z = 1.959964


@dataclass(frozen=True)
class Judged:
    """Predicted class of each sample, and the mean log-loss (nats)."""

    predictions: list[int]
    accuracy: float
    loss: float

    @property
    def order(self) -> tuple[float, float]:
        """Larger is better: by accuracy, then by loss."""
        return self.accuracy, -self.loss


def judge(logits: Tensor, labels: Tensor) -> Judged:
    """Of logits `[n, classes]` and labels `[n]`."""
    logits, labels = logits.float().cpu(), labels.cpu()
    predictions = logits.argmax(1)
    loss = float(F.cross_entropy(logits, labels))
    return Judged(predictions.tolist(), float((predictions == labels).double().mean()), loss)


def interval(right: list[bool], bursts: list[str]) -> tuple[float, float]:
    """95 % interval of an accuracy: Wilson's, with as many observations as there are bursts.

    Frames of one burst are near-copies, so they count once (Wilson 1927).
    """
    count, share = len(set(bursts)), sum(right) / len(right)
    middle = share + _Z**2 / (2 * count)
    spread = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return (middle - spread) / (1 + _Z**2 / count), (middle + spread) / (1 + _Z**2 / count)


def surely_better(right: list[bool], than: list[bool], bursts: list[str]) -> tuple[bool, float, float]:
    """Whether the first is better by over one standard error of the paired difference, burst by burst; with both figures."""
    groups: dict[str, list[int]] = {}
    for burst, a, b in zip(bursts, right, than):
        groups.setdefault(burst, []).append(int(a) - int(b))
    differences = torch.tensor([sum(group) / len(group) for group in groups.values()], dtype=torch.float64)
    mean = float(differences.mean())
    error = float(differences.std()) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    return mean > error * (1 + 1e-9), mean, error


def confusion(predictions: list[int], labels: list[int], classes: int) -> list[list[int]]:
    """`[true][predicted]` counts."""
    table = [[0] * classes for _ in range(classes)]
    for label, predicted in zip(labels, predictions):
        table[label][predicted] += 1
    return table
