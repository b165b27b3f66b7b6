"""A job from folder to folder: what comes out, and that it is what was trained."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import TINY, make_folder, small_network
from onnx import numpy_helper

from graft_trainer import tensorfile
from graft_trainer.cli import main


def arrays(content: bytes) -> dict[str, np.ndarray]:
    message = onnx.load_model_from_string(content)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in message.graph.initializer}


def without_weights(content: bytes) -> bytes:
    message = onnx.load_model_from_string(content)
    for tensor in message.graph.initializer:
        tensor.raw_data = b""
    return message.SerializeToString(deterministic=True)


def check_results(folder) -> dict:
    """onnxruntime gives the golden embeddings, the head the logits, and nothing but weights differs."""
    before, after = (folder / "backbone.onnx").read_bytes(), (folder / "out" / "backbone.onnx").read_bytes()
    assert without_weights(before) == without_weights(after)
    golden, _ = tensorfile.read(folder / "out" / "golden.safetensors")
    head, metadata = tensorfile.read(folder / "out" / "head.safetensors")
    assert len(golden["inputs"]) >= 8
    message = onnx.load_model_from_string(after)
    message.graph.output.append(onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(message.SerializeToString(), providers=["CPUExecutionProvider"])
    (embeddings,) = session.run(["features"], {"input": golden["inputs"]})
    assert np.abs(embeddings - golden["embeddings"]).max() <= 1e-3 * np.abs(embeddings).max()
    logits = embeddings @ head["weight"].T + head["bias"]
    assert np.abs(logits - golden["logits"]).max() <= 1e-3 * np.abs(logits).max()
    classes = json.loads((folder / "job.json").read_text())["classes"]
    assert json.loads(metadata["classes"]) == classes and head["weight"].shape[0] == len(classes)
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize(
    "recipe", ["head", "partial:1", "gradual", "full", "full+frozen", "full+live", "gradual+live", "scratch"]
)
def test_every_recipe_gives_the_same_file_with_other_weights(tmp_path, recipe, capsys):
    folder = make_folder(tmp_path / "job", recipe)
    assert main([str(folder)]) in (0, 3)
    metrics = check_results(folder)
    assert (
        metrics["result"]["recipe"] == recipe
        and metrics["chosen"] == recipe
        and metrics["baseline"]["recipe"] == "head"
    )
    before, after = (
        arrays((folder / "backbone.onnx").read_bytes()),
        arrays((folder / "out" / "backbone.onnx").read_bytes()),
    )
    assert np.array_equal(before["old.weight"], after["old.weight"])
    if metrics["result"]["best_epoch"] and recipe == "partial:1":
        assert all(
            np.array_equal(before[f"{name}.weight"], after[f"{name}.weight"])
            for name in ("stem", "depthwise", "pointwise")
        )
        assert not np.array_equal(before["inner.weight"], after["inner.weight"])
    if recipe == "head":
        # The baseline itself is no improvement over it.
        assert not metrics["improved"]
        assert (folder / "backbone.onnx").read_bytes() == (folder / "out" / "backbone.onnx").read_bytes()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines and all(
        set(line) == {"step", "steps", "epoch", "stage", "loss", "val_accuracy", "eta_s"} for line in lines
    )
    steps = [line["step"] for line in lines]
    assert steps == sorted(steps) and steps[-1] <= lines[-1]["steps"]
    assert (folder / "log.jsonl").exists() and (folder / "plots" / "learning.svg").exists()


def test_the_engine_learns_what_the_head_alone_cannot(tmp_path):
    """Random features of a small network: shapes are told apart only once the layers train."""
    folder = make_folder(tmp_path / "job", "full+live", per_class=48, budget={"epochs": 25})
    assert main([str(folder)]) == 0
    metrics = check_results(folder)
    assert metrics["result"]["accuracy"] >= metrics["baseline"]["accuracy"] + 0.1


def test_auto_on_the_backbone_that_comes_with_graft(tiny_folder):
    code = main([str(tiny_folder)])
    metrics = check_results(tiny_folder)
    assert code == (0 if metrics["improved"] else 3)
    assert set(metrics["epochs"]) == {"head", "gradual", "full+live"} and metrics["why"]
    assert metrics["stages"] == 4 and TINY.exists()


def test_the_same_job_gives_the_same_bytes(tmp_path):
    outs = []
    for name in ("a", "b"):
        folder = make_folder(tmp_path / name, "gradual+live")
        main([str(folder)])
        outs.append(
            (folder / "out" / "backbone.onnx").read_bytes() + (folder / "out" / "head.safetensors").read_bytes()
        )
    assert outs[0] == outs[1]


def test_normalisation_of_the_file_itself_keeps_its_statistics_unless_live(tmp_path):
    for recipe, moved in (("full", False), ("full+live", True)):
        folder = make_folder(
            tmp_path / recipe, recipe, backbone=small_network(norm=True), budget={"epochs": 20}, per_class=32
        )
        main([str(folder)])
        metrics = check_results(folder)
        before, after = (
            arrays((folder / "backbone.onnx").read_bytes()),
            arrays((folder / "out" / "backbone.onnx").read_bytes()),
        )
        assert metrics["result"]["best_epoch"] > 0
        assert not np.array_equal(before["inner.scale"], after["inner.scale"])
        assert np.array_equal(before["inner.mean"], after["inner.mean"]) != moved
