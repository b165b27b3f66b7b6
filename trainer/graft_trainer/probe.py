"""The linear probe: a head trained on fixed embeddings. It is the baseline of every recipe, and their start."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .head import Head

# Weights of |W|²/2 against the mean log-loss, for embeddings of mean square 1 a number; strongest first.
PENALTIES = (1.0, 0.1, 0.01, 0.001, 0.0001)
_ITERATIONS = 200


@dataclass(frozen=True)
class Probe:
    """Head `weight [classes, width]`, `bias [classes]` for `(x - centre [width]) * scale`."""

    weight: Tensor
    bias: Tensor
    centre: Tensor
    scale: Tensor
    penalty: float


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """`[n]` of mean 1, so that every class weighs the same."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts[labels]).double()


def fit_probe(train: Tensor, labels: Tensor, val: Tensor, val_labels: Tensor, start: Head | None) -> Probe:
    """Softmax regression by L-BFGS on `train [n, width]`; the penalty of least log-loss on `val`.

    `start` is the board's head, for these classes. The problem is strictly convex in W and is solved to the end, so the
    result does not depend on it: the board's head has seen the bursts that are held out here, and none of that may stay.
    """
    classes = int(labels.max()) + 1
    train, val = train.double().cpu(), val.double().cpu()
    importance = balanced_weights(labels, classes)
    centre = (train * importance[:, None]).mean(0)
    scale = ((train - centre) ** 2).mean().clamp(min=1e-12).rsqrt()
    x, x_val = (train - centre) * scale, (val - centre) * scale
    weight, bias = torch.zeros(classes, train.shape[1]).double(), torch.zeros(classes).double()
    if start is not None:
        raw = torch.from_numpy(start.weight).double()
        weight, bias = raw / scale, (torch.from_numpy(start.bias).double() + raw @ centre).clamp(-50, 50)
    best = None
    for penalty in PENALTIES:
        weight, bias = _solve(x, labels, importance, penalty, weight, bias)
        loss = float(F.cross_entropy(x_val @ weight.t() + bias, val_labels))
        if best is None or loss < best[0]:
            best = (loss, Probe(weight.float(), bias.float(), centre.float(), scale.float(), penalty))
    return best[1]


def _solve(
    x: Tensor, labels: Tensor, importance: Tensor, penalty: float, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        losses = F.cross_entropy(x @ weight.t() + bias, labels, reduction="none")
        value = (losses * importance).mean() + penalty / 2 * (weight**2).sum()
        value.backward()
        return value

    solver.step(objective)
    return weight.detach(), bias.detach()
