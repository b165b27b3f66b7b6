"""The named shape families: each draws one kind of thing with free proportions.

A family is a function `(x, y, u) -> field`: `x`, `y` are coordinate planes [n, h, w] in which the
thing fills about the unit disc, `u` is a function that gives fresh uniform noise [n, 1, 1] in a
range, so that no two things of a kind are alike.
"""

import torch

from primitives import (TAU, around, box, common, cut, disc, ellipse, gear, polygon, segment, shell, star,
                        strokes, turn, union, wavy, wedge)

FAMILIES = {}


def family(function):
    FAMILIES[function.__name__] = function
    return function


def simple(name, function):
    FAMILIES[name] = function


simple("disc", lambda x, y, u: disc(x, y, u(0.8, 0.95)))
simple("ring", lambda x, y, u: shell(disc(x, y, 0.85), u(0.05, 0.1)))
simple("thick_ring", lambda x, y, u: shell(disc(x, y, 0.65), u(0.2, 0.3)))
simple("triangle", lambda x, y, u: polygon(x, y * u(0.85, 1.2), 3, 0.5))
simple("square", lambda x, y, u: box(x, y, 0.72, 0.72 * u(0.92, 1.08), 0, 0, u(0, 0.06)))
simple("pentagon", lambda x, y, u: polygon(x, y, 5, u(0.68, 0.76)))
simple("hexagon", lambda x, y, u: polygon(x, y, 6, u(0.74, 0.82)))
simple("triangle_frame", lambda x, y, u: shell(polygon(x, y, 3, 0.42), u(0.05, 0.1)))
simple("square_frame", lambda x, y, u: shell(box(x, y, 0.68, 0.68), u(0.06, 0.12)))
simple("hexagon_hole", lambda x, y, u: cut(polygon(x, y, 6, 0.8), disc(x, y, u(0.3, 0.5))))
simple("square_hole", lambda x, y, u: cut(box(x, y, 0.7, 0.7), disc(x, y, u(0.25, 0.45))))
simple("disc_square_hole", lambda x, y, u: cut(disc(x, y, 0.9), box(x, y, u(0.25, 0.4), 0.33)))
simple("star4", lambda x, y, u: star(x, y, 4, 1.0, u(0.25, 0.4)))
simple("star5", lambda x, y, u: star(x, y, 5, 1.0, u(0.38, 0.52)))
simple("star6", lambda x, y, u: star(x, y, 6, 1.0, u(0.45, 0.6)))
simple("star_many", lambda x, y, u: star(x, y, 12, 1.0, u(0.6, 0.75)))
simple("gear_coarse", lambda x, y, u: cut(gear(x, y, 8, 0.8, u(0.1, 0.16)), disc(x, y, u(0.2, 0.4))))
simple("gear_fine", lambda x, y, u: cut(gear(x, y, 18, 0.88, u(0.04, 0.08)), disc(x, y, u(0.2, 0.45))))
simple("trefoil", lambda x, y, u: wavy(x, y, 3, 0.72, u(0.2, 0.35)))
simple("flower5", lambda x, y, u: wavy(x, y, 5, 0.75, u(0.18, 0.3)))
simple("flower8", lambda x, y, u: cut(wavy(x, y, 8, 0.8, u(0.12, 0.2)), disc(x, y, u(0.15, 0.3))))
simple("plus", lambda x, y, u: union(box(x, y, 0.88, u(0.16, 0.28)), box(x, y, u(0.16, 0.28), 0.88)))
simple("saltire_thin", lambda x, y, u: union(box(*turn(x, y, u(0.5, 0.7)), 0.95, 0.09),
                                             box(*turn(x, y, -u(0.5, 0.7)), 0.95, 0.09)))
