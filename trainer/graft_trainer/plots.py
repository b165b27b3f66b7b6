"""Pictures of a job: learning curves of every recipe with its stages, the confusion, the comparison. Files are SVG.

matplotlib is asked for only here, and a host without it goes without pictures.
"""

from pathlib import Path
from typing import Any

from .progress import complain

try:
    import matplotlib

    matplotlib.use("Agg")
    # No dates and no random names in the files: the same figures give the same bytes.
    matplotlib.rcParams["svg.hashsalt"] = "graft"
    from matplotlib import pyplot
except ImportError:
    pyplot = None


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)


def draw_job(folder: Path, metrics: dict[str, Any]) -> None:
    """`plots/` of a job folder from its `metrics.json`."""
    if pyplot is None:
        complain("no plots: matplotlib is not installed (apt install python3-matplotlib)")
        return
    _learning_curves(folder / "plots" / "learning.svg", metrics)
    _confusion(folder / "plots" / "confusion.svg", metrics["result"])


def _learning_curves(path: Path, metrics: dict[str, Any]) -> None:
    """One column a recipe: losses above, held-out accuracy below; the ground says how many stages train."""
    recipes = {name: entries for name, entries in metrics["epochs"].items() if len(entries) > 1} or metrics["epochs"]
    figure, axes = pyplot.subplots(
        2, len(recipes), figsize=(4.5 * len(recipes), 5.5), sharex="col", sharey="row", squeeze=False
    )
    for column, (name, entries) in enumerate(recipes.items()):
        epochs = [entry["epoch"] for entry in entries]
        upper, lower = axes[0][column], axes[1][column]
        for key, label in (("loss", "training"), ("val_loss", "held out")):
            points = [(entry["epoch"], entry[key]) for entry in entries if entry[key] is not None]
            upper.plot(*zip(*points), marker=".", label=label)
        lower.plot(
            epochs, [entry["val_accuracy"] for entry in entries], marker=".", color="tab:green", label="held out"
        )
        lower.axhline(metrics["baseline"]["accuracy"], color="grey", linestyle="--", label="head alone")
        for entry in entries[1:]:
            for axis in (upper, lower):
                axis.axvspan(
                    entry["epoch"] - 1, entry["epoch"], color="tab:blue", alpha=0.05 * entry["depth"], linewidth=0
                )
        for entry in entries[1:]:
            if entry["depth"] != entries[entry["epoch"] - 1]["depth"]:
                upper.annotate(
                    f"stages 1–{entry['depth']}",
                    (entry["epoch"] - 1, 1),
                    xycoords=("data", "axes fraction"),
                    rotation=90,
                    va="top",
                    fontsize=7,
                )
        upper.set_title(name + (" (chosen)" if name == metrics["result"]["recipe"] else ""))
        lower.set_xlabel("epoch")
        upper.legend()
        lower.legend()
    axes[0][0].set_ylabel("log-loss, nats")
    axes[1][0].set_ylabel("accuracy on held-out bursts")
    _save(figure, path)


def _confusion(path: Path, result: dict[str, Any]) -> None:
    names, table = result["classes"], result["confusion"]
    side = 2.5 + 0.5 * len(names)
    figure, axis = pyplot.subplots(figsize=(side, side))
    shares = [[count / max(sum(row), 1) for count in row] for row in table]
    axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for at, row in enumerate(table):
        for to, count in enumerate(row):
            if count:
                axis.text(
                    to, at, str(count), ha="center", va="center", color="white" if shares[at][to] > 0.5 else "black"
                )
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(f"{result['recipe']}, held-out bursts")
    _save(figure, path)


def draw_comparison(path: Path, rows: list[dict[str, Any]]) -> None:
    """Accuracy of every recipe with its interval, and the seconds it took."""
    if pyplot is None:
        complain("no plots: matplotlib is not installed (apt install python3-matplotlib)")
        return
    figure, axis = pyplot.subplots(figsize=(7, 1 + 0.45 * len(rows)))
    for at, row in enumerate(rows):
        low, high = row["interval"]
        axis.plot([low, high], [at, at], color="tab:blue")
        axis.plot(row["accuracy"], at, "o", color="tab:blue")
        axis.annotate(
            f"{row['seconds']:.0f} s", (high, at), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.axvline(rows[0]["accuracy"], color="grey", linestyle="--")
    axis.set_yticks(range(len(rows)), [row["recipe"] for row in rows])
    axis.invert_yaxis()
    axis.set_xlabel("accuracy, 95 % interval")
    axis.margins(x=0.12)
    _save(figure, path)
