"""Drawn pictures, a small network and job folders for the tests."""

import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "trainer"))
TINY = ROOT / "models" / "tiny.onnx"
SHARED = Path(os.environ.get("GRAFT_SHARED", ROOT.parent / "shared"))


def refusal(reason: str) -> str | None:
    """Why a test that was skipped for this reason fails; None where $GRAFT_ALLOW_SKIP has the name before its colon."""
    name, colon, why = reason.removeprefix("Skipped: ").partition(": ")
    if not colon:
        return f"a reason to skip is `name: why`, not {reason!r}"
    if name in (allowed.strip() for allowed in os.environ.get("GRAFT_ALLOW_SKIP", "").split(",")):
        return None
    return f"this test cannot run here: {why}. Mend that, or leave it out with GRAFT_ALLOW_SKIP={name}"


def judged(report):
    """Makes a skip that nobody allowed a failure; notes the others in $GRAFT_SKIPPED, which `make test` prints."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if complaint := refusal(reason):
        report.outcome, report.longrepr = "failed", complaint
    elif listed := os.environ.get("GRAFT_SKIPPED"):
        name, _, why = reason.removeprefix("Skipped: ").partition(": ")
        with open(listed, "a", encoding="utf-8") as file:
            file.write(f"{name}\t{report.nodeid}\t{' '.join(why.split())}\n")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    judged((yield).get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    judged((yield).get_result())


def draw(kind: int, rng: np.random.Generator, side: int = 48) -> Image.Image:
    """A disc, a square or a cross, somewhere, on a noisy ground."""
    ground = rng.integers(60, 120, (side, side, 3)).astype(np.uint8)
    picture = Image.fromarray(ground)
    pen = ImageDraw.Draw(picture)
    radius = rng.integers(side // 6, side // 3)
    x, y = rng.integers(radius, side - radius, 2)
    colour = tuple(int(v) for v in rng.integers(150, 255, 3))
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == 0:
        pen.ellipse(box, fill=colour)
    elif kind == 1:
        pen.rectangle(box, fill=colour)
    else:
        pen.line(box, fill=colour, width=4)
        pen.line((x - radius, y + radius, x + radius, y - radius), fill=colour, width=4)
    return picture


def small_network(size: int = 24, batch: object = "n", norm: bool = False, seed: int = 3) -> bytes:
    """Stem, depthwise and pointwise convolutions, a residual block, pooling, classifier: three maps of falling size."""
    rng = np.random.default_rng(seed)
    nodes, weights = [], []

    def stored(name, *shape, fan_in=None, value=None):
        values = rng.normal(0, np.sqrt(2 / fan_in), shape) if fan_in else np.full(shape, value)
        weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(source, name, before, after, kernel=3, stride=1, group=1, relu=True):
        fan_in = before // group * kernel**2
        inputs = [source, stored(f"{name}.weight", after, before // group, kernel, kernel, fan_in=fan_in)]
        inputs.append(stored(f"{name}.bias", after, value=0.05))
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node(
                "Conv",
                inputs,
                [name],
                name=name,
                kernel_shape=[kernel] * 2,
                strides=[stride] * 2,
                pads=pads,
                group=group,
            )
        )
        if norm:
            rest = [
                stored(f"{name}.{part}", after, value=value)
                for part, value in (("scale", 1.0), ("shift", 0.1), ("mean", 0.0), ("var", 2.0))
            ]
            nodes.append(helper.make_node("BatchNormalization", [name, *rest], [f"{name}.norm"], name=f"{name}.norm"))
            name = f"{name}.norm"
        if not relu:
            return name
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"], name=f"{name}.relu"))
        return f"{name}.relu"

    x = conv("input", "stem", 3, 8, stride=2)
    x = conv(x, "depthwise", 8, 8, stride=2, group=8)
    x = conv(x, "pointwise", 8, 16, kernel=1)
    x = conv(x, "down", 16, 16, stride=2)
    branch = conv(x, "inner", 16, 16, relu=False)
    nodes.append(helper.make_node("Add", [x, branch], ["sum"], name="sum"))
    nodes.append(helper.make_node("GlobalAveragePool", ["sum"], ["pooled"], name="pooled"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"], name="features"))
    nodes.append(
        helper.make_node(
            "Gemm", ["features", stored("old.weight", 5, 16, fan_in=16)], ["logits"], name="logits", transB=1
        )
    )
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 5])],
        weights,
    )
    message = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    message.ir_version = 7
    onnx.checker.check_model(message)
    return message.SerializeToString()


CARD = 'size = {size}\nresize = {size}\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\nfeatures = "features"\nwidth = {width}\n'


def make_folder(
    folder: Path,
    recipe: str = "full",
    per_class: int = 16,
    classes: int = 3,
    backbone: bytes | None = None,
    size: int = 24,
    width: int = 16,
    splits: tuple[str, ...] = ("train", "train", "train", "val"),
    seed: int = 0,
    **job,
) -> Path:
    """A job folder with bursts of four drawn pictures; bursts take turns in `splits`."""
    rng = np.random.default_rng(seed)
    (folder / "samples").mkdir(parents=True)
    lines = []
    for kind in range(classes):
        for at in range(per_class):
            buffer = io.BytesIO()
            draw(kind, rng).save(buffer, "JPEG", quality=90)
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()
            (folder / "samples" / f"{digest}.jpg").write_bytes(buffer.getvalue())
            burst = at // 4
            lines.append(
                {
                    "digest": digest,
                    "class": f"class {kind}",
                    "burst": f"{kind}-{burst}",
                    "split": splits[burst % len(splits)],
                }
            )
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "backbone.onnx").write_bytes(backbone or small_network(size))
    (folder / "backbone.toml").write_text(CARD.format(size=size, width=width))
    names = [f"class {kind}" for kind in range(classes)]
    content = {
        "schema": 1,
        "id": "j1",
        "recipe": recipe,
        "classes": names,
        "seed": seed,
        "budget": {"epochs": 4},
        "device": "cpu",
        **job,
    }
    (folder / "job.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def tiny_folder(tmp_path):
    """A job on the backbone that comes with graft."""
    folder = make_folder(
        tmp_path / "tiny", backbone=TINY.read_bytes(), size=96, width=192, recipe="auto", budget={"epochs": 2}
    )
    shutil.copyfile(TINY.with_suffix(".toml"), folder / "backbone.toml")
    return folder
