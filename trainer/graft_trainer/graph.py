"""An ONNX file as nodes and arrays: read, checked and cut at the embedding; and written back with other weights.

The message itself is kept, so what is written back differs from what was read in the bytes of the weights alone.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from .errors import BadJob
from .operators import OPERATORS, WEIGHT_SLOTS

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_QUANTISED_PARTS = ("QLinear", "Integer")
_EMBEDDING_NAMES = ("features", "feature_vector", "embedding", "embeddings")
_MAX_OPSET = 21


@dataclass(frozen=True)
class Node:
    """One computation: operator, attributes as Python values, names of what it reads and of its one output in use."""

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict = field(hash=False)

    def __str__(self) -> str:
        return f"{self.op} node {self.name or self.output!r}"


@dataclass
class Graph:
    """The part of a file that makes the embedding, in an order in which it can be computed.

    `weights` are trained; `statistics` are running means and variances of BatchNormalization; `constants` are neither.
    """

    message: onnx.ModelProto
    input: str
    features: str
    nodes: list[Node]
    weights: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    constants: dict[str, np.ndarray]

    def with_weights(self, weights: dict[str, np.ndarray]) -> bytes:
        """The same file with these arrays, by name, in place of its own. Raises BadJob where one is not finite."""
        message = onnx.ModelProto()
        message.CopyFrom(self.message)
        left = dict(weights)
        for tensor, name in _tensors(message):
            if name not in left:
                continue
            values = left.pop(name)
            if not np.isfinite(values).all() or list(values.shape) != list(tensor.dims):
                raise BadJob(f"the trained weight {name} is not finite or of another shape; nothing was written")
            written = numpy_helper.from_array(np.ascontiguousarray(values, np.float32), tensor.name)
            tensor.ClearField("float_data")
            tensor.raw_data = written.raw_data
        if left:
            raise KeyError(f"not in the file: {sorted(left)}")
        return message.SerializeToString(deterministic=True)


def _tensors(message: onnx.ModelProto):
    """Every stored tensor with the name by which nodes read it."""
    for tensor in message.graph.initializer:
        yield tensor, tensor.name
    for node in message.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield attribute.t, node.output[0]


def read_graph(content: bytes, features: str | None) -> Graph:
    """Reads a file and cuts it at `features`, or where the classifier begins. Raises BadJob."""
    try:
        message = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise BadJob("backbone.onnx is not an ONNX file; send it again") from error
    graph = message.graph
    _check_file(message)
    arrays = {name: numpy_helper.to_array(tensor) for tensor, name in _tensors(message)}
    inputs = [value.name for value in graph.input if value.name not in arrays]
    if len(inputs) != 1:
        raise BadJob(f"backbone.onnx has {len(inputs)} inputs; a backbone has one, the picture")
    makers = {output: node for node in graph.node for output in node.output if output}
    cut = features or _find_cut(graph, arrays, makers)
    if cut not in makers or cut in arrays:
        raise BadJob(f"backbone.onnx has no tensor {cut!r}; correct `features` in the card")
    needed = _needed(cut, makers)
    nodes = []
    for node in graph.node:
        if id(node) in needed:
            _check_node(node, arrays, makers, needed)
            if node.op_type != "Constant":
                nodes.append(_node(node))
    weights, statistics = _sort_arrays(nodes, arrays)
    read = {name for node in nodes for name in node.inputs}
    constants = {
        name: a for name, a in arrays.items() if name in read and name not in weights and name not in statistics
    }
    return Graph(message, inputs[0], cut, nodes, weights, statistics, constants)


def _check_file(message: onnx.ModelProto) -> None:
    versions = [entry.version for entry in message.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or not 7 <= versions[0] <= _MAX_OPSET:
        raise BadJob(f"backbone.onnx is of opset {versions or 'unknown'}; opsets 7 to {_MAX_OPSET} can be trained")
    for tensor, name in _tensors(message):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise BadJob(f"the weights of backbone.onnx ({name}) lie in another file; save it as one file")
        if tensor.data_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
            raise BadJob(
                f"backbone.onnx holds half precision weights ({name}); fine-tune the float32 file, then convert"
            )


def _find_cut(graph: onnx.GraphProto, arrays: dict, makers: dict) -> str:
    """An output that calls itself an embedding, else what the last matrix product with a stored weight reads."""
    for output in graph.output:
        if output.name.rsplit("/", 1)[-1].lower() in _EMBEDDING_NAMES:
            return output.name
    for node in reversed(graph.node):
        if node.op_type in ("Gemm", "MatMul") and len(node.input) > 1 and node.input[1] in arrays:
            return node.input[0]
    raise BadJob(
        "where the classifier of backbone.onnx begins is not plain; name the embedding as `features` in the card"
    )


def _needed(cut: str, makers: dict) -> set[int]:
    """Identities of the messages of all nodes that the cut depends on."""
    needed, open_names = set(), [cut]
    while open_names:
        node = makers.get(open_names.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            open_names.extend(name for name in node.input if name)
    return needed


def _check_node(node: onnx.NodeProto, arrays: dict, makers: dict, needed: set[int]) -> None:
    """Refuses what cannot be trained, by operator and node. Raises BadJob."""
    name = node.name or (node.output[0] if node.output else "")
    quantised = node.op_type in _QUANTISED or any(part in node.op_type for part in _QUANTISED_PARTS)
    if quantised:
        raise BadJob(
            f"backbone.onnx is quantised ({node.op_type} node {name!r}): fine-tune the float file, then quantise"
        )
    if node.op_type == "Constant":
        if node.output[0] not in arrays:
            raise BadJob(f"Constant node {name!r} holds something other than a tensor; it cannot be trained")
        return

    def refuse(why: str) -> None:
        raise BadJob(
            f"{node.op_type} node {name!r} cannot be trained: {why}. Take another backbone, or a simpler export of it"
        )

    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
        known = ", ".join(sorted(OPERATORS))
        refuse(
            f"the operator {node.domain + '.' if node.domain else ''}{node.op_type} is not supported (these are: {known})"
        )
    attributes = _attributes(node)
    if node.op_type == "BatchNormalization" and (
        attributes.get("training_mode", 0) or not attributes.get("spatial", 1)
    ):
        refuse("it is in training mode, or not per channel")
    if node.op_type == "BatchNormalization" and not all(name in arrays for name in node.input[1:5]):
        refuse("its scale, bias and statistics are not stored in the file")
    if node.op_type == "Conv" and node.input[1] in arrays and arrays[node.input[1]].ndim not in (3, 4):
        refuse("it has more than two spatial axes")
    if node.op_type == "Pad" and attributes.get("mode", "constant") not in ("constant", "reflect", "edge"):
        refuse(f"its mode is {attributes['mode']}")
    if node.op_type in ("AveragePool", "MaxPool") and len(attributes["kernel_shape"]) > 2:
        refuse("it has more than two spatial axes")
    if node.op_type == "AveragePool" and any(step != 1 for step in attributes.get("dilations", [])):
        refuse("it is dilated")
    others = set(node.output[1:]) - {""}
    for reader in {id(n): n for n in makers.values()}.values():
        if id(reader) in needed and others & set(reader.input):
            refuse("more than its first output is read")


def _attributes(node: onnx.NodeProto) -> dict:
    values = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        values[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return {name: list(value) if not isinstance(value, (int, float, str)) else value for name, value in values.items()}


def _node(node: onnx.NodeProto) -> Node:
    inputs = list(node.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    return Node(node.op_type, node.name, tuple(inputs), node.output[0], _attributes(node))


def _sort_arrays(nodes: list[Node], arrays: dict) -> tuple[dict, dict]:
    """Which stored arrays are weights, and which are statistics."""
    weights, statistics = {}, {}
    for node in nodes:
        for slot in WEIGHT_SLOTS.get(node.op, ()):
            name = node.inputs[slot] if slot < len(node.inputs) else ""
            if name in arrays and arrays[name].dtype == np.float32 and arrays[name].size > 1:
                weights[name] = arrays[name]
        if node.op == "BatchNormalization":
            statistics.update({name: arrays[name] for name in node.inputs[3:5]})
    return {name: values for name, values in weights.items() if name not in statistics}, statistics
