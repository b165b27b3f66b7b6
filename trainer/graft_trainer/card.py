"""A backbone's card: the TOML file that says how pictures are fed to it (models/README.md), and that feeding.

Preprocessing is that of the boards (crates/backbone/src/preprocess.rs): a triangle filter that widens when it shrinks, on
bytes, then `(p / 255 - mean) / std`. Pillow's `BILINEAR` is that filter.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .errors import BadJob


@dataclass(frozen=True)
class Card:
    """Sizes in pixels; mean and std for red, green, blue of pixels in 0..1."""

    size: int
    resize: int
    crop: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    features: str | None
    width: int
    layout: str


def read_card(path: Path) -> Card:
    """Reads and checks a card. Raises BadJob."""
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
        size = int(table["size"])
        card = Card(
            size=size,
            resize=int(table.get("resize") or size * 256 // 224),
            crop=table.get("crop", "center"),
            mean=tuple(float(v) for v in table["mean"]),
            std=tuple(float(v) for v in table["std"]),
            features=table.get("features"),
            width=int(table.get("width", 0)),
            layout=table.get("layout", "nchw"),
        )
    except FileNotFoundError as error:
        raise BadJob(f"no card {path}; write one with `graft backbone card`") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadJob(f"the card {path} cannot be used ({error}); see models/README.md for its keys") from error
    wrong = (
        not 8 <= card.size <= 4096
        or card.resize < card.size
        or len(card.mean) != 3
        or len(card.std) != 3
        or min(card.std) <= 0
        or card.crop not in ("center", "stretch", "roi")
        or card.layout not in ("nchw", "nhwc")
    )
    if wrong:
        raise BadJob(f"the card {path} says something impossible; see models/README.md for its keys")
    return card


def crop_box(card: Card, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the part of a picture that the backbone sees, to a fraction of a pixel."""
    if card.crop != "center":
        return 0.0, 0.0, float(width), float(height)
    short = max(min(width, height), 1)

    def span(full: int) -> tuple[float, float]:
        resized = max(card.resize * full // short, card.size)
        offset = round((resized - card.size) / 2)
        start = offset * full / resized
        return start, min(start + card.size * full / resized, float(full))

    (left, right), (top, bottom) = span(width), span(height)
    return left, top, right, bottom


def shrink(
    picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """A part of a picture (the whole without `box`) at another size, by the boards' filter."""
    return picture.convert("RGB").resize(size, Image.Resampling.BILINEAR, box=box)