simple("bar", lambda x, y, u: box(x, y, 0.95, u(0.12, 0.28)))
simple("capsule", lambda x, y, u: segment(x, y, -0.6, 0, 0.6, 0, u(0.2, 0.36)))
simple("egg", lambda x, y, u: ellipse(x, y * (1.0 + 0.25 * x), 0.92, u(0.52, 0.68)))
simple("crescent", lambda x, y, u: cut(disc(x, y, 0.9), disc(x, y, u(0.72, 0.85), u(0.32, 0.48), 0)))
simple("half_disc", lambda x, y, u: common(disc(x, y, 0.95, 0, -0.4), -y - 0.4 + u(-0.05, 0.05)))
simple("open_disc", lambda x, y, u: cut(disc(x, y, 0.9), wedge(x, y, u(0.35, 0.7))))
simple("leaf", lambda x, y, u: common(disc(x, y, 1.1, u(0.5, 0.68), 0), disc(x, y, 1.1, -u(0.5, 0.68), 0)))
simple("hourglass", lambda x, y, u: common(x.abs() - y.abs() * u(0.7, 0.95) - 0.06, y.abs() - 0.85))
simple("dumbbell", lambda x, y, u: union(disc(x, y, u(0.28, 0.4), -0.6), disc(x, y, u(0.28, 0.4), 0.6),
                                         box(x, y, 0.6, u(0.07, 0.14))))
simple("dots3", lambda x, y, u: disc(*around(x, y, 3, u(0.5, 0.6)), u(0.25, 0.36)))
simple("dots5", lambda x, y, u: disc(*around(x, y, 5, u(0.6, 0.7)), u(0.18, 0.27)))
simple("spokes6", lambda x, y, u: union(shell(disc(x, y, 0.85), u(0.05, 0.1)),
                                        box(*around(x, y, 6, 0.42), u(0.04, 0.07), 0.42)))
simple("fan3", lambda x, y, u: cut(box(*around(x, y, 3, 0.5), u(0.18, 0.28), 0.45), disc(x, y, 0.12)))


@family
def hex_bolt(x, y, u):
    half, head = u(0.14, 0.2), u(0.3, 0.44)
    thread = half + 0.03 * torch.sin(y * u(28, 40)) * (y > 0.05)
    shaft = common(x.abs() - thread, box(x, y, 1.0, 0.65, 0, 0.3))
    return union(shaft, box(x, y, head, u(0.13, 0.2), 0, -0.5, 0.04))


@family
def dome_screw(x, y, u):
    half = u(0.09, 0.16) * (1.0 - 0.8 * ((y - 0.2) / 0.75).clamp(0, 1) ** 2)
    thread = half + 0.035 * torch.sin(y * u(30, 46)) * (y > -0.2)
    shaft = common(x.abs() - thread, box(x, y, 1.0, 0.72, 0, 0.24))
    return union(shaft, common(ellipse(x, y, u(0.34, 0.46), 0.38, 0, -0.45), y + 0.45))


@family
def nail(x, y, u):
    shaft = common(x.abs() - u(0.05, 0.08) * (1.0 - ((y - 0.7) / 0.25).clamp(0, 1)), y.abs() - 0.95)
    return union(shaft, box(x, y, u(0.18, 0.3), u(0.04, 0.07), 0, -0.9))


@family
def slot_head(x, y, u):
    return cut(disc(x, y, 0.88), box(x, y, 0.7, u(0.07, 0.13)))


@family
def cross_head(x, y, u):
    w = u(0.07, 0.13)
    return cut(disc(x, y, 0.88), box(x, y, 0.5, w), box(x, y, w, 0.5))


@family
def plate4(x, y, u):
    hole = disc(x.abs() - u(0.5, 0.6), y.abs() - u(0.3, 0.4), u(0.1, 0.16))
    return cut(box(x, y, 0.88, u(0.58, 0.75), 0, 0, 0.06), hole)


@family
def plate_slot(x, y, u):
    return cut(box(x, y, 0.9, u(0.4, 0.55), 0, 0, 0.1), segment(x, y, -0.4, 0, 0.4, 0, u(0.1, 0.18)))


@family
def key(x, y, u):
    w = u(0.06, 0.1)
    bow = shell(disc(x, y, u(0.22, 0.3), -0.6, 0), u(0.07, 0.11))
    bits = union(box(x, y, 0.06, 0.14, u(0.5, 0.6), 0.14), box(x, y, 0.06, 0.18, 0.82, 0.16))
    return union(bow, segment(x, y, -0.35, 0, 0.88, 0, w), bits)


@family
def spanner(x, y, u):
    r = u(0.28, 0.36)
    jaw = cut(disc(x, y, r, -0.62, 0), box(x, y, 0.3, r * 0.45, -0.85, 0))
    return union(jaw, box(x, y, 0.6, u(0.1, 0.15), 0.05, 0), cut(disc(x, y, 0.25, 0.7, 0), disc(x, y, 0.12, 0.7, 0)))


