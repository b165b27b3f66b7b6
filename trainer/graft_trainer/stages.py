"""Stages: runs of layers with a single tensor between them, counted from the top (1 is next to the head)."""

from dataclasses import dataclass

import torch

from .errors import BadJob
from .graph import Node
from .network import Network


@dataclass(frozen=True)
class Stage:
    """`start` is the tensor that the stage reads; `nodes` compute it; `weights` are names of the file's."""

    number: int
    start: str
    nodes: tuple[Node, ...]
    weights: tuple[str, ...]


def find_stages(network: Network, shapes: dict[str, torch.Size]) -> list[Stage]:
    """The stages of a network, top first; `shapes` are those of `Network.probe`. Raises BadJob when nothing trains.

    A stage may begin wherever one tensor alone carries everything (so never inside a residual block), and does where
    layers with weights work on a smaller map than those before.
    """
    owners = _weights_of_nodes(network)
    groups: list[list[int]] = []
    area_of_group, begin = None, 0
    for end, alive in enumerate(_alive(network)):
        if alive != 1:
            continue
        block, begin = list(range(begin, end + 1)), end + 1
        trains = any(owners[at] for at in block)
        area = _area(shapes[network.nodes[end].output])
        if not groups or (trains and area is not None and area_of_group is not None and area < area_of_group):
            groups.append(block)
        else:
            groups[-1].extend(block)
        if trains and area is not None:
            area_of_group = area
    stages, owned = [], set()
    for number, group in enumerate(reversed(groups), 1):
        names = {name for at in group for name in owners[at]} - owned
        owned |= names
        start = network.nodes[group[0] - 1].output if group[0] else network.graph.input
        nodes = tuple(network.nodes[at] for at in group)
        stages.append(Stage(number, start, nodes, tuple(name for name in network.graph.weights if name in names)))
    if not owned:
        raise BadJob("backbone.onnx has no float weights that could be trained")
    return stages


def _alive(network: Network) -> list[int]:
    """How many tensors are still to be read behind each node."""
    last = {name: at for at, node in enumerate(network.nodes) for name in node.inputs if name in network.position}
    last[network.graph.features] = len(network.nodes)
    open_names, counts = {network.graph.input}, []
    for at, node in enumerate(network.nodes):
        open_names.add(node.output)
        open_names = {name for name in open_names if last.get(name, -1) > at}
        counts.append(len(open_names))
    return counts


def _area(shape: torch.Size) -> int | None:
    """Places of a map `[n, channels, height, width]`; None for rows."""
    return shape[2] * shape[3] if len(shape) == 4 else None


def _weights_of_nodes(network: Network) -> list[set[str]]:
    """Names of the weights that each node reads, straight or through nodes that rearrange them."""
    carried = {name: {name} for name in network.graph.weights}
    for node in network.weight_nodes:
        carried[node.output] = {name for source in node.inputs for name in carried.get(source, ())}
    return [{name for source in node.inputs for name in carried.get(source, ())} for node in network.nodes]
