"""Signed distance primitives on batches of coordinate planes.

Every function takes coordinate planes `x`, `y` of shape [n, h, w] and parameters that are
numbers or tensors of shape [n, 1, 1]. It returns a field of shape [n, h, w] that is negative
inside the shape and grows roughly with the distance outside it; exact distances are not needed,
the renderer only reads the sign and the slope near the edge.
"""

import math

import torch

TAU = 2.0 * math.pi


def spread(noise, low, high):
    """Maps uniform noise in [0, 1) to [low, high)."""
    return low + (high - low) * noise


def turn(x, y, angle):
    """Rotates the coordinate planes by `angle` radians (a number or [n, 1, 1])."""
    angle = torch.as_tensor(angle, dtype=x.dtype)
    c, s = torch.cos(angle), torch.sin(angle)
    return c * x + s * y, c * y - s * x


def disc(x, y, r, cx=0.0, cy=0.0):
    return torch.sqrt((x - cx) ** 2 + (y - cy) ** 2 + 1e-9) - r


def ellipse(x, y, rx, ry, cx=0.0, cy=0.0):
    smaller = torch.minimum(torch.as_tensor(rx), torch.as_tensor(ry))
    return (torch.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + 1e-9) - 1.0) * smaller


def box(x, y, hx, hy, cx=0.0, cy=0.0, rounding=0.0):
    dx, dy = (x - cx).abs() - hx + rounding, (y - cy).abs() - hy + rounding
    outside = torch.sqrt(dx.clamp(min=0) ** 2 + dy.clamp(min=0) ** 2 + 1e-12)
    return outside + torch.maximum(dx, dy).clamp(max=0) - rounding


def segment(x, y, ax, ay, bx, by, r):
    """A stroke from (ax, ay) to (bx, by) with half width `r`."""
    px, py, vx, vy = x - ax, y - ay, bx - ax, by - ay
    t = ((px * vx + py * vy) / (vx * vx + vy * vy + 1e-9)).clamp(0, 1)
    return torch.sqrt((px - t * vx) ** 2 + (py - t * vy) ** 2 + 1e-9) - r


def strokes(x, y, points, r):
    """A polyline through `points`, a list of (x, y) pairs, with half width `r`."""
    field = None
    for (ax, ay), (bx, by) in zip(points, points[1:]):
        part = segment(x, y, ax, ay, bx, by, r)
        field = part if field is None else torch.minimum(field, part)
    return field


def polygon(x, y, sides, r):
    """A regular polygon with `sides` corners and apothem `r`."""
    a = torch.atan2(x, y)
    sector = TAU / sides
    a = a - sector * torch.round(a / sector)
    return torch.cos(a) * torch.sqrt(x * x + y * y + 1e-9) - r


def star(x, y, points, r, depth):
    """A star: radius falls linearly from `r` at a point to `r * depth` between two points."""
    a = torch.atan2(x, y) * points / TAU
    t = (a - torch.round(a)).abs() * 2.0
    return (torch.sqrt(x * x + y * y + 1e-9) - r * (1.0 - t * (1.0 - depth))) * 0.7


def wavy(x, y, lobes, r, depth, phase=0.0):
    """A disc whose radius swings `lobes` times by `depth`."""
    a = torch.atan2(x, y)
    return (torch.sqrt(x * x + y * y + 1e-9) - r * (1.0 + depth * torch.cos(lobes * a + phase))) * 0.8


def gear(x, y, teeth, r, depth):
    """A disc with flat teeth."""
    a = torch.atan2(x, y)
    edge = torch.tanh(4.0 * torch.cos(teeth * a))
    return (torch.sqrt(x * x + y * y + 1e-9) - r * (1.0 + depth * edge)) * 0.8


def wedge(x, y, half_angle):
    """The infinite sector around +y with the given half angle in radians."""
    a = torch.atan2(x, y).abs()
    return (a - half_angle) * torch.sqrt(x * x + y * y + 1e-9).clamp(max=1.0)


def around(x, y, count, radius):
    """Coordinates of the nearest of `count` centres on a circle of `radius` (polar repetition)."""
    a = torch.atan2(x, y)
    sector = TAU / count
    a = a - sector * torch.round(a / sector)
    d = torch.sqrt(x * x + y * y + 1e-9)
    return torch.sin(a) * d, torch.cos(a) * d - radius


def shell(field, half_width):
    """The outline of a field."""
    return field.abs() - half_width


def union(*fields):
    out = fields[0]
    for field in fields[1:]:
        out = torch.minimum(out, field)
    return out


def common(*fields):
    out = fields[0]
    for field in fields[1:]:
        out = torch.maximum(out, field)
    return out


def cut(field, *holes):
    for hole in holes:
        field = torch.maximum(field, -hole)
    return field
