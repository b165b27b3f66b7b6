#!/usr/bin/env python3
"""Times scikit-learn on one set of embeddings for `lab bench head`.

Standard input: a line of JSON {"n", "d", "optimum": the least known value of sum(loss) + |W|^2/2, "gap": how near to it,
"limit_s": CPU seconds for one fit}, then n x d numbers of f16, then n labels of u32.
Standard output: a list in JSON [{"peer", "ms", "gap", "reached"}]. Milliseconds are CPU time of this process, which has
one thread. "gap" is null where a peer has another objective.
"""
import os

for pool in ("OPENBLAS", "OMP", "MKL", "BLIS"):
    os.environ[f"{pool}_NUM_THREADS"] = "1"

import json
import sys
import time
import warnings

import numpy as np
import scipy.optimize
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
DEFAULT_TOL = 1e-4
minimize = scipy.optimize.minimize


class Watch:
    """Follows the L-BFGS of one fit: when it would have ended by default, and when it was near enough."""

    def __init__(self, optimum, gap, limit_s):
        self.target, self.optimum, self.limit = optimum * (1 + gap), optimum, limit_s
        self.default = self.near = None
        self.last = (0.0, float("inf"))

    def __call__(self, fun, x0, *args, **options):
        steepest = [float("inf")]

        def watched(*arguments):
            value, gradient = fun(*arguments)
            steepest[0] = np.abs(gradient).max()
            return value, gradient

        def after(intermediate_result):
            self.last = (time.process_time() - self.start, float(intermediate_result.fun))
            if self.default is None and steepest[0] <= DEFAULT_TOL:
                self.default = self.last
            if self.near is None and self.last[1] <= self.target:
                self.near = self.last
            if self.last[0] > self.limit or (self.near and self.default):
                raise StopIteration

        return minimize(watched, x0, *args, **{**options, "callback": after})

    def fit(self, x, y):
        scipy.optimize.minimize = self
        self.start = time.process_time()
        # The tolerance only says when to stop, which is done above.
        LogisticRegression(C=1.0, tol=1e-12, max_iter=100_000).fit(x, y)
        scipy.optimize.minimize = minimize

    def row(self, peer, found):
        seconds, value = found or self.last
        gap = value / self.optimum - 1
        return {"peer": peer, "ms": 1e3 * seconds, "gap": gap, "reached": found is not None}


def near(x, y, goal):
    """A fit in f32, as the embeddings come; where that stalls before it is near enough, one in f64."""
    watch = Watch(*goal)
    watch.fit(x, y)
    if watch.near or watch.last[0] > watch.limit:
        return watch, watch
    again = Watch(*goal)
    again.fit(x.astype(np.float64), y)
    return watch, again


def main():
    request = json.loads(sys.stdin.buffer.readline())
    n, d = request["n"], request["d"]
    x = np.frombuffer(sys.stdin.buffer.read(2 * n * d), dtype=np.float16).reshape(n, d).astype(np.float32)
    y = np.frombuffer(sys.stdin.buffer.read(4 * n), dtype=np.uint32)
    # scikit-learn minimises the mean.
    goal = (request["optimum"] / n, request["gap"], request["limit_s"])
    first, raw = near(x, y, goal)
    start = time.process_time()
    middle = x - x.mean(axis=0, dtype=np.float64).astype(np.float32)
    centring = time.process_time() - start
    _, centred = near(middle, y, goal)
    rows = [
        raw.row("sklearn-lbfgs-raw-1e-4", raw.near),
        centred.row("sklearn-lbfgs-centred-1e-4", centred.near),
        first.row("sklearn-lbfgs-raw-default", first.default),
    ]
    rows[1]["ms"] += 1e3 * centring
    del middle
    start = time.process_time()
    LinearDiscriminantAnalysis().fit(x, y)
    rows.append({"peer": "sklearn-lda", "ms": 1e3 * (time.process_time() - start), "gap": None, "reached": True})
    json.dump(rows, sys.stdout)


main()
