"""Writes backbones with random weights as ONNX files, for timing only: python3 crates/lab/benches/peers/networks.py FOLDER

The shapes are those of the papers (ResNet-18: He et al. 2015; MobileNetV3: Howard et al. 2019; EfficientNet-B0: Tan and
Le 2019), with the classifier left on. Needs python3-torch and python3-onnx.
"""

import sys
from pathlib import Path

import torch
from torch import nn


def conv(inputs, outputs, kernel=3, stride=1, groups=1, act=None):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Residual(nn.Module):
    """x + f(x), then perhaps an activation; the way past f may be a convolution."""

    def __init__(self, body, past=None, act=None):
        super().__init__()
        self.body, self.past, self.act = body, past or nn.Identity(), act() if act else nn.Identity()

    def forward(self, x):
        return self.act(self.past(x) + self.body(x))


class Squeeze(nn.Module):
    """Squeeze-and-excitation: channels weighted by what the whole picture says."""

    def __init__(self, channels, inner, act, gate):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1), act(), nn.Conv2d(inner, channels, 1), gate()
        )

    def forward(self, x):
        return x * self.gate(x)


def resnet18():
    layers, width = [conv(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)], 64
    for outputs, stride in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]:
        body = nn.Sequential(conv(width, outputs, 3, stride, act=nn.ReLU), conv(outputs, outputs))
        layers.append(Residual(body, conv(width, outputs, 1, stride) if width != outputs else None, nn.ReLU))
        width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def resnet50():
    layers, width = [conv(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)], 64
    for inner, count, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for index in range(count):
            step = stride if index == 0 else 1
            body = nn.Sequential(
                conv(width, inner, 1, act=nn.ReLU), conv(inner, inner, 3, step, act=nn.ReLU), conv(inner, 4 * inner, 1)
            )
            past = conv(width, 4 * inner, 1, step) if index == 0 else None
            layers.append(Residual(body, past, nn.ReLU))
            width = 4 * inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def inverted(inputs, inner, outputs, kernel, stride, act, squeeze=None):
    layers = [conv(inputs, inner, 1, act=act)] if inner != inputs else []
    layers.append(conv(inner, inner, kernel, stride, groups=inner, act=act))
    layers += [squeeze] if squeeze else []
    body = nn.Sequential(*layers, conv(inner, outputs, 1))
    return Residual(body) if stride == 1 and inputs == outputs else body


def mobilenetv3_small():
    rows = [  # kernel, inner, outputs, squeeze, hard swish, stride
        (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
    ]
    layers, width = [conv(3, 16, 3, 2, act=nn.Hardswish)], 16
    for kernel, inner, outputs, squeeze, swish, stride in rows:
        gate = Squeeze(inner, (inner // 4 + 4) // 8 * 8, nn.ReLU, nn.Hardsigmoid) if squeeze else None
        layers.append(inverted(width, inner, outputs, kernel, stride, nn.Hardswish if swish else nn.ReLU, gate))
        width = outputs
    layers += [conv(width, 576, 1, act=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 1000))


def efficientnet_b0():
    layers, width = [conv(3, 32, 3, 2, act=nn.SiLU)], 32
    rows = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 2, 3), (6, 5, 112, 1, 3), (6, 5, 192, 2, 4), (6, 3, 320, 1, 1)]
    for widen, kernel, outputs, stride, count in rows:
        for index in range(count):
            inner, step = width * widen, stride if index == 0 else 1
            gate = Squeeze(inner, width // 4, nn.SiLU, nn.Sigmoid)
            layers.append(inverted(width, inner, outputs, kernel, step, nn.SiLU, gate))
            width = outputs
    layers += [conv(width, 1280, 1, act=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1280, 1000))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    for make in [resnet18, resnet50, mobilenetv3_small, efficientnet_b0]:
        network = make()
        for _ in range(3):  # statistics that fit the weights, so that numbers neither vanish nor explode
            network(torch.randn(4, 3, 224, 224))
        path = folder / f"{make.__name__}.onnx"
        example = torch.randn(1, 3, 224, 224)
        names = {"input_names": ["input"], "output_names": ["logits"], "dynamic_axes": {"input": {0: "n"}}}
        torch.onnx.export(network.eval(), example, str(path), opset_version=14, **names)
        print(path)


main()
