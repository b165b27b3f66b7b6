#!/usr/bin/env python3
"""Teaches scikit-learn what `lab teach --peers` taught a board.

Standard input: a line of JSON {"d": width, "classes": how many, "draws": [{"n": taught, "m": judging}]}, then for each draw
n x d numbers of f16, n labels of u32, m x d numbers of f16, m labels of u32.
Standard output: a list in JSON, for each draw {"logistic": recalls, "lda": recalls, "mlp": recalls}, one recall a class, null
where nothing judges it.
"""
import os

for pool in ("OPENBLAS", "OMP", "MKL", "BLIS"):
    os.environ[f"{pool}_NUM_THREADS"] = "1"

import json
import sys
import warnings

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")


class Rotated:
    """A fit in the directions that the samples span: the same solution under an L2 penalty, in fewer numbers."""

    def __init__(self, model):
        self.model = model

    def fit(self, x, y):
        self.mean = x.mean(0)
        self.basis = np.linalg.svd(x - self.mean, full_matrices=False)[2].T
        self.model.fit((x - self.mean) @ self.basis, y)
        return self

    def predict(self, x):
        return self.model.predict((x - self.mean) @ self.basis)


def logistic(labels):
    """With its own cross-validation, where each class has two samples to divide."""
    folds = min(5, np.unique(labels, return_counts=True)[1].min())
    if folds < 2:
        return LogisticRegression(max_iter=300)
    return LogisticRegressionCV(Cs=10, cv=int(folds), max_iter=300)


def peers(labels):
    return {
        "logistic": Rotated(logistic(labels)),
        "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        "mlp": make_pipeline(StandardScaler(), MLPClassifier((128,), max_iter=300, random_state=0)),
    }


def recalls(model, taught, judging, classes):
    said = model.fit(*taught).predict(judging[0])
    of = [said[judging[1] == c] == c for c in range(classes)]
    return [float(right.mean()) if len(right) else None for right in of]


def read(rows, width):
    values = np.frombuffer(sys.stdin.buffer.read(2 * rows * width), np.float16).reshape(rows, width)
    return values.astype(np.float32), np.frombuffer(sys.stdin.buffer.read(4 * rows), np.uint32)


def main():
    head = json.loads(sys.stdin.buffer.readline())
    found = []
    for draw in head["draws"]:
        taught, judging = read(draw["n"], head["d"]), read(draw["m"], head["d"])
        models = peers(taught[1]).items()
        found.append({name: recalls(model, taught, judging, head["classes"]) for name, model in models})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
