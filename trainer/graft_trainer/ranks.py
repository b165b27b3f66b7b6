"""Several processes on one job, started by `torchrun`; without it there is one. Rank 0 decides, writes and speaks."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from .errors import TryAgain


@dataclass(frozen=True)
class Ranks:
    """This process's number and how many there are."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def agree(self, value: Any) -> Any:
        """Rank 0's value, in every process."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0, device=self.device)
        return box[0]

    def wrap(self, classifier: nn.Module) -> nn.Module:
        """The module that averages gradients over the processes; wrap anew whenever other weights train."""
        if self.world == 1:
            return classifier
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(classifier, device_ids=devices)


def join_ranks(device: str) -> Ranks:
    """Reads what `torchrun` set and connects. `device` is `auto`, `cpu`, `cuda` or `cuda:N`. Raises TryAgain."""
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise TryAgain(f"unknown device {device!r}: give auto, cpu or cuda:0") from error
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise TryAgain(
                "this job asks for CUDA, which PyTorch does not find here; run it with --device cpu or on another host"
            )
        chosen = torch.device("cuda", local if world > 1 else chosen.index or 0)
        torch.cuda.set_device(chosen)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Ranks(int(os.environ.get("RANK", 0)), world, chosen)
