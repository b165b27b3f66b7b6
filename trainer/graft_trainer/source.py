"""What a phase of training reads: tensors at the bottom of the trained stages, from varied or plain pictures."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .card import Card
from .network import Network
from .pictures import draw_variations, normalise, vary

# Pictures computed at a time where no gradient is needed.
CHUNK = 64


def seeded(*parts: int) -> torch.Generator:
    """A stream of its own for each place in a run, so that a resumed run draws what an uninterrupted one would."""
    seed = 0
    for part in parts:
        seed = (seed * 1_000_003 + part + 1) % (1 << 62)
    return torch.Generator().manual_seed(seed)


class Source:
    """Tensors at `start` for the pictures u8 `[n, 3, size, size]` of one split.

    What lies below `start` is frozen, so its output is computed once and kept: for the plain pictures, and for as many
    variations of all of them as `cache_bytes` holds; epochs take turns with those. None where even one does not fit.
    """

    def __init__(
        self, network: Network, start: str | None, pictures: Tensor, card: Card, flip: bool, seed: int, cache_bytes: int
    ):
        self.network, self.pictures, self.card, self.flip, self.seed = network, pictures, card, flip, seed
        self.start = None if start == network.graph.input else start
        self.views: dict[int, Tensor] = {}
        self._plain: Tensor | None = None
        self.capacity = 0
        if self.start is not None and len(pictures):
            one = self._below(normalise(pictures[:1], card)).numel() * 4 * len(pictures)
            self.capacity = max(cache_bytes // max(one, 1), 0)

    def _below(self, x: Tensor) -> Tensor:
        """The frozen part, in evaluation mode and without gradients."""
        if self.start is None:
            return x
        self.network.eval()
        with torch.no_grad():
            return self.network(x, stop=self.start)

    def varied(self, indices: Tensor, epoch: int, step: int, rank: int, world: int) -> Tensor:
        """This rank's share of the batch `indices`, varied for training."""
        mine = indices[rank::world]
        if self.capacity == 0:
            variations = draw_variations(len(indices), self.flip, seeded(self.seed, 2, epoch, step))[rank::world]
            return self._below(normalise(vary(self.pictures[mine], variations), self.card))
        view = epoch % self.capacity
        if view not in self.views:
            variations = draw_variations(len(self.pictures), self.flip, seeded(self.seed, 3, view))
            pairs = zip(self.pictures.split(CHUNK), variations.split(CHUNK))
            self.views[view] = torch.cat([self._below(normalise(vary(p, v), self.card)) for p, v in pairs])
        return self.views[view][mine]

    def plain(self) -> Iterator[Tensor]:
        """Batches of all pictures as the boards see them, in order."""
        if self.capacity == 0:
            yield from (self._below(normalise(part, self.card)) for part in self.pictures.split(CHUNK))
            return
        if self._plain is None:
            self._plain = torch.cat([self._below(normalise(part, self.card)) for part in self.pictures.split(CHUNK)])
        yield from self._plain.split(CHUNK)


def balanced_order(labels: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """Indices for one epoch, `[n]`: every class equally often, each sample of a class before any comes twice."""
    size = -(-len(labels) // classes)
    chosen = []
    for label in range(classes):
        members = (labels == label).nonzero().flatten()
        rounds = -(-size // len(members))
        chosen.append(
            torch.cat([members[torch.randperm(len(members), generator=generator)] for _ in range(rounds)])[:size]
        )
    picked = torch.cat(chosen)
    return picked[torch.randperm(len(picked), generator=generator)][: len(labels)]
