"""What each ONNX operator computes, in PyTorch: one function an operator, forward; autograd does the rest.

Source: the ONNX operator specification, opsets 7 to 21 (https://onnx.ai/onnx/operators). A function takes the node's
attributes and its inputs (None where one is left out) and gives the node's first output.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Attributes = dict[str, Any]
Inputs = list[Tensor | None]

# Inputs that are weights when the file holds them as floats of more than one value.
WEIGHT_SLOTS: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "PRelu": (1,),
    "Add": (0, 1),
    "Mul": (0, 1),
    # Exporters route weights through these.
    "Identity": (0,),
    "Transpose": (0,),
    "Reshape": (0,),
    "Squeeze": (0,),
    "Unsqueeze": (0,),
}


def _pads(attributes: Attributes, size: torch.Size, kernel: list[int]) -> list[tuple[int, int]]:
    """Padding before and after each spatial axis."""
    axes = len(kernel)
    strides, dilations = attributes.get("strides", [1] * axes), attributes.get("dilations", [1] * axes)
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = attributes.get("pads", [0] * 2 * axes)
        return list(zip(pads[:axes], pads[axes:]))
    if auto == "VALID":
        return [(0, 0)] * axes
    both = []
    for full, width, stride, dilation in zip(size, kernel, strides, dilations):
        total = max((math.ceil(full / stride) - 1) * stride + (width - 1) * dilation + 1 - full, 0)
        small, large = total // 2, total - total // 2
        both.append((small, large) if auto == "SAME_UPPER" else (large, small))
    return both


def _flat(pads: list[tuple[int, int]]) -> list[int]:
    """In the order of `F.pad`: last axis first."""
    return [value for pair in reversed(pads) for value in pair]


def _padded(x: Tensor, pads: list[tuple[int, int]], value: float) -> tuple[Tensor, list[int]]:
    """The input, padded where the sides differ, and what is left for the operator itself to pad."""
    if all(before == after for before, after in pads):
        return x, [before for before, _ in pads]
    return F.pad(x, _flat(pads), value=value), [0] * len(pads)


def conv(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, weight, bias = (inputs + [None])[:3]
    kernel = list(weight.shape[2:])
    axes = len(kernel)
    x, padding = _padded(x, _pads(attributes, x.shape[2:], kernel), 0.0)
    function = {1: F.conv1d, 2: F.conv2d}[axes]
    strides, dilations = attributes.get("strides", [1] * axes), attributes.get("dilations", [1] * axes)
    return function(x, weight, bias, strides, padding, dilations, attributes.get("group", 1))


def gemm(attributes: Attributes, inputs: Inputs) -> Tensor:
    a, b, c = (inputs + [None])[:3]
    a = a.t() if attributes.get("transA", 0) else a
    b = b.t() if attributes.get("transB", 0) else b
    product = attributes.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def clip(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, low, high = (inputs + [None, None])[:3]
    low = attributes.get("min") if low is None else float(low)
    high = attributes.get("max") if high is None else float(high)
    return x if low is None and high is None else x.clamp(low, high)


def _outputs(full: int, kernel: int, stride: int, dilation: int, ceil: bool) -> int:
    """Places of a pooling window along an axis that is padded already; none starts beyond the input."""
    steps = (full - (kernel - 1) * dilation - 1) / stride
    return int(math.ceil(steps) if ceil else math.floor(steps)) + 1


def _fit_windows(attributes: Attributes, x: Tensor, pads: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pads so that plain pooling gives what `ceil_mode` asks for: the last, partial window is filled up."""
    kernel = attributes["kernel_shape"]
    axes = len(kernel)
    if not attributes.get("ceil_mode", 0):
        return pads
    fitted = []
    settings = zip(
        x.shape[2:], kernel, attributes.get("strides", [1] * axes), attributes.get("dilations", [1] * axes), pads
    )
    for size, width, stride, dilation, (before, after) in settings:
        count = _outputs(size + before + after, width, stride, dilation, True)
        if (count - 1) * stride >= size + before:
            count -= 1
        fitted.append((before, max((count - 1) * stride + (width - 1) * dilation + 1 - size - before, after)))
    return fitted


def max_pool(attributes: Attributes, inputs: Inputs) -> Tensor:
    x = inputs[0]
    kernel = attributes["kernel_shape"]
    axes = len(kernel)
    pads = _fit_windows(attributes, x, _pads(attributes, x.shape[2:], kernel))
    x = F.pad(x, _flat(pads), value=-math.inf)
    function = {1: F.max_pool1d, 2: F.max_pool2d}[axes]
    return function(x, kernel, attributes.get("strides", [1] * axes), 0, attributes.get("dilations", [1] * axes))


def average_pool(attributes: Attributes, inputs: Inputs) -> Tensor:
    x = inputs[0]
    kernel = attributes["kernel_shape"]
    axes = len(kernel)
    own = _pads(attributes, x.shape[2:], kernel)
    fitted = _fit_windows(attributes, x, own)
    strides = attributes.get("strides", [1] * axes)
    function = {1: F.avg_pool1d, 2: F.avg_pool2d}[axes]
    # The mean over the cells that count: sums of values over sums of ones.
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    if attributes.get("count_include_pad", 0):
        ones = F.pad(ones, _flat(own), value=1.0)
        fill = [(0, full[1] - pad[1]) for pad, full in zip(own, fitted)]
        ones = F.pad(ones, _flat(fill))
    else:
        ones = F.pad(ones, _flat(fitted))
    return function(F.pad(x, _flat(fitted)), kernel, strides) / function(ones, kernel, strides)


