"""Two processes on one job, as `torchrun` starts them, on CPU through gloo."""

import json
import os
import subprocess

import pytest
import torch
from conftest import ROOT, make_folder, small_network

from graft_trainer.graph import read_graph
from graft_trainer.network import Network


def step_losses(folder) -> list[float]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [loss for entry in entries for loss in entry.get("step_losses") or []]


def launch(folder, processes: int) -> None:
    # Without --redirects and --tee, torchrun of Debian 12 (1.13 on Python 3.11) fails before it starts anything.
    torchrun = ["torchrun", "--standalone", "--nproc_per_node", str(processes), "--redirects", "2", "--tee", "2"]
    command = [*torchrun, "--log_dir", str(folder.parent / "logs"), "-m", "graft_trainer", str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "trainer"),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (folder / "metrics.json").exists(), done.stdout + done.stderr


def test_two_processes_compute_what_one_does(tmp_path):
    one = make_folder(tmp_path / "one", "gradual", budget={"epochs": 4})
    two = make_folder(tmp_path / "two", "gradual", budget={"epochs": 4})
    launch(one, 1)
    launch(two, 2)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    assert [m["processes"] for m in metrics] == [1, 2]
    # Each process sees half of each batch; gradients are averaged, so the weights, and with them what is judged, agree.
    for ours, theirs in zip(*(m["epochs"]["gradual"] for m in metrics)):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-3)
    assert len(step_losses(one)) == len(step_losses(two)) > 0


def test_half_precision_runs_through_every_layer():
    """Autocast as on CUDA, with the half precision that CPUs have."""
    network = Network(read_graph(small_network(), None))
    x = torch.rand(2, 3, 24, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(x)
    half.float().sum().backward()
    assert torch.allclose(half.float(), network(x), atol=0.1, rtol=0.1)
    assert all(parameter.grad is not None for parameter in network.parameters())
