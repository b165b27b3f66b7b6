"""Training that is disturbed: killed, diverging, out of time."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT, make_folder

from graft_trainer import fit
from graft_trainer.choice import carry_out
from graft_trainer.cli import main
from graft_trainer.fit import Fit, Outcome, collapsed, rate_at
from graft_trainer.job import read_job
from graft_trainer.judging import Judged, interval, surely_better
from graft_trainer.progress import Progress
from graft_trainer.ranks import Ranks
from graft_trainer.recipes import parse_recipe
from graft_trainer.session import Session


def started(folder) -> Session:
    return Session(read_job(folder), Ranks(0, 1, torch.device("cpu")), Progress(None))


def result(folder) -> bytes:
    return (folder / "out" / "backbone.onnx").read_bytes() + (folder / "out" / "head.safetensors").read_bytes()


def test_a_killed_job_goes_on_and_ends_as_if_nothing_had_been(tmp_path):
    whole = make_folder(tmp_path / "whole", "auto", budget={"epochs": 8})
    main([str(whole)])
    folder = make_folder(tmp_path / "killed", "auto", budget={"epochs": 8})
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "trainer")}
    # Killed as soon as each of the two trained recipes is under way.
    for state in ("gradual.pt", "full+live.pt"):
        child = subprocess.Popen(
            [sys.executable, "-m", "graft_trainer", str(folder)], env=environment, stdout=subprocess.DEVNULL
        )
        before = time.monotonic()
        while not _epochs(folder / "state" / state) and child.poll() is None and time.monotonic() - before < 120:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it ended before it could be killed"
        assert not (folder / "metrics.json").exists()
    main([str(folder)])
    assert "resumed_at_epoch" in (folder / "log.jsonl").read_text()
    assert result(folder) == result(whole)
    epochs = [json.loads((f / "metrics.json").read_text())["epochs"] for f in (folder, whole)]
    assert epochs[0] == epochs[1]


def _epochs(path) -> int:
    try:
        return json.loads(torch.load(path, weights_only=True)["figures"])["epoch"]
    except FileNotFoundError:
        return 0


def test_state_of_another_job_does_not_count(tmp_path):
    folder = make_folder(tmp_path / "job")
    main([str(folder)])
    content = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**content, "seed": 5}))
    assert Fit(started(folder), parse_recipe("full")).epoch == 0
    (folder / "job.json").write_text(json.dumps(content))
    assert Fit(started(folder), parse_recipe("full")).epoch == 4
    (folder / "state" / "full.pt").write_bytes(b"damaged")
    assert Fit(started(folder), parse_recipe("full")).epoch == 0


@pytest.mark.parametrize("poison", ["rate", "not a number"])
def test_a_collapse_restores_the_best_state(tmp_path, monkeypatch, poison):
    folder = make_folder(tmp_path / "job", "full", budget={"epochs": 30})
    session = started(folder)
    training = Fit(session, parse_recipe("full"))
    if poison == "rate":
        monkeypatch.setitem(fit.RATE, "plain", 1e4)
    else:
        clean = training._epoch

        def poisoned(*arguments):
            losses = clean(*arguments)
            with torch.no_grad():
                training.classifier.linear.weight.fill_(float("nan"))
            return losses

        monkeypatch.setattr(training, "_epoch", poisoned)
    outcome = training.run()
    assert any(entry.get("collapsed") for entry in outcome.history) and "collapsed" in outcome.ended
    assert outcome.best_epoch == 0 and outcome.best.accuracy == outcome.history[0]["val_accuracy"]
    state = training.classifier.state_dict()
    assert all(torch.equal(value, outcome.state[name]) for name, value in state.items())
    json.dumps(outcome.history, allow_nan=False)


def test_what_a_collapse_is():
    best = Judged([], 0.9, 0.3)
    assert collapsed(Judged([], 0.5, 0.7), 0.5, best, 2)
    assert collapsed(Judged([], 0.9, float("nan")), 0.5, best, 2) and collapsed(best, float("inf"), best, 2)
    assert collapsed(Judged([], 0.75, 3.0), 0.5, best, 2)
    assert not collapsed(Judged([], 0.8, 0.6), 0.5, best, 2) and not collapsed(Judged([], 0.95, 3.0), 0.5, best, 2)


def test_the_budget_of_time_ends_it_and_its_schedule(tmp_path):
    folder = make_folder(tmp_path / "job", "full", budget={"epochs": 10000, "seconds": 2.0})
    outcome = Fit(started(folder), parse_recipe("full")).run(2.0)
    assert outcome.ended in ("the time is over", "no better for 3334 epochs") and outcome.history[-1]["epoch"] < 10000


def test_the_rate_rises_then_falls_to_nothing():
    rates = [rate_at(step / 100) for step in range(1, 101)]
    assert (
        rates[0] < rates[4]
        and max(rates) == rates[4]
        and rates[4:] == sorted(rates[4:], reverse=True)
        and rates[-1] < 1e-6
    )


def test_it_ends_when_nothing_gets_better(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "job", "full", budget={"epochs": 30})
    monkeypatch.setitem(fit.RATE, "plain", 0.0)
    outcome = Fit(started(folder), parse_recipe("full")).run()
    assert outcome.ended == "no better for 10 epochs" and outcome.history[-1]["epoch"] == 10


def test_frozen_layers_are_computed_once(tmp_path):
    session = started(make_folder(tmp_path / "job", "partial:1"))
    training = Fit(session, parse_recipe("partial:1"))
    source = session.source(training.classifier.network, training.stages[0].start, "train")
    indices = torch.arange(8)
    first = source.varied(indices, 0, 0, 0, 1)
    with torch.no_grad():
        training.classifier.network.weight("stem.weight").zero_()
    assert torch.equal(source.varied(indices, 0, 1, 0, 1), first)
    # Not to be held in memory: computed each time.
    source.capacity = 0
    assert not torch.allclose(source.varied(indices, 0, 1, 0, 1), first)


def test_intervals_count_bursts():
    right = [True] * 90 + [False] * 10
    wide = interval(right, [str(at // 10) for at in range(100)])
    narrow = interval(right, [str(at) for at in range(100)])
    assert wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1]
    # Wilson's own figures for 90 of 100 at 95 %.
    assert np.allclose(narrow, (0.8256, 0.9448), atol=1e-4)


def test_better_by_chance_is_not_surely_better():
    bursts = [str(at) for at in range(20)]
    same = [True] * 15 + [False] * 5
    assert not surely_better(same, same, bursts)[0]
    assert surely_better([True] * 20, same, bursts)[0]
    # One burst more is one standard error exactly.
    assert not surely_better([True] * 16 + [False] * 4, same, bursts)[0]


def test_gradual_frees_from_the_top_down(tmp_path):
    folder = make_folder(tmp_path / "job", "gradual", per_class=32, budget={"epochs": 2})
    training = Fit(started(folder), parse_recipe("gradual"))
    before = {name: value.clone() for name, value in training.classifier.state_dict().items()}
    network = training.classifier.network
    training.run()
    moved = {
        name: not torch.equal(network.weight(name), before[f"network.{network._slots[name]}"])
        for name in ("inner.weight", "pointwise.weight", "stem.weight")
    }
    assert moved == {"inner.weight": True, "pointwise.weight": True, "stem.weight": False}


def test_auto_keeps_the_head_unless_another_is_surely_better(tmp_path):
    session = started(make_folder(tmp_path / "job", "auto", per_class=64))
    labels = session.splits["val"].labels.tolist()

    def outcome(name: str, wrong_bursts: int) -> Outcome:
        wrong = set(sorted(set(session.splits["val"].bursts))[:wrong_bursts])
        predictions = [
            (label + 1) % 3 if burst in wrong else label
            for label, burst in zip(labels, session.splits["val"].bursts, strict=True)
        ]
        accuracy = sum(a == b for a, b in zip(predictions, labels, strict=True)) / len(labels)
        return Outcome(name, {}, Judged(predictions, accuracy, 0.5), 3, [], 1.0, 10, "")

    assert len(set(session.splits["val"].bursts)) == 12
    kept = {"head": outcome("head", 4), "gradual": outcome("gradual", 3), "full+live": outcome("full+live", 4)}
    choice = carry_out(session, parse_recipe("auto"), kept)
    assert choice.chosen.recipe == "head" and not choice.improved and "nothing was better" in choice.why
    kept["full+live"] = outcome("full+live", 1)
    choice = carry_out(session, parse_recipe("auto"), kept)
    assert choice.chosen.recipe == "full+live" and choice.improved


def test_the_recipes_of_auto_share_the_time(tmp_path, monkeypatch):
    session = started(make_folder(tmp_path / "job", "auto", budget={"seconds": 100.0}))
    given = {}

    def run(training, seconds):
        given[str(training.recipe)] = seconds
        training.elapsed += 10.0
        judged = Judged(session.splits["val"].labels.tolist(), 1.0, 0.1)
        return Outcome(str(training.recipe), {}, judged, 0, [], 10.0, 1, "")

    monkeypatch.setattr(Fit, "run", run)
    monkeypatch.setattr(Fit, "_resume", lambda training: setattr(training, "elapsed", 6.0 if training.phases else 0.0))
    carry_out(session, parse_recipe("auto"))
    # 12 s were spent before a kill; the head leaves 78, of which the first takes its half and, with it, what it had.
    assert given == {"head": 88.0, "gradual": 6 + 78 / 2, "full+live": 6 + 68.0}
