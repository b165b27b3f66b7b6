"""Renders labelled pictures, a batch of one kind at a time, all in torch on one thread.

A picture is: a textured ground, sometimes clutter, the thing with its own surface and shadow under
a random pose and mild perspective, sometimes something in front of it, light that falls off, and at
the end what a cheap camera does: blur, noise, clipping, 8x8 block compression.
"""

import math

import torch
import torch.nn.functional as F

from composites import composite
from primitives import TAU, turn
from shapes import FAMILIES, WITHHELD

COMPOSITES = 64
WITHHELD_COMPOSITES = 16
SURFACES = 8
GROUNDS = 6


def kinds():
    """(training kinds, withheld kinds): lists of (name, family). `None` as family draws no thing."""
    named = [(n, f) for n, f in FAMILIES.items() if n not in WITHHELD]
    invented = [(f"assembly{i:02}", composite(i)) for i in range(COMPOSITES)]
    training = [("nothing", None)] + named + invented[WITHHELD_COMPOSITES:]
    withheld = [(n, FAMILIES[n]) for n in WITHHELD] + invented[:WITHHELD_COMPOSITES]
    return training, withheld


class Painter:
    """Draws batches of `size` x `size` pictures from one seeded stream of noise.

    `level` goes from 0 (large upright things on plain ground) to 1 (everything at once): from
    random weights the full difficulty teaches nothing for a long time, so training ramps it up.
    """

    def __init__(self, size, seed, level=1.0):
        self.size = size
        self.level = level
        self.rng = torch.Generator().manual_seed(seed)
        axis = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2.0 - 1.0
        self.v, self.u = torch.meshgrid(axis, axis, indexing="ij")
        self.cosines = _cosine_matrix()

    def uniform(self, n, low=0.0, high=1.0, channels=1):
        return low + (high - low) * torch.rand((n, channels, 1, 1), generator=self.rng)

    def plane(self, n, low=0.0, high=1.0):
        return low + (high - low) * torch.rand((n, 1, 1), generator=self.rng)

    def chance(self, n, p):
        return (torch.rand((n, 1, 1, 1), generator=self.rng) < p).float()

    def integer(self, high):
        return int(torch.randint(0, high, (1,), generator=self.rng))

    def paint(self, kind, n):
        """`n` pictures of one kind and what is known about them.

        Returns (u8 [n, 3, size, size], surface i64 [n] or -1, ground i64 [n], colour f32 [n, 3],
        mask u8 [n, 1, size / 2, size / 2]: how much of each 2 x 2 pixels the thing covers).
        """
        image, ground = self._ground(n)
        if self.integer(100) < 30 * self.level:
            image = self._clutter(image, kind)
        surface, colour, mask = torch.full((n,), -1), image.mean((2, 3)), torch.zeros_like(image[:, :1])
        if kind is not None:
            image, surface, colour, mask = self._thing(image, kind)
            if self.integer(100) < 30 * self.level:
                image = self._cover(image)
        image = self._camera(self._light(image))
        mask = F.avg_pool2d(mask * 255.0, 2).to(torch.uint8)
        return (image * 255.0).round().clamp(0, 255).to(torch.uint8), surface, ground, colour, mask

    # --- what is seen -----------------------------------------------------------------------

    def _noise(self, n, cells):
        grid = torch.rand((n, 1, cells, cells), generator=self.rng)
        return F.interpolate(grid, size=(self.size, self.size), mode="bilinear", align_corners=True)

    def _pattern(self, n, which, x, y):
        """A surface pattern in [0, 1], [n, 1, h, w], painted in the coordinates given."""
        x, y = x.unsqueeze(1), y.unsqueeze(1)
        frequency, phase = self.uniform(n, 4.0, 22.0), self.uniform(n, 0.0, TAU)
        if which == 0:
            return torch.zeros_like(x)
        if which == 1:
            return (x * self.uniform(n, -0.6, 0.6) + y * self.uniform(n, -0.6, 0.6) + 0.5).clamp(0, 1)
        if which == 2:
            return torch.sigmoid(6.0 * torch.sin(x * frequency + phase))
        if which == 3:
            return torch.sigmoid(8.0 * torch.sin(x * frequency + phase) * torch.sin(y * frequency))
        if which == 4:
            return 0.6 * self._noise(n, 5 + self.integer(9)) + 0.4 * self._noise(n, 20 + self.integer(28))
        dots = torch.sin(x * frequency + phase) + torch.sin(y * frequency)
        return torch.sigmoid(6.0 * (dots - self.uniform(n, 0.6, 1.2)))

    def _colours(self, n, count):
        """`count` colours [n, 3, 1, 1]: greyish metal half of the time, anything otherwise."""
        out = []
        for _ in range(count):
            grey, any_colour = self.uniform(n, 0.05, 0.95), self.uniform(n, 0.0, 1.0, 3)
            keep = self.chance(n, 0.5) * self.uniform(n, 0.7, 1.0)
            out.append(keep * grey + (1 - keep) * any_colour)
        return out

    def _ground(self, n):
        which = self.integer(GROUNDS)
        angle = self.plane(n, 0, TAU)
        x, y = turn(self.u.expand(n, -1, -1), self.v.expand(n, -1, -1), angle)
        base, other = self._colours(n, 2)
        contrast = self.uniform(n, 0.0, 0.6) * self.level
        pattern = self._pattern(n, which, x, y) * contrast
        image = base * (1 - pattern) + other * pattern
        cloud = (self._noise(n, 3 + self.integer(5)) - 0.5) * self.uniform(n, 0.0, 0.3)
        grain = (self._noise(n, self.size // 2) - 0.5) * self.uniform(n, 0.0, 0.15)
        return image + (cloud + grain) * self.level, torch.full((n,), which)

    def _pose(self, n, small):
        """Coordinates of the thing's own frame for every pixel, and pixels per unit [n, 1, 1]."""
        scale = self.plane(n, 0.1, 0.35) if small else 0.28 + 0.62 * self.plane(n) ** 1.2
        if not small:
            scale = 0.8 + (scale - 0.8) * (0.2 + 0.8 * self.level)
        shift = (1.05 - scale * (0.0 if small else 0.85)).clamp(min=0.0)
        cx, cy = shift * self.plane(n, -1, 1), shift * self.plane(n, -1, 1)
        x, y = self.u - cx, self.v - cy
        depth = 1.0 + self.plane(n, -0.22, 0.22) * x + self.plane(n, -0.22, 0.22) * y
        x, y = x / depth / scale, y / depth / scale
        x, y = turn(x, y, self.plane(n, 0, TAU) * self.level)
        squeeze = self.plane(n, 0.78, 1.0)
        x, y = x + self.plane(n, -0.18, 0.18) * y, y / squeeze
        x, y = turn(x, y, self.plane(n, 0, TAU) * self.level)
        return x, y, scale * self.size / 2.0

    def _draw(self, kind, n, small=False):
        x, y, pixels = self._pose(n, small)
        field = kind(x, y, lambda low, high: self.plane(n, low, high))
        return x, y, (field * pixels).unsqueeze(1)

    def _over(self, image, colour, coverage):
        return image * (1 - coverage) + colour * coverage

    def _thing(self, image, kind):
        n = image.shape[0]
        x, y, edge = self._draw(kind, n)
        shadow = torch.sigmoid(-edge / self.uniform(n, 1.0, 5.0)) * self.uniform(n, 0.0, 0.6)
        dx, dy = self.integer(13) - 6, self.integer(13) - 6
        image = image * (1 - torch.roll(shadow, (dy, dx), (2, 3)))
        which = self.integer(SURFACES)
        first, second = self._colours(n, 2)
        # A thing that has its ground's colour could not be seen: push it away from the mean.
        gap = (first - image.mean((2, 3), keepdim=True)).mean(1, keepdim=True)
        push = torch.where(gap < 0, -0.5, 0.5) * (1.0 - 0.6 * self.level)
        first = first + push * (gap.abs() < 0.35 - 0.2 * self.level)
        coverage = (0.5 - edge).clamp(0, 1)
        if which < 6:
            pattern = self._pattern(n, which, x, y) * self.uniform(n, 0.3, 1.0) * self.level
            body = first * (1 - pattern) + second * pattern
        else:
            body = first.expand(-1, -1, self.size, self.size)
        if which == 6:
            coverage = (self.uniform(n, 1.2, 2.6) - edge.abs()).clamp(0, 1)
        if which == 7 or self.integer(3) == 0:
            body = self._bevel(body, edge)
        image = self._over(image, body, coverage)
        weight = coverage.sum((2, 3)) + 1e-3
        return image, torch.full((n,), which), (body * coverage).sum((2, 3)) / weight, coverage

    def _bevel(self, body, edge):
        """Lights the rim of a thing from one side, as if its edge were rounded, and adds a gloss."""
        n = body.shape[0]
        height = torch.sigmoid(-(edge + 3.0) / self.uniform(n, 1.0, 3.0))
        slope_x = F.pad(height[..., 1:] - height[..., :-1], (0, 1, 0, 0))
        slope_y = F.pad(height[..., 1:, :] - height[..., :-1, :], (0, 0, 0, 1))
        angle = self.uniform(n, 0, TAU)
        light = slope_x * torch.cos(angle) + slope_y * torch.sin(angle)
        gloss = torch.exp(-((self.u * torch.cos(angle) + self.v * torch.sin(angle)
                             - self.uniform(n, -0.5, 0.5)) / 0.2) ** 2)
        return body + light * self.uniform(n, 0.5, 3.0) + gloss * self.uniform(n, 0.0, 0.25)

    def _clutter(self, image, kind):
        """One or two small things of other kinds somewhere; never one of those withheld."""
        families = [family for name, family in FAMILIES.items() if name not in WITHHELD]
        for _ in range(1 + self.integer(2)):
            n = image.shape[0]
            family = families[self.integer(len(families))]
            if family is kind:
                continue
            _, _, edge = self._draw(family, n, small=True)
            image = self._over(image, self._colours(n, 1)[0], (0.5 - edge).clamp(0, 1) * self.chance(n, 0.6))
        return image

    def _cover(self, image):
        """A strip or a blob at the border, in front of the thing."""
        n = image.shape[0]
        angle, offset = self.plane(n, 0, TAU), self.plane(n, 0.55, 1.2)
        x, _ = turn(self.u.expand(n, -1, -1), self.v.expand(n, -1, -1), angle)
        edge = ((offset - x) * self.size / 2.0).unsqueeze(1)
        return self._over(image, self._colours(n, 1)[0], (0.5 - edge).clamp(0, 1) * self.chance(n, 0.7))

    # --- light and camera -------------------------------------------------------------------

    def _light(self, image):
        n = image.shape[0]
        ramp = 1.0 + self.uniform(n, -0.35, 0.35) * self.u + self.uniform(n, -0.35, 0.35) * self.v
        spot = 1.0 - self.uniform(n, 0.0, 0.35) * (self.u ** 2 + self.v ** 2)
        tint = 1.0 + self.uniform(n, -0.12, 0.12, 3)
        image = (image * ramp * spot * tint * self.uniform(n, 0.55, 1.25)).clamp(1e-4, 1.2)
        return image ** self.uniform(n, 0.7, 1.4)

    def _camera(self, image):
        n = image.shape[0]
        if self.integer(10) < 6:
            image = self._blur(image)
        strength = self.uniform(n, 0.0, 1.0) ** 2 * 0.1 * self.level
        noise = torch.randn(image.shape, generator=self.rng)
        image = (image + noise * strength).clamp(0, 1)
        if self.integer(10) < 4:
            image = self._blocks(image)
        return image.clamp(0, 1)

    def _blur(self, image):
        sigma_x, sigma_y = 0.3 + 1.5 * float(self.uniform(1)), 0.3 + 1.5 * float(self.uniform(1))
        image = F.pad(image, (3, 3, 3, 3), mode="replicate")
        image = F.conv2d(image, _bell(sigma_x).view(1, 1, 1, 7).expand(3, 1, 1, 7), groups=3)
        return F.conv2d(image, _bell(sigma_y).view(1, 1, 7, 1).expand(3, 1, 7, 1), groups=3)

    def _blocks(self, image):
        """Quantises the cosine coefficients of 8x8 blocks, as lossy picture formats do."""
        n, c, h, w = image.shape
        frequency = torch.arange(8.0).view(8, 1) + torch.arange(8.0).view(1, 8)
        step = (0.01 + 0.02 * frequency) * self.uniform(1, 0.3, 2.0).view(1, 1)
        step = step.view(64, 1, 1)
        planes = image.reshape(n * c, 1, h, w)
        coefficients = F.conv2d(planes, self.cosines, stride=8)
        coefficients = torch.round(coefficients / step) * step
        return F.conv_transpose2d(coefficients, self.cosines, stride=8).reshape(n, c, h, w)


def _bell(sigma):
    t = torch.arange(-3.0, 4.0)
    k = torch.exp(-0.5 * (t / sigma) ** 2)
    return k / k.sum()


def _cosine_matrix():
    """The 64 orthonormal 8x8 cosine tiles as convolution weights [64, 1, 8, 8]."""
    k = torch.arange(8.0)
    basis = torch.cos((2 * k.view(1, 8) + 1) * k.view(8, 1) * math.pi / 16) * 0.5
    basis[0] *= math.sqrt(0.5)
    return torch.einsum("iy,jx->ijyx", basis, basis).reshape(64, 1, 8, 8).contiguous()


def pool(painter, family_list, per_kind):
    """One shuffled pool of pictures: (pictures, kind, surface, ground, colour, mask)."""
    parts = [painter.paint(family, per_kind) for _, family in family_list]
    labels = torch.arange(len(family_list)).repeat_interleave(per_kind)
    order = torch.randperm(len(labels), generator=painter.rng)
    images, *rest = [torch.cat([part[i] for part in parts])[order] for i in range(5)]
    return images, labels[order], *rest
