"""`graft-trainer job`: a job folder from pictures in folders, one folder a class, for comparing and trying out."""

import hashlib
import io
import json
import random
import re
import shutil
from pathlib import Path

from PIL import Image

from .card import Card, crop_box, read_card, shrink
from .errors import BadJob
from .files import write_atomic, write_json
from .job import SCHEMA

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
# As the boards store crops (src/config/default.toml).
CROP_PX, JPEG_QUALITY = 320, 90


def make_job(
    out: Path,
    backbone: Path,
    card_path: Path | None,
    train: Path,
    test: Path | None,
    recipe: str,
    seed: int,
    flip: bool,
    epochs: int | None,
    limit: int | None,
    bursts: str | None,
) -> None:
    """Writes the folder `out`, which must not exist. Raises BadJob.

    `test` is only judged; what is held out for choosing comes out of `train`. `limit` is the most pictures of a class
    and split. `bursts` is a pattern whose group finds the burst in a file's name; without it each picture is its own.
    """
    if out.exists():
        raise BadJob(f"{out} is there already; name a new folder")
    card_path = card_path or backbone.with_suffix(".toml")
    card = read_card(card_path)
    classes = sorted(folder.name for folder in train.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    entries: dict[str, dict] = {}
    for split, root in (("train", train), ("test", test)):
        for name in classes if root is not None else []:
            paths = sorted(path for path in (root / name).iterdir() if path.suffix.lower() in ENDINGS)
            if limit is not None and len(paths) > limit:
                paths = sorted(random.Random(f"{seed} {split} {name}").sample(paths, limit))
            for path in paths:
                content = _crop(path, card)
                digest = hashlib.sha256(content).hexdigest()
                burst = digest
                if bursts is not None and (found := re.search(bursts, path.stem)):
                    burst = f"{split}/{found.group(1)}"
                write_atomic(out / "samples" / f"{digest}.jpg", content)
                # A copy of a picture in both splits stays with the one that trains.
                entries.setdefault(digest, {"digest": digest, "class": name, "burst": burst, "split": split})
    shutil.copyfile(backbone, out / "backbone.onnx")
    shutil.copyfile(card_path, out / "backbone.toml")
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries.values())
    write_atomic(out / "samples.jsonl", lines.encode())
    budget = {} if epochs is None else {"epochs": epochs}
    job = {"schema": SCHEMA, "id": out.name, "recipe": recipe, "classes": classes, "seed": seed, "budget": budget}
    write_json(out / "job.json", {**job, "device": "auto", "image": {"flip": flip}})


def _crop(path: Path, card: Card) -> bytes:
    """What a board would store of this picture: the part that the backbone sees, never enlarged, as JPEG."""
    try:
        with Image.open(path) as picture:
            box = crop_box(card, *picture.size)
            width, height = box[2] - box[0], box[3] - box[1]
            scale = min(CROP_PX / max(width, height), 1.0)
            crop = shrink(picture, (max(round(width * scale), 1), max(round(height * scale), 1)), box)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadJob(f"{path} cannot be used: {error}") from error
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
