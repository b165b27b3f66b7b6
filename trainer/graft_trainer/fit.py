"""Trains one recipe: from the probe to the best state that the held-out bursts have seen."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from . import norms
from .checkpoint import Checkpoint
from .classifier import Classifier
from .judging import Judged
from .network import Network
from .recipes import Phase, Recipe
from .session import Session
from .source import Source, balanced_order, seeded
from .stages import Stage

BATCH = 32
# SGD with Nesterov momentum. Normalised layers bear, and want, a larger rate.
RATE = {"plain": 0.01, "frozen": 0.01, "live": 0.03}
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4
LABEL_SMOOTHING = 0.05
CLIP_NORM = 1.0
WARM_UP_SHARE = 0.05
# Without a budget of epochs: at least so many, and more for small sets, until about so many steps or the cap.
EPOCHS, STEPS, MAX_EPOCHS = 15, 240, 40
# Epochs without a better state before a recipe ends, as a share of its epochs.
PATIENCE_SHARE = 1 / 3
# Pictures that give the statistics of live normalisation before judging.
SETTLING = 256
# A collapse restores the best state at this share of the rate; after so many the recipe ends.
COLLAPSE_FACTOR, MAX_COLLAPSES = 0.3, 3


@dataclass
class Outcome:
    """What a recipe came to. `state` is of the best epoch (0: the start); `history` has one entry an epoch."""

    recipe: str
    state: dict[str, torch.Tensor]
    best: Judged
    best_epoch: int
    history: list[dict[str, Any]]
    seconds: float
    trained: int
    ended: str


def rate_at(share: float) -> float:
    """Factor of the rate when `share` of the training is over: linear warm-up, then a half cosine."""
    return min(share / WARM_UP_SHARE, 1.0) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def collapsed(now: Judged, train_loss: float, best: Judged, classes: int) -> bool:
    """Not finite, or most of what the best state knew beyond chance is gone, or the loss runs away."""
    if not math.isfinite(train_loss) or not math.isfinite(now.loss):
        return True
    chance = 1 / classes
    lost = best.accuracy > chance and now.accuracy <= chance + 0.25 * (best.accuracy - chance)
    return lost or (now.loss > 2 * best.loss + 1 and now.accuracy < best.accuracy - 0.1)


def build(session: Session, recipe: Recipe) -> tuple[Classifier, list[Stage]]:
    """The classifier at the recipe's start, and its stages; the same for every call."""
    network = session.new_network()
    stages = session.stages_of(network)
    if recipe.kind == "scratch":
        _randomise(network, session.job.seed)
    network = network.to(session.ranks.device)
    trained = stages[: recipe.depth(len(stages))]
    if recipe.norm != "plain" and trained:
        norms.put_back(network, trained, session.calibration(), fresh=recipe.kind == "scratch")
    if recipe.norm == "live":
        network.live = norms.live_nodes(trained, network)
    return session.new_classifier(network, with_probe=recipe.kind != "scratch"), stages


def _randomise(network: Network, seed: int) -> None:
    """Random weights for layers of rectifiers (He et al. 2015); shifts 0, scales of normalisation 1."""
    generator = seeded(seed, 7)
    scales = {node.inputs[1] for node in network.graph.nodes if node.op == "BatchNormalization"}
    with torch.no_grad():
        for name in network.graph.weights:
            weight = network.weight(name)
            if weight.dim() > 1:
                fan_in = weight[0].numel() if weight.dim() > 2 else min(weight.shape)
                weight.copy_(torch.randn(weight.shape, generator=generator) * math.sqrt(2 / fan_in))
            else:
                weight.fill_(1.0 if name in scales else 0.0)