def global_average_pool(_: Attributes, inputs: Inputs) -> Tensor:
    return inputs[0].mean(tuple(range(2, inputs[0].dim())), keepdim=True)


def reduce_mean(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, axes = (inputs + [None])[:2]
    axes = attributes.get("axes") if axes is None else axes.tolist()
    if not axes:
        if attributes.get("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.dim()))
    return x.mean(axes, keepdim=bool(attributes.get("keepdims", 1)))


def pad(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, pads, value, axes = (inputs + [None] * 3)[:4]
    pads = attributes["pads"] if pads is None else pads.tolist()
    value = attributes.get("value", 0.0) if value is None else float(value)
    axes = list(range(x.dim())) if axes is None else axes.tolist()
    both = [(0, 0)] * x.dim()
    for at, axis in enumerate(axes):
        both[axis] = (pads[at], pads[at + len(axes)])
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[attributes.get("mode", "constant")]
    if mode == "constant":
        return F.pad(x, _flat(both), value=value)
    # PyTorch pads spatial axes alone in these modes.
    return F.pad(x, _flat(both[2:]), mode=mode)


def reshape(_: Attributes, inputs: Inputs) -> Tensor:
    x, shape = inputs[0], inputs[1].tolist()
    return x.reshape([x.shape[at] if length == 0 else length for at, length in enumerate(shape)])


def flatten(attributes: Attributes, inputs: Inputs) -> Tensor:
    x = inputs[0]
    axis = attributes.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), -1)


def transpose(attributes: Attributes, inputs: Inputs) -> Tensor:
    return inputs[0].permute(attributes.get("perm", list(reversed(range(inputs[0].dim())))))


def _axes(attributes: Attributes, inputs: Inputs) -> list[int] | None:
    given = inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else attributes.get("axes")
    return given


def squeeze(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, axes = inputs[0], _axes(attributes, inputs)
    drop = {axis % x.dim() for axis in axes} if axes else {at for at, length in enumerate(x.shape) if length == 1}
    return x.reshape([length for at, length in enumerate(x.shape) if at not in drop])


def unsqueeze(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, axes = inputs[0], _axes(attributes, inputs)
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def gather(attributes: Attributes, inputs: Inputs) -> Tensor:
    x, indices = inputs[0], inputs[1].long()
    axis = attributes.get("axis", 0) % x.dim()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices).to(x.device)
    picked = x.index_select(axis, indices.reshape(-1))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def shape_of(attributes: Attributes, inputs: Inputs) -> Tensor:
    return torch.tensor(list(inputs[0].shape)[attributes.get("start", 0) : attributes.get("end")], dtype=torch.int64)


_ELEMENT_TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}


def cast(attributes: Attributes, inputs: Inputs) -> Tensor:
    kind = _ELEMENT_TYPES[attributes["to"]]
    # Wherever the engine computes in another precision than the file (gradient tests), floats stay what they are.
    return inputs[0] if kind.is_floating_point and inputs[0].is_floating_point() else inputs[0].to(kind)


def divide(_: Attributes, inputs: Inputs) -> Tensor:
    whole = not (inputs[0].is_floating_point() or inputs[1].is_floating_point())
    return torch.div(inputs[0], inputs[1], rounding_mode="trunc" if whole else None)


def hard_sigmoid(attributes: Attributes, inputs: Inputs) -> Tensor:
    return (attributes.get("alpha", 0.2) * inputs[0] + attributes.get("beta", 0.5)).clamp(0, 1)


def batch_normalization(attributes: Attributes, inputs: Inputs) -> Tensor:
    """With the stored statistics; `Network` computes the node itself where those of the batch are wanted."""
    x, scale, shift, mean, variance = inputs
    return F.batch_norm(x, mean, variance, scale, shift, eps=attributes.get("epsilon", 1e-5))


OPERATORS: dict[str, Callable[[Attributes, Inputs], Tensor]] = {
    "Add": lambda _, inputs: inputs[0] + inputs[1],
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Clip": clip,
    "Concat": lambda attributes, inputs: torch.cat(inputs, attributes["axis"]),
    "Conv": conv,
    "Div": divide,
    # A layer for training that exporters leave behind; augmentation and early stopping do its work here.
    "Dropout": lambda _, inputs: inputs[0],
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda _, inputs: F.hardswish(inputs[0]),
    "Identity": lambda _, inputs: inputs[0],
    "LeakyRelu": lambda attributes, inputs: F.leaky_relu(inputs[0], attributes.get("alpha", 0.01)),
    "MatMul": lambda _, inputs: inputs[0] @ inputs[1],
    "MaxPool": max_pool,
    "Mul": lambda _, inputs: inputs[0] * inputs[1],
    "PRelu": lambda _, inputs: torch.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[1]),
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": lambda _, inputs: F.relu(inputs[0]),
    "Reshape": reshape,
    "Shape": shape_of,
    "Sigmoid": lambda _, inputs: torch.sigmoid(inputs[0]),
    "Squeeze": squeeze,
    "Sub": lambda _, inputs: inputs[0] - inputs[1],
    "Tanh": lambda _, inputs: torch.tanh(inputs[0]),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
