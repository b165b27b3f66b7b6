"""A job that is being carried out: its pictures in memory, its ranks, and the probe that all recipes start from."""

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .classifier import Classifier
from .errors import BadJob
from .graph import read_graph
from .head import Head, read_head
from .job import Job
from .judging import Judged, judge
from .network import Network
from .pictures import load_pictures, normalise
from .probe import Probe, fit_probe
from .progress import Progress
from .ranks import Ranks
from .source import CHUNK, Source
from .stages import Stage, find_stages

# Kept outputs of frozen layers, a split.
CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Split:
    """Pictures u8 `[n, 3, size, size]` on the device, labels `[n]` among the present classes on the host, bursts."""

    pictures: Tensor
    labels: Tensor
    bursts: list[str]


class Session:
    """Reads everything that the recipes of a job share. Raises BadJob."""

    def __init__(self, job: Job, ranks: Ranks, progress: Progress):
        self.job, self.ranks, self.progress = job, ranks, progress
        self.probe_seconds = 0.0
        self.present = sorted({sample.class_index for sample in job.samples if sample.split == "train"})
        network = self.new_network()
        self.stage_count = len(find_stages(network, network.probe(job.card.size)))
        with torch.no_grad():
            self.width = network(torch.zeros(1, 3, job.card.size, job.card.size)).shape[1]
        self.board_head = read_head(job.folder / "head.safetensors", job.classes, self.width)
        self.splits = {split: self._split(split) for split in ("train", "val", "test")}

    def new_network(self) -> Network:
        """The backbone as the job brought it, on the host."""
        return Network(read_graph(self.job.backbone, self.job.card.features), self.job.card.layout)

    def stages_of(self, network: Network) -> list[Stage]:
        return find_stages(network, network.probe(self.job.card.size))

    def _split(self, split: str) -> Split:
        samples = [sample for sample in self.job.samples if sample.split == split]
        labels = torch.tensor([self.present.index(sample.class_index) for sample in samples], dtype=torch.int64)
        pictures = load_pictures(samples, self.job.card).to(self.ranks.device)
        return Split(pictures, labels, [sample.burst for sample in samples])

    @property
    def classes(self) -> int:
        """How many classes are present."""
        return len(self.present)

    def source(self, network: Network, start: str | None, split: str) -> Source:
        return Source(
            network, start, self.splits[split].pictures, self.job.card, self.job.flip, self.job.seed, CACHE_BYTES
        )

    def logits(self, classifier: Classifier, source: Source) -> Tensor:
        """`[n, present classes]` of the plain pictures of a source, on the host."""
        classifier.eval()
        with torch.no_grad():
            parts = [classifier(x, source.start).float().cpu() for x in source.plain()]
        return torch.cat(parts) if parts else torch.empty(0, self.classes)

    def judged(self, classifier: Classifier, source: Source, split: str) -> Judged:
        return judge(self.logits(classifier, source), self.splits[split].labels)

    @cached_property
    def probe(self) -> Probe:
        """The head alone on the backbone as it came, begun from the board's head."""
        began = time.monotonic()
        network = self.new_network().to(self.ranks.device).eval()

        def embeddings(split: str) -> Tensor:
            with torch.no_grad():
                rows = torch.cat([network(x).cpu() for x in self.source(network, None, split).plain()])
            if not bool(torch.isfinite(rows).all()):
                raise BadJob(
                    "backbone.onnx gives figures that are not finite for these pictures; does its card fit the file?"
                )
            return rows

        start = self.board_head
        if start is not None:
            start = Head(np.ascontiguousarray(start.weight[self.present]), start.bias[self.present])
        train, val = self.splits["train"], self.splits["val"]
        found = fit_probe(embeddings("train"), train.labels, embeddings("val"), val.labels, start)
        self.probe_seconds = time.monotonic() - began
        return self.ranks.agree(found)

    def new_classifier(self, network: Network, with_probe: bool) -> Classifier:
        """Backbone and head on the device; the head is the probe's, or nothing yet."""
        classifier = Classifier(network, self.width, self.classes)
        if with_probe:
            with torch.no_grad():
                classifier.linear.weight.copy_(self.probe.weight)
                classifier.linear.bias.copy_(self.probe.bias)
            classifier.centre.copy_(self.probe.centre)
            classifier.scale.copy_(self.probe.scale)
        return classifier.to(self.ranks.device)

    def calibration(self, pictures: int = 256) -> list[Tensor]:
        """Plain training pictures, spread evenly, for the statistics of normalisation."""
        every = self.splits["train"].pictures
        chosen = every[:: max(len(every) // pictures, 1)][:pictures]
        return [normalise(part, self.job.card) for part in chosen.split(CHUNK)]
