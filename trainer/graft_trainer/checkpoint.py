"""How far a recipe has come, on the disk: written whole after each epoch, so that a killed job goes on from there."""

import io
import json
from pathlib import Path
from typing import Any

import torch

from .files import write_atomic


class Checkpoint:
    """`state/<recipe>.pt` of a job folder. It counts for the same job alone."""

    def __init__(self, folder: Path, recipe: str, fingerprint: str):
        self.path = folder / "state" / f"{recipe.replace(':', '-')}.pt"
        self.fingerprint = fingerprint

    def save(self, tensors: dict[str, Any], figures: dict[str, Any]) -> None:
        """`tensors`: nested dictionaries of tensors; `figures`: what JSON can hold, as torch 1.13 reads no numbers safely."""
        buffer = io.BytesIO()
        text = json.dumps({**figures, "fingerprint": self.fingerprint})
        torch.save({"tensors": tensors, "figures": text}, buffer)
        write_atomic(self.path, buffer.getvalue())

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The last tensors (on the host) and figures; None when there are none for this job."""
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            figures = json.loads(state["figures"])
        except FileNotFoundError:
            return None
        except Exception:  # What torch raises for a damaged file is not documented; the recipe begins anew.
            return None
        return (state["tensors"], figures) if figures.pop("fingerprint") == self.fingerprint else None
