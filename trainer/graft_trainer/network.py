"""The backbone as a PyTorch module that computes an ONNX graph node by node, from any point to any later one."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import BadJob
from .graph import Graph, Node
from .operators import OPERATORS

# PyTorch's default, and that of the exporters whose folded normalisation is put back.
NORM_EPSILON = 1e-5


class Norm(nn.Module):
    """A batch normalisation put behind a convolution, channels `[C]`; it takes the place of the convolution's bias."""

    def __init__(self, mean: Tensor, variance: Tensor, scale: Tensor, shift: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)
        self.scale, self.shift = nn.Parameter(scale), nn.Parameter(shift)

    def forward(self, x: Tensor, live: bool, momentum: float) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, self.scale, self.shift, live, momentum, NORM_EPSILON)


class Network(nn.Module):
    """`[n, 3, size, size]` normalised pictures to embeddings `[n, width]`.

    `live` holds the outputs of nodes whose normalisation uses the batch's statistics while in training mode, and mixes
    them into the stored ones by `momentum`.
    """

    def __init__(self, graph: Graph, layout: str = "nchw"):
        super().__init__()
        self.graph, self.layout = graph, layout
        self.live: frozenset[str] = frozenset()
        self.momentum = 0.0
        self.norms = nn.ModuleDict()
        self._norm_keys: dict[str, str] = {}
        self._slots: dict[str, str] = {}
        # Shapes, axes and scalars, which are read on the host.
        self._constants: dict[str, Tensor] = {}
        for name, values in graph.weights.items():
            self.register_parameter(self._slot(name), nn.Parameter(torch.from_numpy(np.array(values))))
        for name, values in graph.statistics.items():
            self.register_buffer(self._slot(name), torch.from_numpy(np.array(values)))
        for name, values in graph.constants.items():
            self._keep(name, torch.from_numpy(np.array(values)))
        self._sort_nodes()

    def _slot(self, name: str) -> str:
        """The attribute for a tensor of the file; names of ONNX hold dots, which PyTorch's may not."""
        self._slots[name] = f"tensor{len(self._slots)}"
        return self._slots[name]

    def _keep(self, name: str, constant: Tensor) -> None:
        if constant.is_floating_point() and constant.dim() > 0:
            self.register_buffer(self._slot(name), constant, persistent=False)
        else:
            self._constants[name] = constant

    def _stored(self, name: str) -> Tensor:
        return self._constants[name] if name in self._constants else getattr(self, self._slots[name])

    def _sort_nodes(self) -> None:
        """Parts the nodes into those of weights, run first, and those of activations; constants are computed here."""
        moving, weighing = {self.graph.input}, set(self.graph.weights) | set(self.graph.statistics)
        self.weight_nodes: list[Node] = []
        self.nodes: list[Node] = []
        for node in self.graph.nodes:
            if any(name in moving for name in node.inputs):
                moving.add(node.output)
                self.nodes.append(self._any_batch(node))
            elif any(name in weighing for name in node.inputs):
                weighing.add(node.output)
                self.weight_nodes.append(node)
            else:
                self._keep(node.output, self._compute(node, {}))
        self.position = {node.output: at for at, node in enumerate(self.nodes)}
        self.position[self.graph.input] = -1
        self._last_use = {name: at for at, node in enumerate(self.nodes) for name in node.inputs}

    def _any_batch(self, node: Node) -> Node:
        """A shape written for one picture at a time is read as one for any number."""
        shape = self._constants.get(node.inputs[1]) if node.op == "Reshape" else None
        if shape is None or shape.numel() < 2 or shape[0] != 1:
            return node
        name = f"any batch of {node.inputs[1]}"
        self._constants[name] = torch.cat([torch.zeros_like(shape[:1]), shape[1:]])
        return Node(node.op, node.name, (node.inputs[0], name), node.output, node.attributes)

    def weight(self, name: str) -> nn.Parameter:
        """The parameter that holds a weight of the file."""
        return getattr(self, self._slots[name])

    def norm_of(self, node: Node) -> Norm | None:
        """The normalisation that was put behind a node."""
        return self.norms[self._norm_keys[node.output]] if node.output in self._norm_keys else None

    def put_norm(self, node: Node, norm: Norm) -> None:
        """Puts a normalisation behind a convolution, in place of its bias."""
        self._norm_keys[node.output] = f"norm{len(self._norm_keys)}"
        self.norms[self._norm_keys[node.output]] = norm

    def _compute(self, node: Node, values: dict[str, Tensor]) -> Tensor:
        inputs = [None if not name else values[name] if name in values else self._stored(name) for name in node.inputs]
        live = self.training and node.output in self.live
        if node.op == "BatchNormalization" and live:
            x, scale, shift, mean, variance = inputs
            epsilon = node.attributes.get("epsilon", NORM_EPSILON)
            return F.batch_norm(x, mean, variance, scale, shift, True, self.momentum, epsilon)
        norm = self.norm_of(node)
        if norm is not None:
            return norm(OPERATORS["Conv"](node.attributes, inputs[:2]), live, self.momentum)
        return OPERATORS[node.op](node.attributes, inputs)

    def walk(self, x: Tensor, start: str | None = None, stop: str | None = None) -> Iterable[tuple[Node, Tensor]]:
        """Each node behind the tensor `start` (the input without it), which is `x`, with what it gives, up to `stop`."""
        start, stop = start or self.graph.input, stop or self.graph.features
        values = {start: x}
        for node in self.weight_nodes:
            values[node.output] = self._compute(node, values)
        if start == stop:
            return
        for at in range(self.position[start] + 1, self.position[stop] + 1):
            node = self.nodes[at]
            values[node.output] = self._compute(node, values)
            yield node, values[node.output]
            for name in node.inputs:
                if self._last_use[name] == at and name != stop:
                    values.pop(name, None)

    def forward(self, x: Tensor, start: str | None = None, stop: str | None = None) -> Tensor:
        """From `start`, where the tensor is `x`, to `stop`; from pictures, or to rows of embeddings, without them."""
        if start is None and self.layout == "nhwc":
            x = x.permute(0, 2, 3, 1)
        y = x
        for _, y in self.walk(x, start, stop):
            pass
        return self._rows(y) if stop is None else y

    def _rows(self, x: Tensor) -> Tensor:
        """The embedding `[n, width]` from what is at the cut: pooled as the boards do (crates/backbone/src/prune.rs)."""
        if x.dim() == 4:
            return x.mean((1, 2) if self.layout == "nhwc" else (2, 3))
        return x.mean(1) if x.dim() == 3 else x

    def probe(self, size: int) -> dict[str, torch.Size]:
        """Shapes of all tensors for two pictures. Raises BadJob where the graph cannot take two at a time."""
        x = torch.zeros(2, 3, size, size)
        shapes = {self.graph.input: x.shape}
        done = 0
        try:
            with torch.no_grad():
                x = x.permute(0, 2, 3, 1) if self.layout == "nhwc" else x
                for node, value in self.walk(x):
                    shapes[node.output] = value.shape
                    done += 1
        except (RuntimeError, ValueError, IndexError, TypeError, KeyError) as error:
            node = self.nodes[done] if done < len(self.nodes) else "network"
            raise BadJob(
                f"the {node} of backbone.onnx cannot be computed at {size} px: {error}; does the card fit the file?"
            ) from error
        found = shapes[self.graph.features]
        if not 2 <= len(found) <= 4 or found[0] != 2:
            raise BadJob(
                f"the tensor {self.graph.features!r} has shape {list(found)} for two pictures; correct `features` in the card"
            )
        return shapes
