"""Reading and writing ONNX files: what is a weight, what is refused and in which words, what exporters do."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import SHARED, TINY, small_network
from onnx import TensorProto, helper, numpy_helper

from graft_trainer.errors import BadJob
from graft_trainer.graph import read_graph
from graft_trainer.network import Network
from graft_trainer.stages import find_stages


def built(nodes, stored, shape=("n", 3, 8, 8), opset=13, output="logits") -> bytes:
    graph = helper.make_graph(
        nodes,
        "built",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in stored.items()],
    )
    message = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    message.ir_version = 7
    return message.SerializeToString()


def test_unchanged_weights_give_the_same_bytes():
    for content in (small_network(), small_network(norm=True), TINY.read_bytes()):
        graph = read_graph(content, None)
        assert graph.features == "features"
        assert graph.with_weights({**graph.weights, **graph.statistics}) == content


def test_weights_end_at_the_cut():
    graph = read_graph(small_network(norm=True), None)
    assert "old.weight" not in graph.weights
    assert set(graph.statistics) == {
        f"{name}.{part}" for name in ("stem", "depthwise", "pointwise", "down", "inner") for part in ("mean", "var")
    }


def test_unfinished_weights_are_not_written():
    graph = read_graph(small_network(), None)
    for wrong in (np.full((8, 3, 3, 3), np.nan, np.float32), np.zeros((8, 3), np.float32)):
        with pytest.raises(BadJob, match="stem.weight"):
            graph.with_weights({"stem.weight": wrong})


def conv_node(**more):
    return helper.make_node("Conv", ["input", "w"], ["c"], name="first", **more)


W = {"w": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)}


@pytest.mark.parametrize(
    ("nodes", "stored", "words"),
    [
        (
            [conv_node(), helper.make_node("Softplus", ["c"], ["logits"], name="odd one")],
            W,
            "Softplus node 'odd one'.*not supported",
        ),
        ([conv_node(domain="com.acme")], W, "com.acme.Conv is not supported"),
        (
            [helper.make_node("QuantizeLinear", ["input", "s"], ["logits"], name="q")],
            {"s": np.float32(1)},
            "fine-tune the float file, then quantise",
        ),
        (
            [helper.make_node("ConvInteger", ["input", "w"], ["logits"], name="q")],
            W,
            "fine-tune the float file, then quantise",
        ),
        ([helper.make_node("Conv", ["input", "w"], ["logits"])], {"w": W["w"].astype(np.float16)}, "float32 file"),
        ([helper.make_node("Relu", ["input"], ["logits"])], {}, "where the classifier of backbone.onnx begins"),
    ],
)
def test_refusals(nodes, stored, words):
    last = nodes[-1].output[0]
    with pytest.raises(BadJob, match=words):
        read_graph(built(nodes, stored, output=last), None if "begins" in words else last)


def test_other_refusals():
    with pytest.raises(BadJob, match="no tensor 'absent'"):
        read_graph(small_network(), "absent")
    with pytest.raises(BadJob, match="not an ONNX file"):
        read_graph(b"\xff\xff not an onnx file", None)
    with pytest.raises(BadJob, match="opset"):
        read_graph(built([conv_node()], W, opset=6), "c")
    message = onnx.load_model_from_string(small_network())
    message.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(BadJob, match="another file"):
        read_graph(message.SerializeToString(), None)
    with pytest.raises(BadJob, match="the Reshape node 'r' of backbone.onnx cannot be computed at 20 px"):
        graph = read_graph(
            built([helper.make_node("Reshape", ["input", "s"], ["features"], name="r")], {"s": np.array([2, 192])}),
            "features",
        )
        Network(graph).probe(20)


def exported() -> bytes:
    """What older exporters write: a fixed batch, weights in `Constant` nodes or behind `Identity`, shapes computed by nodes."""
    rng = np.random.default_rng(5)
    weight = numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w1"], value=weight),
        helper.make_node("Conv", ["input", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["b1"]),
        helper.make_node("Clip", ["b1"], ["r1"], min=0.0, max=6.0),
        helper.make_node("Identity", ["w2"], ["w2 again"]),
        helper.make_node("Conv", ["r1", "w2 again"], ["c2"], pads=[0, 0, 0, 0]),
        helper.make_node("GlobalAveragePool", ["c2"], ["pooled"]),
        helper.make_node("Shape", ["pooled"], ["shape"]),
        helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.array(0))),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch"], ["batch1"], axes=[0]),
        helper.make_node("Concat", ["batch1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["pooled", "target"], ["row"]),
        helper.make_node("Dropout", ["row"], ["dropped"], ratio=0.5),
        helper.make_node("Reshape", ["dropped", "fixed"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3", "b3"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    ones = np.ones(4, np.float32)
    stored = {
        "scale": ones * 2,
        "shift": ones * 0.5,
        "mean": ones * 0.1,
        "var": ones * 3,
        "rest": np.array([-1]),
        "fixed": np.array([1, 6]),
    }
    stored |= {
        "w2": rng.normal(size=(6, 4, 2, 2)).astype(np.float32),
        "w3": rng.normal(size=(5, 6)).astype(np.float32),
        "b3": np.zeros(5, np.float32),
    }
    return built(nodes, stored, shape=(1, 3, 16, 16), opset=10, output="probabilities")


def test_what_exporters_write():
    content = exported()
    graph = read_graph(content, None)
    assert graph.features == "flat" and set(graph.weights) == {"w1", "w2", "scale", "shift"}
    network = Network(graph).eval()
    assert network.probe(16)["flat"] == (2, 6)
    x = np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype(np.float32)
    message = onnx.load_model_from_string(content)
    message.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(message.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = np.concatenate([session.run(["flat"], {"input": x[at : at + 1]})[0] for at in range(3)])
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    changed = read_graph(graph.with_weights({"w1": graph.weights["w1"] * 2, "w2": graph.weights["w2"]}), None)
    assert np.array_equal(changed.weights["w1"], graph.weights["w1"] * 2)
    # The weight behind `Identity` belongs to the stage that reads it, and learns.
    stages = find_stages(network, network.probe(16))
    assert {name for stage in stages for name in stage.weights} == set(graph.weights)
    network(torch.from_numpy(x)).sum().backward()
    assert network.weight("w2").grad.abs().sum() > 0


def test_a_graph_runs_from_any_stage(tmp_path):
    network = Network(read_graph(small_network(), None)).eval()
    stages = find_stages(network, network.probe(24))
    x = torch.rand(2, 3, 24, 24)
    assert [stage.start for stage in stages] == ["pointwise.relu", "stem.relu", "input"]
    assert stages[0].weights == ("down.weight", "down.bias", "inner.weight", "inner.bias")
    for stage in stages[:-1]:
        middle = network(x, stop=stage.start)
        assert torch.equal(network(middle, stage.start), network(x))


def test_pictures_with_channels_last():
    nodes = [
        helper.make_node("Transpose", ["input"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["c"]),
        helper.make_node("Transpose", ["c"], ["features"], perm=[0, 2, 3, 1]),
    ]
    network = Network(read_graph(built(nodes, W, shape=(1, 8, 8, 3), output="features"), None), "nhwc")
    assert network.probe(8)["features"] == (2, 6, 6, 4)
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(network(x), torch.conv2d(x, network.weight("w")).mean((2, 3)))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"shared: no {SHARED} (set GRAFT_SHARED), real backbones are not read")
def test_real_backbones():
    for name, size, stages in (
        ("mobilenetv1_0.25_128_imagenet", 128, 5),
        ("mcunet-5fps_imagenet", 128, 5),
        ("squeezenet1.1_224_imagenet", 224, 4),
    ):
        content = (SHARED / "models" / f"{name}.onnx").read_bytes()
        graph = read_graph(content, None)
        assert graph.with_weights(graph.weights) == content
        network = Network(graph).eval()
        assert len(find_stages(network, network.probe(size))) == stages
        x = np.random.default_rng(2).normal(size=(1, 3, size, size)).astype(np.float32)
        message = onnx.load_model_from_string(content)
        if "features" not in [output.name for output in message.graph.output]:
            message.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, None))
        session = onnxruntime.InferenceSession(message.SerializeToString(), providers=["CPUExecutionProvider"])
        (expected,) = session.run(["features"], {graph.input: x})
        got = network(torch.from_numpy(x)).detach().numpy()
        assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    with pytest.raises(BadJob, match="fine-tune the float file, then quantise"):
        read_graph((SHARED / "models" / "mobilenetv2_1.0_224_imagenet.qdq-int8.onnx").read_bytes(), None)
