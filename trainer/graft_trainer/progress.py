"""What a job says while it runs: one JSON object a line on standard output, and more of it in `log.jsonl`."""

import json
import sys
import time
from pathlib import Path

# At most one line in so many seconds between epochs.
INTERVAL_S = 2.0


class Progress:
    """Counts steps over all recipes of a job."""

    def __init__(self, log: Path | None):
        self.log = log
        self.steps = self.done = 0
        self._began, self._done_before, self._spoke = time.monotonic(), 0, 0.0
        self.last_accuracy: float | None = None

    def plan(self, steps: int, done: int = 0) -> None:
        """Adds a recipe's steps, of which some were made before an interruption."""
        self.steps += steps
        self.done += done
        self._done_before += done

    def skip(self, steps: int) -> None:
        """Steps that early stopping made needless."""
        self.steps -= steps

    def step(self, epoch: int, stage: str, loss: float | None) -> None:
        """One step was made; speaks when it is time to."""
        self.done += 1
        if time.monotonic() - self._spoke >= INTERVAL_S:
            self.say(epoch, stage, loss)

    def due(self) -> bool:
        """Whether the next step will speak, and so wants the loss."""
        return time.monotonic() - self._spoke >= INTERVAL_S

    def say(self, epoch: int, stage: str, loss: float | None) -> None:
        """The line of the contract; `stage` is the recipe, and how many of its stages train."""
        self._spoke = time.monotonic()
        made = self.done - self._done_before
        eta = (self._spoke - self._began) / made * (self.steps - self.done) if made else None
        line = {
            "step": self.done,
            "steps": self.steps,
            "epoch": epoch,
            "stage": stage,
            "loss": None if loss is None else round(loss, 6),
            "val_accuracy": self.last_accuracy,
            "eta_s": None if eta is None else round(max(eta, 0.0), 1),
        }
        if self.log is not None:
            print(json.dumps(line), flush=True)
        self.note(line)

    def note(self, entry: dict) -> None:
        """An entry of `log.jsonl`, with the time it was made (seconds since 1970)."""
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps({"time": round(time.time(), 3), **entry}) + "\n")


def complain(text: str) -> None:
    """One clear line for people."""
    print(f"graft-trainer: {' '.join(text.split())}", file=sys.stderr, flush=True)
