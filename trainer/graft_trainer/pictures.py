"""Pictures as bytes in memory, and as normalised input: plain, as the boards see them, or varied for training."""

import hashlib
import io
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .card import Card, shrink
from .errors import BadJob
from .job import Sample

# Smallest share of the area that a varied picture shows, and its largest stretch.
AREA = (0.6, 1.0)
STRETCH = 4 / 3
# Brightness, contrast and saturation change by up to this factor either way.
COLOUR = 0.2


def load_pictures(samples: list[Sample], card: Card) -> Tensor:
    """u8 `[n, 3, size, size]`: crops, squeezed whole to the backbone's square. Raises BadJob naming a broken one."""

    def load(sample: Sample) -> np.ndarray:
        try:
            content = sample.path.read_bytes()
            if hashlib.sha256(content).hexdigest() != sample.digest:
                raise ValueError("its digest is another; send it again")
            with Image.open(io.BytesIO(content)) as picture:
                return np.asarray(shrink(picture, (card.size, card.size))).transpose(2, 0, 1)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise BadJob(f"the picture {sample.path} cannot be used: {error}") from error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        pictures = list(pool.map(load, samples))
    if not pictures:
        return torch.empty(0, 3, card.size, card.size, dtype=torch.uint8)
    return torch.from_numpy(np.stack(pictures))


def normalise(pictures: Tensor, card: Card) -> Tensor:
    """The network's input `[n, 3, size, size]` from pictures in 0..255, bytes or floats."""
    mean, std = (torch.tensor(v, device=pictures.device).view(1, 3, 1, 1) for v in (card.mean, card.std))
    return (pictures.float() / 255 - mean) / std


def draw_variations(count: int, flip: bool, generator: torch.Generator) -> Tensor:
    """`[count, 8]`: width, height and centre (x, y) of the part in -1..1, mirror (1 or -1), brightness, contrast, saturation."""
    rolls = torch.rand(count, 8, generator=generator)
    area = AREA[0] + (AREA[1] - AREA[0]) * rolls[:, 0]
    stretch = torch.exp((2 * rolls[:, 1] - 1) * math.log(STRETCH) / 2)
    width, height = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    x, y = (2 * rolls[:, 2] - 1) * (1 - width), (2 * rolls[:, 3] - 1) * (1 - height)
    mirror = torch.where((rolls[:, 4] < 0.5) & flip, -1.0, 1.0)
    colours = 1 + COLOUR * (2 * rolls[:, 5:8] - 1)
    return torch.cat([torch.stack([width, height, x, y, mirror], 1), colours], 1)


def vary(pictures: Tensor, variations: Tensor) -> Tensor:
    """Floats in 0..255 `[n, 3, h, w]`: parts of the pictures at full size, mirrored and coloured as drawn."""
    variations = variations.to(pictures.device)
    width, height, x, y, mirror, brightness, contrast, saturation = variations.unbind(1)
    zero = torch.zeros_like(x)
    transform = torch.stack([torch.stack([width * mirror, zero, x], 1), torch.stack([zero, height, y], 1)], 1)
    grid = F.affine_grid(transform, list(pictures.shape), align_corners=False)
    varied = F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)
    factors = [factor.view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation)]
    varied = varied * factors[0]
    middle = varied.mean((1, 2, 3), keepdim=True)
    varied = middle + (varied - middle) * factors[1]
    # Luma of ITU-R BT.601, as Pillow's grey.
    luma = torch.tensor([0.299, 0.587, 0.114], device=pictures.device).view(1, 3, 1, 1)
    grey = (varied * luma).sum(1, keepdim=True)
    return (grey + (varied - grey) * factors[2]).clamp(0, 255)
