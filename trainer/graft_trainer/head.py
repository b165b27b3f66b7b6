"""The head: the last layer, in the space of embeddings as the backbone gives them, and its files."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import tensorfile
from .errors import BadJob

# What the boards write for a class without samples (docs/reference/head-format.md): finite, also in f16, and never predicted.
ABSENT_BIAS = -10000.0


@dataclass(frozen=True)
class Head:
    """weight f32[classes, width], bias f32[classes]."""

    weight: np.ndarray
    bias: np.ndarray


def read_head(path: Path, classes: list[str], width: int) -> Head | None:
    """The board's head, if the job has one; its classes are brought into the job's order. Raises BadJob."""
    if not path.exists():
        return None
    tensors, metadata = tensorfile.read(path)
    try:
        weight, bias = tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32)
        names = json.loads(metadata.get("classes", "null")) or classes
    except (KeyError, ValueError) as error:
        raise BadJob(f"{path} is not a head file ({error}); leave it out to start without a head") from error
    if weight.ndim != 2 or weight.shape != (len(names), width) or bias.shape != (len(names),):
        raise BadJob(
            f"{path} holds weight {list(weight.shape)} and bias {list(bias.shape)} for {len(names)} classes, but this backbone's "
            f"embedding has {width} numbers; leave it out to start without a head"
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise BadJob(f"{path} holds figures that are not finite; leave it out to start without a head")
    rows = {name: row for row, name in enumerate(names)}
    full = Head(np.zeros((len(classes), width), np.float32), np.full(len(classes), ABSENT_BIAS, np.float32))
    for index, name in enumerate(classes):
        if name in rows:
            full.weight[index], full.bias[index] = weight[rows[name]], bias[rows[name]]
    return full


def encode_head(head: Head, classes: list[str]) -> bytes:
    """`out/head.safetensors`: weight, bias, and the class list as metadata."""
    return tensorfile.encode(
        {"weight": head.weight, "bias": head.bias}, {"classes": json.dumps(classes, ensure_ascii=False)}
    )