@family
def hook(x, y, u):
    r = u(0.38, 0.48)
    arc = common(shell(disc(x, y, r, 0, 0.4), 0.1), -y + 0.4)
    return union(arc, segment(x, y, r, 0.4, r, -0.85, 0.1), disc(x, y, 0.12, -r, 0.36))


@family
def spiral(x, y, u):
    r = torch.sqrt(x * x + y * y + 1e-9)
    turns = r * u(2.3, 3.0) - torch.atan2(y, x) / TAU
    band = (turns - torch.round(turns)).abs() * 0.36 - u(0.05, 0.08)
    return common(band, r - 0.92)


@family
def zigzag(x, y, u):
    t = x * u(1.6, 2.4)
    return common(((y - 0.8 * ((t - torch.round(t)).abs() * 2 - 0.5)).abs() - u(0.13, 0.2)) * 0.5, x.abs() - 0.92)


@family
def wave(x, y, u):
    return common(((y - u(0.3, 0.45) * torch.sin(x * u(5, 7))).abs() - u(0.12, 0.18)) * 0.55, x.abs() - 0.92)


@family
def coil(x, y, u):
    p = x * u(14, 20)
    return common(((y - 0.42 * torch.sin(p)).abs() - 0.16) * 0.3, x.abs() - 0.95, y.abs() - 0.5)


@family
def arrow(x, y, u):
    head = common(x.abs() - (y + 0.95) * u(0.75, 1.0), y + u(0.1, 0.3))
    return union(head, box(x, y, u(0.12, 0.2), 0.6, 0, 0.3))


@family
def arrow_thin(x, y, u):
    w, a = u(0.05, 0.09), u(0.35, 0.5)
    return union(segment(x, y, 0, -0.9, 0, 0.9, w), strokes(x, y, [(-a, -0.5), (0.0, -0.9), (a, -0.5)], w))


@family
def arrow_double(x, y, u):
    ya = y.abs()
    head = common(x.abs() - (0.95 - ya) * u(0.8, 1.1), 0.45 - ya)
    return union(head, box(x, y, u(0.1, 0.18), 0.55))


@family
def chevron(x, y, u):
    t = y - x.abs() * u(0.6, 0.95) + 0.35
    return common(t.abs() * 0.75 - u(0.16, 0.26), x.abs() - 0.85)


@family
def letter_t(x, y, u):
    w = u(0.1, 0.18)
    return union(box(x, y, 0.7, w, 0, -0.7), box(x, y, w, 0.8, 0, 0.05))


@family
def letter_l(x, y, u):
    w = u(0.1, 0.2)
    return union(box(x, y, w, 0.85, -0.45, 0), box(x, y, 0.55, w, 0, 0.68))


@family
def letter_u(x, y, u):
    r, w = u(0.45, 0.55), u(0.1, 0.18)
    arc = common(shell(disc(x, y, r, 0, 0.3), w), 0.3 - y)
    return union(arc, box(x.abs(), y, w, 0.56, r, -0.25))


@family
def letter_h(x, y, u):
    w = u(0.1, 0.18)
    return union(box(x.abs(), y, w, 0.85, 0.5, 0), box(x, y, 0.5, w))


@family
def letter_e(x, y, u):
    w = u(0.09, 0.15)
    bars = box(x, y - 0.72 * torch.round((y / 0.72).clamp(-1, 1)), 0.5, w, 0.05, 0)
    return union(box(x, y, w, 0.8, -0.45, 0), bars)


@family
def letter_n(x, y, u):
    w = u(0.09, 0.15)
    return strokes(x, y, [(-0.55, 0.8), (-0.55, -0.8), (0.55, 0.8), (0.55, -0.8)], w)


@family
def letter_k(x, y, u):
    w = u(0.09, 0.15)
    return union(segment(x, y, -0.45, -0.8, -0.45, 0.8, w), strokes(x, y, [(0.5, -0.8), (-0.4, 0.0), (0.5, 0.8)], w))


@family
def letter_p(x, y, u):
    w = u(0.09, 0.14)
    bowl = shell(ellipse(x, y, 0.55, 0.36, 0.05, -0.42), w)
    return union(segment(x, y, -0.45, -0.75, -0.45, 0.85, w), common(bowl, -x - 0.45))


