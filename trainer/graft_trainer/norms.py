"""Batch normalisation that an exporter has folded into convolutions: put back for training, folded again for the file.

Behind `y = conv(x, w) + b` with mean m and variance v of `conv(x, w)` over the pictures, the normalisation
`scale * (conv(x, w) - m) / sqrt(v + eps) + shift` with `scale = sqrt(v + eps)` and `shift = b + m` is the same function.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from .graph import Node
from .network import NORM_EPSILON, Network, Norm
from .stages import Stage


def put_back(network: Network, stages: list[Stage], batches: Iterable[Tensor], fresh: bool) -> None:
    """Puts a normalisation behind each convolution of these stages that can take one.

    `batches` of normalised pictures give the statistics. The network computes what it did before, unless it is `fresh`:
    then every channel starts with deviation 1 and mean 0, as a network of random weights should.
    """
    folded = [node for stage in stages for node in stage.nodes if _takes_norm(network, node)]
    sums = _statistics(network, {node.output for node in folded}, batches)
    for node in folded:
        mean, variance = sums[node.output]
        bias = network.weight(node.inputs[2]).detach()
        mean = mean - bias
        scale, shift = torch.sqrt(variance + NORM_EPSILON), bias + mean
        if fresh:
            scale, shift = torch.ones_like(scale), torch.zeros_like(shift)
        network.put_norm(node, Norm(mean, variance, scale, shift))


def _takes_norm(network: Network, node: Node) -> bool:
    """A convolution with weight and bias of its own, whose result goes to no normalisation."""
    if node.op != "Conv" or len(node.inputs) < 3:
        return False
    weights, nodes = network.graph.weights, network.nodes + network.weight_nodes
    own = all(name in weights and sum(other.inputs.count(name) for other in nodes) == 1 for name in node.inputs[1:3])
    return own and not any(other.op == "BatchNormalization" and node.output in other.inputs for other in nodes)


def _statistics(network: Network, outputs: set[str], batches: Iterable[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance `[C]` of the results of convolutions, summed in f64."""
    sums: dict[str, tuple[Tensor, Tensor, int]] = {}
    with torch.no_grad():
        for batch in batches:
            x = batch.permute(0, 2, 3, 1) if network.layout == "nhwc" else batch
            for node, y in network.walk(x):
                if node.output in outputs:
                    axes = [0, *range(2, y.dim())]
                    count = y.numel() // y.shape[1]
                    y = y.double()
                    old = sums.get(node.output, (0, 0, 0))
                    sums[node.output] = (old[0] + y.sum(axes), old[1] + (y * y).sum(axes), old[2] + count)
    found = {}
    for output, (first, second, count) in sums.items():
        mean = first / count
        found[output] = (mean.float(), (second / count - mean * mean).clamp(min=0).float())
    return found


def live_nodes(stages: list[Stage], network: Network) -> frozenset[str]:
    """Outputs of all nodes of these stages that normalise, for `Network.live`."""
    nodes = [node for stage in stages for node in stage.nodes]
    return frozenset(n.output for n in nodes if n.op == "BatchNormalization" or network.norm_of(n) is not None)


def settle(network: Network, start: str | None, batches: Iterable[Tensor]) -> None:
    """Gives the live nodes the mean statistics of these batches (tensors at `start`), in place of those they had.

    Running averages lag behind weights that change fast, and short trainings are all there is here (Wu & Johnson 2021,
    "Rethinking Batch in BatchNorm", section 3).
    """
    network.train()
    with torch.no_grad():
        for at, x in enumerate(batches):
            network.momentum = 1 / (at + 1)
            network(x, start)
    network.momentum = 0.0


def file_weights(network: Network) -> dict[str, np.ndarray]:
    """All arrays of the file that training may have changed, with what was put back folded in."""
    arrays = {name: network.weight(name) for name in [*network.graph.weights, *network.graph.statistics]}
    for node in network.nodes:
        norm = network.norm_of(node)
        if norm is not None:
            factor = norm.scale.double() / torch.sqrt(norm.variance.double() + NORM_EPSILON)
            weight = arrays[node.inputs[1]]
            arrays[node.inputs[1]] = weight.double() * factor.view(-1, *[1] * (weight.dim() - 1))
            arrays[node.inputs[2]] = norm.shift.double() - norm.mean.double() * factor
    return {name: tensor.detach().float().cpu().numpy() for name, tensor in arrays.items()}
