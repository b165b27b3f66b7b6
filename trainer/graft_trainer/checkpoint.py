"""How far a recipe has come, on the disk: written whole after each epoch, so that a killed job goes on from there."""

import io
from pathlib import Path
from typing import Any

import torch

from .files import write_atomic


class Checkpoint:
    """`state/<recipe>.pt` of a job folder. It counts for the same job and engine alone."""

    def __init__(self, folder: Path, recipe: str, fingerprint: str):
        self.path = folder / "state" / f"{recipe.replace(':', '-')}.pt"
        self.fingerprint = fingerprint

    def save(self, state: dict[str, Any]) -> None:
        """Tensors, numbers, text, lists and dictionaries."""
        buffer = io.BytesIO()
        torch.save({**state, "fingerprint": self.fingerprint}, buffer)
        write_atomic(self.path, buffer.getvalue())

    def load(self) -> dict[str, Any] | None:
        """The last state, on the host; None when there is none for this job."""
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # What torch raises for a file that is not one of its own is not documented.
            return None
        return state if state.get("fingerprint") == self.fingerprint else None
