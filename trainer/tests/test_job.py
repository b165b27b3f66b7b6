"""Job folders: what is refused, in one clear line, and who is held out."""

import json
import re

import numpy as np
import pytest
from conftest import make_folder

from graft_trainer import tensorfile
from graft_trainer.cli import main
from graft_trainer.errors import BadJob
from graft_trainer.head import ABSENT_BIAS
from graft_trainer.job import read_job


def edit(folder, **changes):
    path = folder / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def lines(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def put(folder, entries):
    (folder / "samples.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "job.json").unlink(), "not a whole job folder"),
        (lambda f: (f / "job.json").write_text("{"), "job.json cannot be used"),
        (lambda f: edit(f, schema=2), "schema 2"),
        (lambda f: edit(f, recipe="best"), "unknown recipe 'best'"),
        (lambda f: edit(f, recipe="partial:9"), "names 9 stages, but this backbone has 3"),
        (lambda f: edit(f, classes=["class 0"]), "two or more classes"),
        (lambda f: edit(f, budget={"epochs": 0}), "budget is above 0"),
        (lambda f: edit(f, classes=["class 0", "class 1"]), "samples.jsonl, line 33"),
        (lambda f: (f / "backbone.toml").unlink(), "no card"),
        (lambda f: (f / "backbone.toml").write_text("size = 24"), "the card .* cannot be used"),
        (lambda f: (f / "backbone.onnx").write_bytes(b"no"), "not an ONNX file"),
        (lambda f: (f / "head.safetensors").write_bytes(b"no"), "not a whole safetensors file"),
        (lambda f: (f / "samples" / f"{lines(f)[0]['digest']}.jpg").write_bytes(b"no"), "its digest is another"),
        (
            lambda f: put(f, [dict(e, split="val" if i % 2 else "train") for i, e in enumerate(lines(f))]),
            "is in two splits",
        ),
        (lambda f: put(f, [dict(e, digest="../x") for e in lines(f)]), "not a SHA-256"),
        (lambda f: put(f, [e for e in lines(f) if e["class"] == "class 1"]), "fewer than two classes"),
        (lambda f: put(f, [dict(e, burst=e["class"], split="train") for e in lines(f)]), "second burst"),
    ],
)
def test_what_cannot_be_done_says_so(tmp_path, change, words, capsys):
    folder = make_folder(tmp_path / "job")
    change(folder)
    assert main([str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(words, said), said
    assert not (folder / "out").exists()


def test_cuda_that_is_not_there_is_tried_again_elsewhere(tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("no-cuda: there is CUDA here")
    assert main([str(make_folder(tmp_path / "job")), "--device", "cuda:0"]) == 75
    assert "--device cpu" in capsys.readouterr().err


def test_bursts_are_held_out_whole_where_the_job_holds_out_none(tmp_path):
    job = read_job(make_folder(tmp_path / "job", per_class=40, splits=("train",)))
    held = {sample.burst for sample in job.samples if sample.split == "val"}
    kept = {sample.burst for sample in job.samples if sample.split == "train"}
    assert not held & kept and len(held) == 6 and len(kept) == 24


def test_a_class_without_samples_stays_in_the_head_and_is_never_predicted(tmp_path):
    folder = make_folder(tmp_path / "job", "head")
    edit(folder, classes=["unseen", "class 0", "class 1", "class 2"])
    assert main([str(folder)]) == 3
    head, _ = tensorfile.read(folder / "out" / "head.safetensors")
    assert head["weight"].shape == (4, 16) and head["bias"][0] == ABSENT_BIAS and not head["weight"][0].any()


def test_the_boards_head_is_where_it_starts_and_leaves_no_trace(tmp_path):
    """The board's head has seen the held-out bursts; the probe is solved to its end, so that nothing of it stays."""
    heads = []
    for name in ("without", "with"):
        folder = make_folder(tmp_path / name, "head")
        if name == "with":
            rng = np.random.default_rng(0)
            tensors = {
                "weight": rng.normal(size=(4, 16)).astype(np.float16),
                "bias": np.float16([-10000, 3, -3, 0]),
                "temperature": np.float32([2]),
            }
            names = ["gone", "class 2", "class 0", "class 1"]
            (folder / "head.safetensors").write_bytes(tensorfile.encode(tensors, {"classes": json.dumps(names)}))
        assert main([str(folder)]) == 3
        heads.append(tensorfile.read(folder / "out" / "head.safetensors")[0])
    assert np.abs(heads[0]["weight"] - heads[1]["weight"]).max() < 0.02 * np.abs(heads[0]["weight"]).max()


def test_a_head_of_another_width_is_refused(tmp_path):
    folder = make_folder(tmp_path / "job")
    tensors = {"weight": np.zeros((3, 7), np.float32), "bias": np.zeros(3, np.float32)}
    (folder / "head.safetensors").write_bytes(tensorfile.encode(tensors, {}))
    assert main([str(folder)]) == 2


def test_safetensors_round_trip_and_damage(tmp_path):
    tensors = {"b": np.float32([[1, 2]]), "a": np.float16([3]), "empty": np.zeros((0, 4), np.float32)}
    content = tensorfile.encode(tensors, {"k": "v"})
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    back, metadata = tensorfile.read(path)
    assert metadata == {"k": "v"} and all(np.array_equal(back[name], tensors[name]) for name in tensors)
    assert int.from_bytes(content[:8], "little") % 8 == 0
    for broken in (content[:-1], content[:20], b"", b"\xff" * 40, content.replace(b'"F32"', b'"F99"')):
        path.write_bytes(broken)
        with pytest.raises(BadJob, match="not a whole safetensors file"):
            tensorfile.read(path)
