"""Recipes by name, and pictures as the boards see them."""

import numpy as np
import pytest
import torch
from conftest import draw

from graft_trainer.card import Card, crop_box, shrink
from graft_trainer.errors import BadJob
from graft_trainer.pictures import draw_variations, normalise, vary
from graft_trainer.recipes import Phase, parse_recipe
from graft_trainer.source import balanced_order, seeded

CARD = Card(224, 256, "center", (0.5,) * 3, (0.5,) * 3, None, 0, "nchw")


def test_recipes_by_name():
    for name in ("head", "partial:2", "gradual", "full", "full+live", "partial:1+frozen", "scratch", "auto"):
        assert str(parse_recipe(name)) == name
    assert str(parse_recipe("full+plain")) == "full" and parse_recipe("scratch").norm == "live"
    for name in ("partial", "partial:0", "full+", "Full", "gradual:2", ""):
        with pytest.raises(BadJob, match="unknown recipe"):
            parse_recipe(name)
    with pytest.raises(BadJob, match="names 4 stages, but this backbone has 3"):
        parse_recipe("partial:4").depth(3)


def test_what_trains_when():
    assert parse_recipe("head").phases(5, 9) == []
    assert parse_recipe("partial:2").phases(5, 9) == [Phase(2, 9)]
    assert parse_recipe("full").phases(5, 9) == [Phase(5, 9)]
    assert parse_recipe("gradual").phases(3, 9) == [Phase(1, 1), Phase(2, 1), Phase(3, 7)]
    assert parse_recipe("gradual").phases(5, 2) == [Phase(1, 1), Phase(2, 1)]
    assert parse_recipe("gradual").rate(3) == pytest.approx(1 / 2.6**2) and parse_recipe("gradual").rate(0) == 1
    assert parse_recipe("full").rate(3) == 1


def test_the_crop_is_that_of_the_boards():
    # The example of crates/backbone/src/preprocess.rs: 640×480 is resized to 341×256 and cut at (58, 16).
    assert crop_box(CARD, 640, 480) == (58 * 640 / 341, 30.0, 58 * 640 / 341 + 224 * 640 / 341, 450.0)
    whole = Card(224, 256, "stretch", (0.5,) * 3, (0.5,) * 3, None, 0, "nchw")
    assert crop_box(whole, 640, 480) == (0, 0, 640, 480)


def test_shrinking_averages_instead_of_skipping():
    from PIL import Image

    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::16] = 255
    small = np.asarray(shrink(Image.fromarray(stripes), (16, 16)))
    assert small.min() > 2 and small.max() < 30


def test_variations_stay_in_the_picture_and_follow_the_seed():
    pictures = torch.from_numpy(
        np.stack([np.asarray(draw(k, np.random.default_rng(k))).transpose(2, 0, 1).copy() for k in range(3)])
    )
    drawn = draw_variations(200, True, seeded(1))
    assert torch.equal(drawn, draw_variations(200, True, seeded(1)))
    width, height, x, y, mirror = drawn[:, :5].unbind(1)
    assert ((x.abs() + width) <= 1 + 1e-6).all() and ((y.abs() + height) <= 1 + 1e-6).all()
    assert (width * height).min() > 0.5 and set(mirror.tolist()) == {-1.0, 1.0}
    assert (draw_variations(200, False, seeded(1))[:, 4] == 1).all()
    neutral = torch.tensor([[1.0, 1, 0, 0, 1, 1, 1, 1]] * 3)
    torch.testing.assert_close(vary(pictures, neutral), pictures.float(), atol=1e-3, rtol=0)
    mirrored = neutral.clone()
    mirrored[:, 4] = -1
    torch.testing.assert_close(vary(pictures, mirrored), pictures.flip(3).float(), atol=1e-3, rtol=0)
    assert vary(pictures, drawn[:3]).min() >= 0 and vary(pictures, drawn[:3]).max() <= 255
    assert torch.allclose(normalise(torch.full((1, 3, 2, 2), 255), CARD), torch.ones(1))


def test_classes_come_equally_often_and_samples_before_repeats():
    labels = torch.tensor([0] * 90 + [1] * 10)
    order = balanced_order(labels, 2, seeded(4))
    assert len(order) == 100
    counts = torch.bincount(order, minlength=100)
    assert counts[90:].sum() == 50 and counts[90:].min() == counts[90:].max() == 5
    assert counts[:90].max() == 1
