"""The tiny backbone: a small residual network of plain 3x3 convolutions, and its ONNX file.

Plain convolutions rather than depthwise ones: the multiply-adds they cost extra are the ones that
CPU kernels do fastest, and the features are better for the same training time.
"""

import torch
import torch.nn as nn

SIZE = 96
WIDTH = 192
OPSET = 13


def _conv(inputs, outputs, kernel=3, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x):
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Step(nn.Module):
    """A convolution with ReLU that changes width or resolution."""

    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__()
        self.conv = _conv(inputs, outputs, kernel, stride)

    def forward(self, x):
        return torch.relu(self.conv(x))


class Tiny(nn.Module):
    """[n, 3, 96, 96] in [-1, 1] -> (features [n, 192], logits [n, classes])."""

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(
            Step(3, 16, stride=2), Step(16, 32, stride=2), Residual(32), Step(32, 64, stride=2), Residual(64),
            Step(64, 96, stride=2), Residual(96), Step(96, WIDTH, kernel=1))
        # Averages over a picture hardly differ from picture to picture at first: without this
        # normalisation the classifier learns nothing for thousands of steps. Folded on export.
        self.spread = nn.BatchNorm1d(WIDTH, affine=False)
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, x):
        features = self.body(x).mean((2, 3))
        return features, self.classifier(self.spread(features))

    def forward_with_middle(self, x):
        """As `forward`, and the maps [n, 64, h / 8, w / 8] in the middle."""
        middle = self.body[:5](x)
        features = self.body[5:](middle).mean((2, 3))
        return features, self.classifier(self.spread(features)), middle

    def folded_classifier(self):
        """Weight [classes, width] and bias [classes] for features as they are."""
        scale = torch.rsqrt(self.spread.running_var + self.spread.eps)
        weight = self.classifier.weight * scale
        return weight, self.classifier.bias - weight @ self.spread.running_mean


def normalise(pictures):
    """u8 pictures to the network's input: mean 0.5, std 0.5 of [0, 1]."""
    return pictures.float() / 127.5 - 1.0


def fold(conv, norm):
    """The one convolution (weight, bias) that a convolution and its batch normalisation amount to."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


def write_onnx(network, path, producer):
    """Writes the folded network; the file depends on the weights alone."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []

    def constant(name, tensor):
        weights.append(numpy_helper.from_array(tensor.detach().contiguous().numpy(), name))
        return name

    def convolve(source, pair, name, relu):
        weight, bias = fold(*pair)
        kernel, stride = pair[0].kernel_size[0], pair[0].stride[0]
        out = f"{name}.conv"
        nodes.append(helper.make_node(
            "Conv", [source, constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)], [out], name=out,
            kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4))
        return activate(out, f"{name}.relu") if relu else out

    def activate(source, name):
        nodes.append(helper.make_node("Relu", [source], [name], name=name))
        return name

    tensor = "input"
    for index, layer in enumerate(network.body):
        name = f"body{index}"
        if isinstance(layer, Residual):
            branch = convolve(tensor, layer.first, f"{name}.first", relu=True)
            branch = convolve(branch, layer.second, f"{name}.second", relu=False)
            nodes.append(helper.make_node("Add", [tensor, branch], [f"{name}.sum"], name=f"{name}.sum"))
            tensor = activate(f"{name}.sum", f"{name}.relu")
        else:
            tensor = convolve(tensor, layer.conv, name, relu=True)
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["pooled"], name="pooled"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"], name="features", axis=1))
    weight, bias = network.folded_classifier()
    head = [constant("classifier.weight", weight), constant("classifier.bias", bias)]
    nodes.append(helper.make_node("Gemm", ["features"] + head, ["logits"], name="logits", transB=1))

    classes = network.classifier.out_features
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])], weights,
        value_info=[helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", WIDTH])])
    message = helper.make_model(graph, producer_name=producer, opset_imports=[helper.make_opsetid("", OPSET)])
    message.ir_version = 7
    onnx.checker.check_model(message, full_check=True)
    onnx.save(message, path)