def _groups(classifier: Classifier, stages: list[Stage], recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by stage, the head first, with their share of the rate; weight decay for matrices alone."""
    network = classifier.network
    members: list[tuple[int, list[nn.Parameter]]] = [(0, list(classifier.linear.parameters()))]
    for stage in stages[: recipe.depth(len(stages))]:
        replaced = {node.inputs[2] for node in stage.nodes if network.norm_of(node) is not None}
        parameters = [network.weight(name) for name in stage.weights if name not in replaced]
        for node in stage.nodes:
            norm = network.norm_of(node)
            parameters += list(norm.parameters()) if norm is not None else []
        members.append((stage.number, parameters))
    groups = []
    for stage, parameters in members:
        for decayed in (True, False):
            chosen = [p for p in parameters if (p.dim() > 1) == decayed]
            if chosen:
                decay = WEIGHT_DECAY if decayed else 0.0
                groups.append({"params": chosen, "stage": stage, "share": recipe.rate(stage), "weight_decay": decay})
    return groups


class Fit:
    """One recipe in the making; begins where a killed run of it was."""

    def __init__(self, session: Session, recipe: Recipe):
        self.session, self.recipe = session, recipe
        self.seconds: float | None = None
        self.classifier, self.stages = build(session, recipe)
        samples = len(session.splits["train"].labels)
        self.batch = max(min(BATCH, samples) // session.ranks.world, 1) * session.ranks.world
        self.steps_an_epoch = max(samples // self.batch, 1)
        self.epochs = session.job.epochs or min(max(EPOCHS, math.ceil(STEPS / self.steps_an_epoch)), MAX_EPOCHS)
        self.phases = recipe.phases(len(self.stages), self.epochs)
        groups = _groups(self.classifier, self.stages, recipe)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimiser = torch.optim.SGD(groups, lr=RATE[recipe.norm], momentum=MOMENTUM, nesterov=True)
        self.amp = session.ranks.device.type == "cuda"
        # Where torch keeps it since 2.3, and where before.
        self.scaler = getattr(torch.amp, "GradScaler", torch.cuda.amp.GradScaler)(enabled=self.amp)
        self.checkpoint = Checkpoint(session.job.folder, str(recipe), session.job.fingerprint)
        self.epoch = self.collapses = 0
        self.elapsed, self.history, self.ended = 0.0, [], ""
        self.best: Judged | None = None
        self.best_epoch, self.best_state = 0, {}
        self._resume()
        self.steps = self.steps_an_epoch * sum(phase.epochs for phase in self.phases)
        session.progress.plan(self.steps, self.epoch * self.steps_an_epoch)

    def run(self, seconds: float | None = None) -> Outcome:
        """Trains until the epochs, the patience or `seconds` (those before a kill count) are over."""
        self.seconds = seconds
        if self.best is None:
            self._start()
        end = 0
        for phase in self.phases:
            end += phase.epochs
            if self.epoch < end and not self.ended:
                self._phase(phase, end)
        self.session.progress.skip(self.steps - self.epoch * self.steps_an_epoch)
        if not self.ended:
            self.ended = "all epochs done" if self.phases else "nothing of the backbone trains"
            self._save()
        trained = sum(p.numel() for p in self.parameters)
        return Outcome(
            str(self.recipe),
            self.best_state,
            self.best,
            self.best_epoch,
            self.history,
            self.elapsed,
            trained,
            self.ended,
        )

    def _stage(self, depth: int) -> str:
        return f"{self.recipe} {depth}/{len(self.stages)}"

    def _start(self) -> None:
        began = time.monotonic()
        judged = self.session.judged(self.classifier, self.session.source(self.classifier.network, None, "val"), "val")
        # The probe is the whole of the recipe `head`, and given to the others.
        self.elapsed = time.monotonic() - began + (0 if self.phases else self.session.probe_seconds)
        self._take_best(self.session.ranks.agree(judged))
        self.history = [
            {"epoch": 0, "depth": 0, "loss": None, "val_accuracy": judged.accuracy, "val_loss": judged.loss}
        ]
        self.session.progress.last_accuracy = judged.accuracy
        self.session.progress.say(0, self._stage(0), None)
        self._save()

    def _take_best(self, judged: Judged) -> None:
        self.best, self.best_epoch = judged, self.epoch
        self.best_state = {name: value.detach().cpu().clone() for name, value in self.classifier.state_dict().items()}

    def _phase(self, phase: Phase, end: int) -> None:
        """Epochs with the same layers free, up to epoch `end`."""
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(group["stage"] <= phase.depth)
        optimised = {id(parameter) for parameter in self.parameters}
        for parameter in self.classifier.parameters():
            if id(parameter) not in optimised:
                parameter.requires_grad_(False)
        start = self.stages[phase.depth - 1].start
        train, val = (self.session.source(self.classifier.network, start, split) for split in ("train", "val"))
        wrapped = self.session.ranks.wrap(self.classifier)
        while self.epoch < end and not self.ended:
            began = time.monotonic()
            losses = self._epoch(phase, wrapped, train)
            if self.classifier.network.live:
                norms.settle(self.classifier.network, train.start, self._settling(train))
            judged = self.session.judged(self.classifier, val, "val")
            self.elapsed += time.monotonic() - began
            self.epoch += 1
            judged, losses, self.elapsed = self.session.ranks.agree((judged, losses, self.elapsed))
            self._weigh(phase, judged, losses)
            self._save()

    def _epoch(self, phase: Phase, wrapped: nn.Module, train: Source) -> list[float]:
        """One pass; gives the loss of each step."""
        split, ranks, progress = self.session.splits["train"], self.session.ranks, self.session.progress
        order = balanced_order(split.labels, self.session.classes, seeded(self.session.job.seed, 1, self.epoch))
        began, losses = time.monotonic(), []
        for step in range(self.steps_an_epoch):
            indices = order[step * self.batch : (step + 1) * self.batch]
            x = train.varied(indices, self.epoch, step, ranks.rank, ranks.world)
            labels = split.labels[indices[ranks.rank :: ranks.world]].to(ranks.device)
            self._set_rate(step, began)
            self.classifier.train()
            with torch.autocast(ranks.device.type, enabled=self.amp):
                logits = wrapped(x, train.start)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
            self.scaler.step(self.optimiser)
            self.scaler.update()
            losses.append(loss.detach())
            progress.step(self.epoch + 1, self._stage(phase.depth), float(loss) if progress.due() else None)
        return torch.stack(losses).tolist()

    def _settling(self, train: Source) -> Iterator[torch.Tensor]:
        """Batches like those of the last epoch, for the statistics that judging uses."""
        split, ranks = self.session.splits["train"], self.session.ranks
        order = balanced_order(split.labels, self.session.classes, seeded(self.session.job.seed, 4, self.epoch))
        for step, indices in enumerate(order[:SETTLING].split(self.batch)):
            yield train.varied(indices, self.epoch, step, ranks.rank, ranks.world)

    def _set_rate(self, step: int, began: float) -> None:
        share = (self.epoch * self.steps_an_epoch + step + 1) / self.steps
        if self.seconds is not None:
            # Where time runs out before the epochs do, the schedule ends with it.
            share = max(share, (self.elapsed + time.monotonic() - began) / self.seconds)
        factor = self.session.ranks.agree(rate_at(share)) if self.seconds is not None else rate_at(share)
        for group in self.optimiser.param_groups:
            group["lr"] = RATE[self.recipe.norm] * group["share"] * factor * COLLAPSE_FACTOR**self.collapses

    def _weigh(self, phase: Phase, judged: Judged, losses: list[float]) -> None:
        """After an epoch: is this the best state, a collapse, or the end?"""
        loss = sum(losses) / len(losses)
        finite = math.isfinite(loss) and math.isfinite(judged.loss)
        entry = {
            "epoch": self.epoch,
            "depth": phase.depth,
            "loss": loss if finite else None,
            "val_accuracy": judged.accuracy,
        }
        entry["val_loss"] = judged.loss if finite else None
        if collapsed(judged, loss, self.best, self.session.classes):
            self.collapses += 1
            entry["collapsed"] = True
            self.classifier.load_state_dict(self.best_state)
            self.optimiser.state.clear()
        elif judged.order > self.best.order:
            self._take_best(judged)
        self.history.append(entry)
        progress = self.session.progress
        progress.last_accuracy = judged.accuracy
        progress.say(self.epoch, self._stage(phase.depth), entry["loss"])
        progress.note({"recipe": str(self.recipe), "epoch": self.epoch, "step_losses": losses if finite else None})
        # Stages that are still to be freed get their turn.
        patience = math.ceil(self.epochs * PATIENCE_SHARE)
        freeing = self.recipe.kind == "gradual" and phase is not self.phases[-1]
        if self.collapses >= MAX_COLLAPSES:
            self.ended = f"collapsed {self.collapses} times; the best state is kept"
        elif self.seconds is not None and self.elapsed >= self.seconds:
            self.ended = "the time is over"
        elif not freeing and self.epoch - max(self.best_epoch, self.epochs - self.phases[-1].epochs) >= patience:
            self.ended = f"no better for {patience} epochs"

    def _save(self) -> None:
        if not self.session.ranks.leads:
            return
        tensors = {
            "classifier": self.classifier.state_dict(),
            "optimiser": self.optimiser.state_dict()["state"],
            "best": self.best_state,
        }
        figures = {
            "epoch": self.epoch,
            "best": asdict(self.best),
            "best_epoch": self.best_epoch,
            "scaler": self.scaler.state_dict(),
            "history": self.history,
            "elapsed": self.elapsed,
            "collapses": self.collapses,
            "ended": self.ended,
        }
        self.checkpoint.save(tensors, figures)

    def _resume(self) -> None:
        state = self.session.ranks.agree(self.checkpoint.load() if self.session.ranks.leads else None)
        if state is None:
            return
        tensors, figures = state
        self.classifier.load_state_dict(tensors["classifier"])
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": tensors["optimiser"]})
        self.scaler.load_state_dict(figures["scaler"])
        self.best, self.best_epoch, self.best_state = Judged(**figures["best"]), figures["best_epoch"], tensors["best"]
        self.epoch, self.history, self.elapsed = figures["epoch"], figures["history"], figures["elapsed"]
        self.collapses, self.ended = figures["collapses"], figures["ended"]
        self.session.progress.note({"recipe": str(self.recipe), "resumed_at_epoch": self.epoch})
