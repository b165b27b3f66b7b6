"""Recipes: which layers train when, at which rate, and what is done about batch normalisation."""

import re
from dataclasses import dataclass

from .errors import BadJob

# Each stage downwards learns this much slower (Howard & Ruder 2018, section 3.2).
STAGE_DECAY = 2.6
_GRAMMAR = re.compile(r"(head|gradual|full|scratch|auto|partial:([1-9][0-9]?))(?:\+(plain|frozen|live))?")


@dataclass(frozen=True)
class Phase:
    """A run of epochs during which the top `depth` stages train, with the head."""

    depth: int
    epochs: int


@dataclass(frozen=True)
class Recipe:
    """`norm`: `plain` leaves folded files as they are; `frozen` and `live` put batch normalisation back, with the
    statistics of the pretrained network or with those of each batch. Normalisation that the file has itself keeps its
    statistics but with `live`."""

    kind: str
    top: int
    norm: str

    def __str__(self) -> str:
        word = f"partial:{self.top}" if self.kind == "partial" else self.kind
        usual = "live" if self.kind == "scratch" else "plain"
        return word if self.norm == usual else f"{word}+{self.norm}"

    def depth(self, stages: int) -> int:
        """How many of the network's stages ever train. Raises BadJob when it has fewer than the recipe names."""
        if self.kind == "partial" and self.top > stages:
            raise BadJob(f"the recipe {self} names {self.top} stages, but this backbone has {stages}")
        return {"head": 0, "partial": self.top}.get(self.kind, stages)

    def phases(self, stages: int, epochs: int) -> list[Phase]:
        """What happens in `epochs` epochs."""
        depth = self.depth(stages)
        if depth == 0:
            return []
        if self.kind != "gradual":
            return [Phase(depth, epochs)]
        # One epoch for each stage on the way down, as far as they last; the rest with everything free.
        down = min(depth, epochs) - 1
        return [Phase(at, 1) for at in range(1, down + 1)] + [
            Phase(depth if epochs >= depth else down + 1, epochs - down)
        ]

    def rate(self, stage: int) -> float:
        """Factor of the learning rate of a stage; the head, stage 0, learns at 1."""
        return STAGE_DECAY ** -max(stage - 1, 0) if self.kind == "gradual" else 1.0


def parse_recipe(text: str) -> Recipe:
    """`head`, `partial:k`, `gradual`, `full`, `scratch` or `auto`, with `+frozen`, `+live` or `+plain` where wanted.

    Raises BadJob.
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise BadJob(
            f"unknown recipe {text!r}; it is head, partial:k, gradual, full, scratch or auto, "
            "with +live or +frozen for batch normalisation"
        )
    kind, top, norm = found.groups()
    # Random weights hardly train without normalisation: the control would only show that.
    usual = "live" if kind == "scratch" else "plain"
    return Recipe("partial" if top else kind, int(top or 0), norm or usual)
