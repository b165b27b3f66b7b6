"""Comparing recipes, and job folders from folders of pictures."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, SHARED, draw, small_network
from PIL import Image

from graft_trainer.cli import main

FULL = os.environ.get("GRAFT_TEST_FULL") == "1"
needs_shared = pytest.mark.skipif(
    not (SHARED / "data").is_dir(), reason=f"shared: no {SHARED} (set GRAFT_SHARED), real pictures are not compared"
)
IMAGENET_CARD = CARD.format(size=128, width=256).replace("resize = 128", "resize = 146")


def image_folder(root: Path, per_class: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for kind, name in enumerate(("disc", "square", "cross")):
        (root / name).mkdir(parents=True)
        for at in range(per_class):
            draw(kind, rng, side=60 + at % 3).save(root / name / f"part{at // 2}_{at}.png")
    return root


def write_backbone(folder: Path) -> Path:
    (folder / "small.onnx").write_bytes(small_network())
    (folder / "small.toml").write_text(CARD.format(size=24, width=16))
    return folder / "small.onnx"


def test_every_recipe_in_one_table(tmp_path, capsys):
    train, test = image_folder(tmp_path / "train", 20, 1), image_folder(tmp_path / "test", 10, 2)
    job = tmp_path / "job"
    arguments = [
        "job",
        str(job),
        "--backbone",
        str(write_backbone(tmp_path)),
        "--train",
        str(train),
        "--test",
        str(test),
    ]
    assert main([*arguments, "--epochs", "3", "--bursts", r"^(part\d+)_"]) == 0
    assert main(["compare", str(job)]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    rows = json.loads((job / "compare.json").read_text())["rows"]
    assert [row["recipe"] for row in rows[:-1]] == [
        "head",
        "partial:1",
        "partial:2",
        "gradual",
        "gradual+live",
        "full",
        "full+frozen",
        "full+live",
        "scratch",
    ]
    assert rows[-1]["recipe"].startswith("auto → ") and len(table) == len(rows) + 2
    trained = {row["recipe"]: row["trained_parameters"] for row in rows}
    assert trained["head"] < trained["partial:1"] < trained["partial:2"] < trained["full"]
    assert all(row["samples"] == 30 and row["interval"][0] <= row["accuracy"] <= row["interval"][1] for row in rows)
    assert (job / "plots" / "compare.svg").exists() and "| head " in (job / "compare.md").read_text()
    # A second start repeats nothing and says the same.
    assert main(["compare", str(job), "--recipes", "head,full"]) == 0
    again = json.loads((job / "compare.json").read_text())["rows"]
    assert [r["accuracy"] for r in again] == [r["accuracy"] for r in rows if r["recipe"] in ("head", "full")]


def test_a_job_from_folders(tmp_path, capsys):
    train, test = image_folder(tmp_path / "train", 6, 1), image_folder(tmp_path / "test", 4, 2)
    (test / "disc" / "copy.png").write_bytes((train / "disc" / "part0_0.png").read_bytes())
    (train / "disc" / "notes.txt").write_text("not a picture")
    backbone = write_backbone(tmp_path)
    arguments = [
        "--backbone",
        str(backbone),
        "--train",
        str(train),
        "--test",
        str(test),
        "--flip",
        "--bursts",
        r"^(part\d+)_",
    ]
    assert main(["job", str(tmp_path / "job"), *arguments]) == 0
    lines = [json.loads(line) for line in (tmp_path / "job" / "samples.jsonl").read_text().splitlines()]
    assert len(lines) == 3 * (6 + 4)
    assert sum(e["split"] == "train" for e in lines) == 18
    assert {e["burst"] for e in lines if e["split"] == "train"} == {f"train/part{at}" for at in range(3)}
    assert json.loads((tmp_path / "job" / "job.json").read_text())["image"] == {"flip": True}
    crop = Image.open(io.BytesIO((tmp_path / "job" / "samples" / f"{lines[0]['digest']}.jpg").read_bytes()))
    assert crop.size == (60, 60)
    assert main(["job", str(tmp_path / "job"), *arguments]) == 2
    assert "is there already" in capsys.readouterr().err
    (train / "square" / "broken.png").write_bytes(b"no picture")
    assert main(["job", str(tmp_path / "other"), *arguments]) == 2
    assert "broken.png" in capsys.readouterr().err


def run_shared(
    tmp_path, capsys, data: str, backbone: str, recipes: str, width: int = 256, *more: str
) -> dict[str, dict]:
    (tmp_path / "card.toml").write_text(IMAGENET_CARD.replace("width = 256", f"width = {width}"))
    job, root = tmp_path / "job", SHARED / "data" / data
    arguments = ["--backbone", str(SHARED / "models" / backbone), "--card", str(tmp_path / "card.toml")]
    assert main(["job", str(job), *arguments, "--train", str(root / "train"), "--test", str(root / "val"), *more]) == 0
    assert main(["compare", str(job), "--recipes", recipes]) == 0
    print("\n".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("|")))
    return {row["recipe"].split(" →")[0]: row for row in json.loads((job / "compare.json").read_text())["rows"]}


@needs_shared
def test_fine_tuning_helps_on_a_few_real_pictures(tmp_path, capsys):
    rows = run_shared(
        tmp_path,
        capsys,
        "sign_digits",
        "mobilenetv1_0.25_128_imagenet.onnx",
        "head,full+live",
        256,
        "--limit",
        "16",
        "--epochs",
        "8",
    )
    assert rows["full+live"]["accuracy"] >= rows["head"]["accuracy"] + 0.02


@needs_shared
@pytest.mark.skipif(not FULL, reason="full: minutes of training (GRAFT_TEST_FULL=1)")
@pytest.mark.parametrize(
    ("backbone", "width", "bar"),
    [("mobilenetv1_0.25_128_imagenet.onnx", 256, 0.985), ("mcunet-5fps_imagenet.onnx", 160, 0.97)],
)
def test_sign_digits(tmp_path, capsys, backbone, width, bar):
    rows = run_shared(tmp_path, capsys, "sign_digits", backbone, "head,full+live,gradual+live", width)
    assert max(rows["full+live"]["accuracy"], rows["gradual+live"]["accuracy"]) >= bar


@needs_shared
@pytest.mark.skipif(not FULL, reason="full: minutes of training (GRAFT_TEST_FULL=1)")
def test_hymenoptera(tmp_path, capsys):
    recipes = "head,partial:1,partial:2,gradual,full,scratch,auto"
    rows = run_shared(tmp_path, capsys, "hymenoptera", "mobilenetv1_0.25_128_imagenet.onnx", recipes, 256, "--flip")
    baseline = rows["head"]["accuracy"]
    for name in ("partial:1", "partial:2", "gradual", "full"):
        assert rows[name]["accuracy"] >= baseline - 0.02, name
    assert rows["auto"]["accuracy"] >= baseline
    assert rows["scratch"]["accuracy"] <= baseline - 0.1
