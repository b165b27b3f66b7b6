"""The job folder that comes in: what is asked for, which samples there are, and which of them judge."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from .card import Card, read_card
from .errors import BadJob
from .recipes import Recipe, parse_recipe

SCHEMA = 1
SPLITS = ("train", "val", "test")
# Share of the bursts that is held out where the job does not say which.
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Sample:
    """A labelled crop. `class_index` counts in the job's class list."""

    path: Path
    digest: str
    class_index: int
    burst: str
    split: str


@dataclass(frozen=True)
class Job:
    """`epochs` and `seconds` bound the training; None leaves them to the engine.

    `flip`: a mirrored picture is of the same class. `fingerprint` changes with all that a trained state rests on.
    """

    folder: Path
    id: str
    recipe: Recipe
    classes: list[str]
    seed: int
    epochs: int | None
    seconds: float | None
    device: str
    flip: bool
    card: Card
    backbone: bytes
    samples: list[Sample]
    fingerprint: str


def read_job(folder: Path) -> Job:
    """Reads and checks a job folder; pictures are only listed. Raises BadJob."""
    text = _text(folder / "job.json")
    try:
        table = json.loads(text)
        if table["schema"] != SCHEMA:
            raise BadJob(
                f"{folder / 'job.json'} has schema {table['schema']}; this engine reads {SCHEMA}: update the older side"
            )
        classes = [str(name) for name in table["classes"]]
        budget, image = table.get("budget") or {}, table.get("image") or {}
        epochs, seconds = budget.get("epochs"), budget.get("seconds")
        values = {
            "id": str(table["id"]),
            "recipe": parse_recipe(str(table["recipe"])),
            "seed": int(table.get("seed", 0)),
            "epochs": None if epochs is None else int(epochs),
            "seconds": None if seconds is None else float(seconds),
            "device": str(table.get("device") or "auto"),
            "flip": bool(image.get("flip", False)),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadJob(f"{folder / 'job.json'} cannot be used: {error!r}; docs/reference/trainer.md lists its keys") from error
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise BadJob(f"{folder / 'job.json'} needs two or more classes, each named once")
    if any(values[name] is not None and values[name] <= 0 for name in ("epochs", "seconds")):
        raise BadJob(f"{folder / 'job.json'}: a budget is above 0")
    try:
        backbone = (folder / "backbone.onnx").read_bytes()
    except OSError as error:
        raise BadJob(f"the backbone of the job cannot be read: {error}") from error
    listing = _text(folder / "samples.jsonl")
    samples = _usable(_hold_out(_read_samples(folder, listing, classes), values["seed"]), classes)
    digest = hashlib.sha256()
    for part in (text.encode(), listing.encode(), hashlib.sha256(backbone).digest()):
        digest.update(hashlib.sha256(part).digest())
    card = read_card(folder / "backbone.toml")
    return Job(
        folder, classes=classes, card=card, backbone=backbone, samples=samples, fingerprint=digest.hexdigest(), **values
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadJob(f"this is not a whole job folder: {error}") from error


def _read_samples(folder: Path, listing: str, classes: list[str]) -> list[Sample]:
    index = {name: at for at, name in enumerate(classes)}
    samples = []
    for number, line in enumerate(listing.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            digest = entry["digest"].removeprefix("sha256:")
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"{digest!r} is not a SHA-256 in lower case hex")
            if entry["split"] not in SPLITS:
                raise ValueError(f"split is one of {', '.join(SPLITS)}")
            path = folder / "samples" / f"{digest}.jpg"
            samples.append(Sample(path, digest, index[entry["class"]], str(entry["burst"]), entry["split"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadJob(f"{folder / 'samples.jsonl'}, line {number}, cannot be used: {error!r}") from error
    return samples


def _hold_out(samples: list[Sample], seed: int) -> list[Sample]:
    """The samples, with bursts held out for choosing where the job holds out none.

    Of each class about a fifth of its bursts, by a hash of the burst, and never its last one. Raises BadJob when a
    burst of the job lies on both sides.
    """
    sides: dict[str, str] = {}
    for sample in samples:
        if sides.setdefault(sample.burst, sample.split) != sample.split:
            raise BadJob(
                f"burst {sample.burst!r} is in two splits; frames of one burst are near-copies and belong in one"
            )
    if any(sample.split == "val" for sample in samples):
        return samples
    bursts_of: dict[int, set[str]] = {}
    for sample in samples:
        if sample.split == "train":
            bursts_of.setdefault(sample.class_index, set()).add(sample.burst)
    held: set[str] = set()
    for _, bursts in sorted(bursts_of.items()):
        ranked = sorted(bursts, key=lambda burst: hashlib.sha256(f"{seed} {burst}".encode()).digest())
        wanted = min(math.ceil(HELD_OUT_SHARE * len(ranked)), len(ranked) - 1)
        held.update(ranked[: max(wanted - len(held & bursts), 0)])
    for bursts in bursts_of.values():
        if bursts <= held:
            held.discard(min(bursts))
    return [
        Sample(s.path, s.digest, s.class_index, s.burst, "val") if s.split == "train" and s.burst in held else s
        for s in samples
    ]


def _usable(samples: list[Sample], classes: list[str]) -> list[Sample]:
    """The samples of classes that can be learnt. Raises BadJob when there are fewer than two, or nothing judges."""
    present = {sample.class_index for sample in samples if sample.split == "train"}
    if len(present) < 2:
        raise BadJob("fewer than two classes have samples to train on; label more before offloading")
    samples = [sample for sample in samples if sample.class_index in present]
    if not any(sample.split == "val" for sample in samples):
        raise BadJob("no class has a second burst to judge by; capture two bursts or more of each class")
    return samples
