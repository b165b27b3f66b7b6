"""What goes back: the file with its new weights, the head, golden vectors, figures."""

from typing import Any

import numpy as np
import torch

from . import __version__, norms, tensorfile
from .choice import Choice
from .classifier import Classifier
from .errors import BadJob
from .files import write_atomic, write_json
from .fit import Outcome, build
from .graph import read_graph
from .head import Head, encode_head
from .judging import confusion, interval
from .network import Network
from .pictures import normalise
from .recipes import parse_recipe
from .session import Session

GOLDEN = 16
# Largest difference between the engine and the file it wrote, as a share of the largest figure.
TOLERANCE = 1e-3


def predictions(session: Session, outcome: Outcome, split: str) -> list[int]:
    """Classes (among the present) that the outcome's best state gives for a split."""
    classifier = restored(session, outcome)
    return session.logits(classifier, session.source(classifier.network, None, split)).argmax(1).tolist()


def restored(session: Session, outcome: Outcome) -> Classifier:
    """The classifier in the outcome's best state."""
    classifier, _ = build(session, parse_recipe(outcome.recipe))
    classifier.load_state_dict(outcome.state)
    return classifier.eval()


def write_results(session: Session, choice: Choice) -> dict[str, Any]:
    """Writes `out/` and gives what stands in `metrics.json`, which is written last. Raises BadJob."""
    job, out = session.job, session.job.folder / "out"
    classifier = restored(session, choice.chosen).cpu()
    backbone = classifier.network.graph.with_weights(norms.file_weights(classifier.network))
    head = classifier.head(session.present, len(job.classes))
    write_atomic(out / "backbone.onnx", backbone)
    write_atomic(out / "head.safetensors", encode_head(head, job.classes))
    split = session.splits["val"] if len(session.splits["val"].labels) >= GOLDEN else session.splits["train"]
    inputs = normalise(split.pictures[:: max(len(split.pictures) // GOLDEN, 1)][:GOLDEN].cpu(), job.card)
    golden = _golden(backbone, session, head, inputs)
    with torch.no_grad():
        trained = classifier.network(inputs).numpy()
    difference = float(np.abs(trained - golden["embeddings"]).max() / max(np.abs(trained).max(), 1e-12))
    if not difference <= TOLERANCE:
        raise BadJob(
            f"the written backbone differs from the trained one by {difference:.2g}; please report this with the backbone"
        )
    write_atomic(out / "golden.safetensors", tensorfile.encode(golden, {"tensor": classifier.network.graph.features}))
    metrics = _metrics(session, choice)
    write_json(job.folder / "metrics.json", metrics)
    return metrics


def _golden(backbone: bytes, session: Session, head: Head, inputs: torch.Tensor) -> dict[str, np.ndarray]:
    """Inputs `[k, 3, size, size]`, embeddings `[k, width]` and logits `[k, classes]`, from the written file."""
    network = Network(read_graph(backbone, session.job.card.features), session.job.card.layout).eval()
    with torch.no_grad():
        embeddings = network(inputs).numpy()
    logits = embeddings.astype(np.float64) @ head.weight.T.astype(np.float64) + head.bias
    return {"inputs": inputs.numpy(), "embeddings": embeddings, "logits": logits.astype(np.float32)}


def figures(predictions: list[int], labels: list[int], bursts: list[str], names: list[str]) -> dict[str, Any]:
    """Accuracy with its interval, per class, and the confusion `[true][predicted]`."""
    right = [a == b for a, b in zip(predictions, labels)]
    table = confusion(predictions, labels, len(names))
    low, high = interval(right, bursts)
    return {
        "samples": len(labels),
        "bursts": len(set(bursts)),
        "accuracy": sum(right) / len(right),
        "interval": [low, high],
        "per_class": {
            name: {"samples": sum(row), "accuracy": row[at] / sum(row) if sum(row) else None}
            for at, (name, row) in enumerate(zip(names, table))
        },
        "classes": names,
        "confusion": table,
    }


def _metrics(session: Session, choice: Choice) -> dict[str, Any]:
    job, val = session.job, session.splits["val"]
    names = [job.classes[index] for index in session.present]

    def held_out(outcome: Outcome) -> dict[str, Any]:
        return {
            "recipe": outcome.recipe,
            "best_epoch": outcome.best_epoch,
            "loss": outcome.best.loss,
            "trained_parameters": outcome.trained,
            "seconds": round(outcome.seconds, 3),
            "ended": outcome.ended,
            **figures(outcome.best.predictions, val.labels.tolist(), val.bursts, names),
        }

    metrics = {
        "schema": 1,
        "job": job.id,
        "recipe": str(job.recipe),
        "chosen": choice.chosen.recipe,
        "why": choice.why,
        "improved": choice.improved,
        "baseline": held_out(choice.baseline),
        "result": held_out(choice.chosen),
        "epochs": {outcome.recipe: outcome.history for outcome in [choice.baseline, *choice.tried]},
        "stages": session.stage_count,
        "width": session.width,
        "seed": job.seed,
        "device": str(session.ranks.device),
        "processes": session.ranks.world,
        "engine": {"graft_trainer": __version__, "torch": torch.__version__},
    }
    test = session.splits["test"]
    if len(test.labels):
        metrics["test"] = {
            role: figures(predictions(session, outcome, "test"), test.labels.tolist(), test.bursts, names)
            for role, outcome in (("baseline", choice.baseline), ("result", choice.chosen))
        }
    return metrics
