"""Each operator alone: forward against onnxruntime, gradients (of input and weights) against finite differences."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from graft_trainer.graph import read_graph
from graft_trainer.network import Network
from graft_trainer.operators import OPERATORS

RNG = np.random.default_rng(11)


def f32(*shape, scale=1.0):
    return (scale * RNG.normal(size=shape)).astype(np.float32)


def positive(*shape):
    return (0.5 + RNG.random(shape)).astype(np.float32)


def i64(*values):
    return np.array(values, np.int64)


MAP = (2, 4, 7, 6)
# (operator, attributes, further inputs in order (None: left out), shape of the first, opset)
CASES = [
    ("Add", {}, [f32(1, 4, 1, 1)], MAP, 13),
    ("AveragePool", {"kernel_shape": [3, 3]}, [], MAP, 13),
    ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 0, 1]}, [], MAP, 13),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        [],
        MAP,
        13,
    ),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], (1, 2, 8, 8), 13),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}, [], MAP, 13),
    ("BatchNormalization", {"epsilon": 1e-3}, [positive(4), f32(4), f32(4), positive(4)], MAP, 13),
    ("Cast", {"to": 1}, [], MAP, 13),
    ("Clip", {}, [np.float32(-0.3), np.float32(0.6)], MAP, 13),
    ("Clip", {}, [None, np.float32(0.6)], MAP, 13),
    ("Clip", {"min": 0.0, "max": 6.0}, [], MAP, 7),
    ("Concat", {"axis": 1}, [f32(2, 3, 7, 6)], MAP, 13),
    ("Conv", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, [f32(5, 4, 3, 3), f32(5)], MAP, 13),
    ("Conv", {"strides": [2, 2], "pads": [0, 0, 1, 1]}, [f32(5, 4, 3, 3)], MAP, 13),
    ("Conv", {"group": 4, "pads": [1, 1, 1, 1], "strides": [2, 1]}, [f32(4, 1, 3, 3), f32(4)], MAP, 13),
    ("Conv", {"group": 2, "dilations": [2, 1], "pads": [2, 1, 2, 1]}, [f32(6, 2, 3, 3), f32(6)], MAP, 13),
    ("Conv", {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 3]}, [f32(6, 2, 3, 3), f32(6)], MAP, 13),
    ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, [f32(3, 4, 3, 3), f32(3)], MAP, 13),
    ("Conv", {"auto_pad": "VALID"}, [f32(3, 4, 2, 2), f32(3)], MAP, 13),
    ("Div", {}, [positive(1, 4, 1, 1)], MAP, 13),
    ("Dropout", {}, [], MAP, 13),
    ("Flatten", {"axis": 1}, [], MAP, 13),
    ("Flatten", {"axis": -2}, [], MAP, 13),
    ("Gather", {"axis": 1}, [i64(2, 0, -1)], MAP, 13),
    ("Gemm", {"alpha": 0.5, "beta": 2.0, "transB": 1}, [f32(3, 6), f32(3)], (5, 6), 13),
    ("Gemm", {"transA": 1}, [f32(5, 3)], (5, 6), 13),
    ("GlobalAveragePool", {}, [], MAP, 13),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, [], MAP, 13),
    ("HardSwish", {}, [], MAP, 14),
    ("Identity", {}, [], MAP, 13),
    ("LeakyRelu", {"alpha": 0.2}, [], MAP, 13),
    ("MatMul", {}, [f32(6, 3)], MAP, 13),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]}, [], MAP, 13),
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1], "dilations": [1, 2]}, [], MAP, 13),
    (
        "MaxPool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
        [],
        (1, 2, 8, 9),
        13,
    ),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, [], MAP, 13),
    ("Mul", {}, [f32(1, 4, 1, 1)], MAP, 13),
    ("PRelu", {}, [f32(4, 1, 1)], MAP, 13),
    ("Pad", {"mode": "constant"}, [i64(0, 0, 1, 0, 0, 0, 2, 1), np.float32(0.5)], MAP, 13),
    ("Pad", {"mode": "reflect"}, [i64(0, 0, 1, 2, 0, 0, 2, 1)], MAP, 13),
    ("Pad", {"mode": "edge", "pads": [0, 0, 1, 0, 0, 0, 0, 3]}, [], MAP, 9),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, [], MAP, 13),
    ("ReduceMean", {}, [i64(-1, 1)], MAP, 18),
    ("ReduceMean", {}, [], MAP, 13),
    ("Relu", {}, [], MAP, 13),
    ("Reshape", {}, [i64(0, -1, 6)], MAP, 13),
    ("Sigmoid", {}, [], MAP, 13),
    ("Squeeze", {}, [i64(1)], (2, 1, 3), 13),
    ("Squeeze", {"axes": [-1]}, [], (2, 3, 1), 11),
    ("Sub", {}, [f32(1, 4, 1, 1)], MAP, 13),
    ("Tanh", {}, [], MAP, 13),
    ("Transpose", {"perm": [0, 2, 3, 1]}, [], MAP, 13),
    ("Transpose", {}, [], MAP, 13),
    ("Unsqueeze", {}, [i64(1, -1)], (2, 3), 13),
]


def one_node(op, attributes, others, shape, opset) -> bytes:
    names = ["x"] + ["" if value is None else f"in{at}" for at, value in enumerate(others)]
    stored = [
        numpy_helper.from_array(np.asarray(value), f"in{at}") for at, value in enumerate(others) if value is not None
    ]
    node = helper.make_node(op, names, ["y"], name="under test", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        stored,
    )
    message = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    message.ir_version = 7
    return message.SerializeToString()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_forward_and_gradient(case):
    op, attributes, others, shape, opset = case
    content = one_node(*case)
    # Off the corners of piecewise linear functions, and without ties.
    x = RNG.permutation(np.linspace(-1.5, 1.53, int(np.prod(shape)))).reshape(shape).astype(np.float32)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    network = Network(read_graph(content, "y")).eval()
    got = network(torch.from_numpy(x), stop="y").detach().numpy()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)

    network = network.double()
    weights = list(network.parameters())
    assert len(weights) == sum(
        op in ("Conv", "Gemm", "MatMul", "Add", "Mul", "PRelu", "BatchNormalization") and np.size(o) > 1
        for o in others[:2]
    )
    leaf = torch.from_numpy(x).double().requires_grad_()
    torch.autograd.gradcheck(lambda *_: network(leaf, stop="y"), (leaf, *weights), eps=1e-6, atol=1e-6, fast_mode=True)


def test_every_operator_has_a_case():
    # `Shape` gives numbers that have no gradient; test_graph runs it where exporters put it.
    assert set(OPERATORS) - {case[0] for case in CASES} == {"Shape"}