@family
def comb(x, y, u):
    t = (x / 0.36).clamp(-2, 2)
    tine = box((t - torch.round(t)) * 0.36, y, u(0.06, 0.1), 0.6, 0, 0.15)
    return union(tine, box(x, y, 0.86, u(0.12, 0.2), 0, -0.55))


@family
def ladder(x, y, u):
    rung = box(x, y - 0.42 * torch.round((y / 0.42).clamp(-2, 2)), 0.45, u(0.05, 0.08))
    return union(rung, box(x.abs(), y, u(0.06, 0.1), 0.95, 0.45, 0))


@family
def bottle(x, y, u):
    body = box(x, y, u(0.32, 0.44), 0.55, 0, 0.38, 0.1)
    shoulder = common(x.abs() - 0.12 - (y + 0.45) * u(0.7, 1.1), box(x, y, 0.4, 0.25, 0, -0.2))
    return union(body, shoulder, box(x, y, u(0.1, 0.15), 0.35, 0, -0.58))


@family
def cup(x, y, u):
    bowl = common(x.abs() - u(0.5, 0.58) + (y + 0.7) * u(0.05, 0.2), y.abs() - 0.7)
    return union(bowl, cut(shell(ellipse(x, y, 0.35, 0.35, 0.5, 0), u(0.06, 0.1)), bowl))


@family
def fork(x, y, u):
    t = (x / 0.22).clamp(-1, 1)
    tine = box((t - torch.round(t)) * 0.22, y, u(0.04, 0.06), 0.35, 0, -0.6)
    return union(tine, box(x, y, 0.28, 0.1, 0, -0.22, 0.05), box(x, y, u(0.06, 0.1), 0.6, 0, 0.35))


@family
def spoon(x, y, u):
    return union(ellipse(x, y, u(0.24, 0.32), 0.38, 0, -0.55), box(x, y, u(0.05, 0.09), 0.6, 0, 0.35, 0.04))


@family
def heart(x, y, u):
    xa = x.abs()
    lobes = disc(xa, y, 0.45, 0.4, -0.3)
    return union(lobes, (xa + (y - 0.85) * u(0.6, 0.75)) * 0.75 + (y < -0.12) * 1.0)


@family
def drop(x, y, u):
    r = u(0.48, 0.58)
    return union(disc(x, y, r, 0, 0.35), common((x.abs() - (y + 0.95) * r * 0.78) * 0.8, y - 0.2))


@family
def bracket(x, y, u):
    w = u(0.12, 0.2)
    plate = union(box(x, y, w, 0.85, -0.6, 0), box(x, y, 0.75, w, 0.05, 0.68))
    return cut(plate, disc(x, y, 0.07, -0.6, -0.45), disc(x, y, 0.07, 0.5, 0.68))


@family
def chain(x, y, u):
    w = u(0.06, 0.1)
    links = shell(segment(x.abs(), y, 0.42, 0, 0.62, 0, 0.26), w)
    return union(links, box(x, y, 0.22, w))


@family
def fish(x, y, u):
    body = ellipse(x, y, 0.62, u(0.28, 0.4), -0.25, 0)
    tail = common(y.abs() - (x - 0.15) * u(0.6, 0.9), x - 0.9)
    return cut(union(body, tail), disc(x, y, 0.06, -0.6, -0.08))


@family
def tree(x, y, u):
    t = ((y + 0.95) / 0.5).clamp(0, 2.99)
    tier = x.abs() - (t - torch.floor(t)) * 0.45 - 0.08 - 0.08 * torch.floor(t)
    crown = common(tier * 0.7, box(x, y, 0.9, 0.72, 0, -0.22))
    return union(crown, box(x, y, u(0.08, 0.14), 0.25, 0, 0.7))


@family
def maze(x, y, u):
    m = torch.maximum(x.abs(), y.abs())
    t = m / 0.34
    band = (t - torch.round(t)).abs() * 0.34 - u(0.06, 0.09)
    door = box(x, y, 0.12, 0.5, 0, 0.5)
    return cut(common(band, m - 0.85), door)


# Kinds the training never sees; train.py measures how well a linear probe tells them apart.
WITHHELD = ("hexagon_hole", "dome_screw", "spanner", "star5", "plate4", "letter_k", "fork", "trefoil", "chain",
            "crescent", "arrow_thin", "gear_fine")
assert all(name in FAMILIES for name in WITHHELD)
