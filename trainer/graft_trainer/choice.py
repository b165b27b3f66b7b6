"""Carries out a job's recipe, and for `auto` decides between several on the held-out bursts."""

from dataclasses import dataclass

from .fit import Fit, Outcome
from .judging import surely_better
from .recipes import Recipe, parse_recipe
from .session import Session

# What `auto` tries beside the head: the careful way for few pictures, and the one that gains most from many. On held-out
# bursts `full+live` was at or above `gradual+live` wherever both ran (docs/lab/offload.md).
AUTO = ("gradual", "full+live")


@dataclass(frozen=True)
class Choice:
    """`baseline` is the head alone; `chosen` what is returned, and `why`; `improved` whether it is more than the head."""

    baseline: Outcome
    tried: list[Outcome]
    chosen: Outcome
    why: str
    improved: bool


def carry_out(session: Session, recipe: Recipe, kept: dict[str, Outcome] | None = None) -> Choice:
    """Trains what the recipe asks for, the head first; `kept` holds outcomes of this session by recipe, and grows."""
    kept = {} if kept is None else kept
    names = ["head"]
    if recipe.kind == "auto":
        names += AUTO if recipe.norm == "plain" else (f"gradual+{recipe.norm}", f"full+{recipe.norm}")
    elif recipe.kind != "head":
        names.append(str(recipe))
    fits = {name: Fit(session, parse_recipe(name)) for name in names if name not in kept}
    for at, (name, fit) in enumerate(fits.items()):
        kept[name] = fit.run(_seconds_for(session, list(fits.values()), at))
    baseline, *tried = (kept[name] for name in names)
    if recipe.kind == "head":
        return Choice(baseline, [], baseline, "the recipe asks for the head alone", False)
    if recipe.kind == "auto":
        return _choose(session, baseline, tried)
    figures = f"{_figures(tried[0])} on held-out bursts, against {_figures(baseline)} of the head alone"
    return Choice(baseline, tried, tried[0], figures, tried[0].best.order > baseline.best.order)


def _seconds_for(session: Session, fits: list[Fit], at: int) -> float | None:
    """What one recipe may take of the job's seconds, from its beginning: what is left is shared by those not yet done.

    Time counts that was spent before a kill. The head's share is what it takes, which is next to nothing.
    """
    if session.job.seconds is None:
        return None
    left = session.job.seconds - sum(fit.elapsed for fit in fits)
    waiting = 1 if fits[at].recipe.kind == "head" else len(fits) - at
    return fits[at].elapsed + max(left, 1.0) / waiting


def _figures(outcome: Outcome) -> str:
    return f"accuracy {outcome.best.accuracy:.4f} and log-loss {outcome.best.loss:.4f}"


def _choose(session: Session, baseline: Outcome, tried: list[Outcome]) -> Choice:
    """The best of those that are surely better than the head; else the head.

    The best of many epochs on a few bursts flatters whatever was trained longer, so a difference must exceed one
    standard error (Breiman et al. 1984, the one-standard-error rule).
    """
    val = session.splits["val"]
    labels = val.labels.tolist()

    def right(outcome: Outcome) -> list[bool]:
        return [a == b for a, b in zip(outcome.best.predictions, labels)]

    reasons, chosen = [], baseline
    for outcome in tried:
        better, mean, error = surely_better(right(outcome), right(baseline), val.bursts)
        reasons.append(f"{outcome.recipe}: {_figures(outcome)}, {mean:+.4f} ± {error:.4f} against the head")
        if better and outcome.best.order > chosen.best.order:
            chosen = outcome
    because = (
        "the best of those better than the head by over one standard error"
        if chosen is not baseline
        else ("nothing was better than the head by over one standard error")
    )
    why = f"{chosen.recipe}: {because} (head: {_figures(baseline)}; {'; '.join(reasons)})"
    return Choice(baseline, tried, chosen, why, chosen is not baseline)
