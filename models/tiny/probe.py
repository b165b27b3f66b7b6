"""How well features carry over: linear probes on kinds that training never saw."""

import torch


def ridge(features, labels, classes, strength=1e-2):
    """Weights [width + 1, classes] of a ridge classifier on one-hot targets, in f64."""
    x = torch.cat([features.double(), torch.ones(len(features), 1, dtype=torch.double)], 1)
    y = torch.nn.functional.one_hot(labels, classes).double() * 2.0 - 1.0
    gram = x.T @ x
    gram += torch.eye(gram.shape[0], dtype=torch.double) * strength * gram.diagonal().mean()
    return torch.linalg.solve(gram, x.T @ y)


def accuracy(weights, features, labels):
    scores = features.double() @ weights[:-1] + weights[-1]
    return float((scores.argmax(1) == labels).double().mean())


def standardise(train, test):
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    return (train - mean) / deviation, (test - mean) / deviation


def all_kinds(train, train_labels, test, test_labels):
    """Top-1 of one probe over all withheld kinds."""
    classes = int(train_labels.max()) + 1
    train, test = standardise(train, test)
    return accuracy(ridge(train, train_labels, classes), test, test_labels)


def small_tasks(train, train_labels, test, test_labels, ways=4, shots=10, tasks=100, seed=1):
    """Mean top-1 of probes that learn `ways` random withheld kinds from `shots` pictures each."""
    rng = torch.Generator().manual_seed(seed)
    classes, total = int(train_labels.max()) + 1, 0.0
    for _ in range(tasks):
        chosen = torch.randperm(classes, generator=rng)[:ways]
        few, few_labels, ask, ask_labels = [], [], [], []
        for label, kind in enumerate(chosen.tolist()):
            rows = torch.nonzero(train_labels == kind)[:, 0]
            few.append(train[rows[torch.randperm(len(rows), generator=rng)[:shots]]])
            few_labels += [label] * shots
            rows = torch.nonzero(test_labels == kind)[:, 0]
            ask.append(test[rows])
            ask_labels += [label] * len(rows)
        a, b = standardise(torch.cat(few), torch.cat(ask))
        total += accuracy(ridge(a, torch.tensor(few_labels), ways), b, torch.tensor(ask_labels))
    return total / tasks
