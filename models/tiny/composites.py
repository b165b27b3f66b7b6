"""Invented things: each class is a fixed random assembly of a few primitives.

Named families end somewhere; assemblies do not. They keep the backbone from learning a short list
of known outlines and ask it for parts, counts, holes and proportions in general.
"""

import math
import random

from primitives import box, common, cut, disc, ellipse, polygon, segment, shell, star, turn, union, wavy


def composite(seed):
    """The family of assembly number `seed`, with the signature of those in shapes.py."""
    rng = random.Random(7919 * seed + 11)
    parts = [_part(rng, first=index == 0) for index in range(rng.choice((2, 3, 3, 4)))]
    mirror = rng.random() < 0.4

    def draw(x, y, u):
        px = x.abs() if mirror else x
        field = None
        for kind, operation, angle, cx, cy, size, other in parts:
            # Six per cent of freedom in every proportion: one kind, no two alike.
            qx, qy = turn(px - cx * u(0.94, 1.06), y - cy * u(0.94, 1.06), angle)
            piece = kind(qx, qy, size * u(0.94, 1.06), other * u(0.94, 1.06))
            field = piece if field is None else operation(field, piece)
        return common(field, disc(x, y, 1.05))

    return draw


def _part(rng, first):
    kind = rng.choice(_KINDS)
    operation = rng.choice((union, union, cut, union, cut))
    reach = 0.2 if first else 0.6
    size = rng.uniform(0.5, 0.75) if first else rng.uniform(0.18, 0.5)
    return (kind, operation, rng.uniform(0, 2 * math.pi), rng.uniform(-reach, reach), rng.uniform(-reach, reach),
            size, rng.uniform(0.3, 0.8))


_KINDS = (
    lambda x, y, s, o: disc(x, y, s),
    lambda x, y, s, o: box(x, y, s, s * o),
    lambda x, y, s, o: box(x, y, s, s * o * 0.35),
    lambda x, y, s, o: ellipse(x, y, s, s * o),
    lambda x, y, s, o: shell(disc(x, y, s), s * 0.25 * o + 0.02),
    lambda x, y, s, o: polygon(x, y, 3, s * 0.6),
    lambda x, y, s, o: polygon(x, y, 6, s * 0.85),
    lambda x, y, s, o: star(x, y, 5, s, 0.4),
    lambda x, y, s, o: star(x, y, 4, s, 0.3),
    lambda x, y, s, o: wavy(x, y, 6, s * 0.85, 0.15),
    lambda x, y, s, o: segment(x, y, -s, 0.0, s, 0.0, s * 0.3 * o + 0.04),
)
