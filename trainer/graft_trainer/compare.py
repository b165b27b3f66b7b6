"""`graft-trainer compare`: every recipe on one job, judged on pictures that no choice was made on."""

from pathlib import Path
from typing import Any

from .choice import carry_out
from .files import write_json
from .job import read_job
from .judging import interval
from .plots import draw_comparison
from .progress import Progress, complain
from .ranks import join_ranks
from .recipes import parse_recipe
from .results import predictions
from .session import Session

RECIPES = (
    "head",
    "partial:1",
    "partial:2",
    "gradual",
    "gradual+live",
    "full",
    "full+frozen",
    "full+live",
    "scratch",
    "auto",
)


def compare(folder: Path, device: str | None, recipes: list[str]) -> list[dict[str, Any]]:
    """Runs the recipes, prints the table, writes `compare.json`, `compare.md` and `plots/compare.svg`. Raises BadJob.

    Training, early stopping and the choices of `auto` use `train` and `val`; the figures are those of `test`.
    """
    job = read_job(folder)
    wanted = [parse_recipe(name) for name in recipes]
    ranks = join_ranks(device or job.device)
    session = Session(job, ranks, Progress(folder / "log.jsonl" if ranks.leads else None))
    split = "test" if len(session.splits["test"].labels) else "val"
    if split == "val":
        complain("the job has no test split: figures are those of val, on which epochs were chosen, and too good")
    judged = session.splits[split]
    labels = judged.labels.tolist()
    wanted = [recipe for recipe in wanted if recipe.kind != "partial" or recipe.top <= session.stage_count]
    rows, kept = [], {}
    for recipe in wanted:
        choice = carry_out(session, recipe, kept)
        outcome = choice.chosen
        right = [a == b for a, b in zip(predictions(session, outcome, split), labels)]
        tried = {o.recipe: o for o in ([choice.baseline, *choice.tried] if recipe.kind == "auto" else [outcome])}
        rows.append(
            {
                "recipe": str(recipe) + (f" → {outcome.recipe}" if recipe.kind == "auto" else ""),
                "accuracy": sum(right) / len(right),
                "right": sum(right),
                "samples": len(right),
                "interval": list(interval(right, judged.bursts)),
                "val_accuracy": outcome.best.accuracy,
                "best_epoch": outcome.best_epoch,
                "epochs": outcome.history[-1]["epoch"],
                "seconds": round(sum(o.seconds for o in tried.values()), 1),
                "trained_parameters": outcome.trained,
                "why": choice.why,
            }
        )
    if ranks.leads:
        text = table(rows, split)
        print(text, flush=True)
        (folder / "compare.md").write_text(text + "\n", encoding="utf-8")
        write_json(folder / "compare.json", {"job": job.id, "split": split, "device": str(ranks.device), "rows": rows})
        draw_comparison(folder / "plots" / "compare.svg", rows)
    return rows


def table(rows: list[dict[str, Any]], split: str) -> str:
    """Markdown that lines up in a terminal too."""
    cells = [
        ["recipe", f"accuracy ({split})", "95 % interval", "held out (val)", "best epoch", "seconds", "trained weights"]
    ]
    for row in rows:
        low, high = row["interval"]
        cells.append(
            [
                row["recipe"],
                f"{row['accuracy']:.3f} ({row['right']}/{row['samples']})",
                f"[{low:.3f}, {high:.3f}]",
                f"{row['val_accuracy']:.3f}",
                f"{row['best_epoch']} of {row['epochs']}",
                f"{row['seconds']:.0f}",
                f"{row['trained_parameters']:,}".replace(",", " "),
            ]
        )
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
