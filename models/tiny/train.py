#!/usr/bin/env python3
"""Makes models/tiny.onnx from nothing: draws pictures, trains the network on them, writes the file.

    python3 models/tiny/train.py --out models/tiny.onnx --card models/tiny.toml    the shipped pair (9 CPU minutes)
    python3 models/tiny/train.py --quick --out /tmp/q.onnx                         a run of seconds

Needs PyTorch, numpy and onnx (Debian: python3-torch python3-onnx). One thread, CPU, seeded: the
same versions on the same kind of processor give the same file.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import network as net  # noqa: E402
import pictures  # noqa: E402
import probe  # noqa: E402
from card import write_card  # noqa: E402


def main():
    args = arguments()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    started = (time.time(), time.process_time())

    training, withheld = pictures.kinds()
    tiny = net.Tiny(len(training))
    print(f"{len(training)} kinds to train on, {len(withheld)} withheld, "
          f"{sum(p.numel() for p in tiny.parameters())} parameters, torch {torch.__version__}", flush=True)
    untrained = transfer(tiny, withheld, args)
    train(tiny, training, args)

    net.write_onnx(tiny, args.out, "graft models/tiny/train.py")
    with open(args.out, "rb") as file:
        content = file.read()
    figures = {"held_out_top1": held_out(tiny, training, args), **transfer(tiny, withheld, args),
               **{f"untrained_{key}": value for key, value in untrained.items()}, **pixels(withheld, args)}
    run = {"seed": args.seed, "steps": args.steps, "batch": args.batch, "kinds": len(training),
           "withheld_kinds": len(withheld), "torch": torch.__version__, "machine": platform.machine(),
           "wall_s": round(time.time() - started[0]), "level": round(args.level, 2),
           "cpu_s": round(time.process_time() - started[1])}
    report = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "run": run, "figures": figures}
    print(json.dumps(report, indent=1))
    if args.card:
        write_card(args.card, report)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="where the ONNX file goes")
    parser.add_argument("--card", help="where its card goes, with this run's figures")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3600, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.002, help="highest learning rate")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds")
    args = parser.parse_args()
    args.shots, args.asked = (4, 4) if args.quick else (20, 40)
    if args.quick:
        args.steps = 6
    return args


def train(tiny, training, args):
    """Kind is the task. What else is known about a picture (where the thing is, its surface, the
    ground, its colour) are side tasks that keep more in the features and, the mask above all, get
    the learning started."""
    guess = torch.nn.Linear(net.WIDTH, pictures.SURFACES + pictures.GROUNDS + 3)
    where = torch.nn.Conv2d(64, 16, 1)
    tiny.to(memory_format=torch.channels_last)
    parameters = [*tiny.parameters(), *guess.parameters(), *where.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, weight_decay=1e-2)
    warm_up, hits = max(1, args.steps // 40), []
    stream = batches(training, args, hits)
    tiny.train()
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / warm_up) * cosine(step / args.steps)
        images, kind, surface, ground, colour, mask = next(stream)
        inputs = net.normalise(images).contiguous(memory_format=torch.channels_last)
        features, logits, middle = tiny.forward_with_middle(inputs)
        loss = F.cross_entropy(logits, kind, label_smoothing=0.05)
        seen = F.pixel_shuffle(where(middle), 4)
        loss = loss + (0.5 + 2.5 * cosine(step / args.steps)) * F.binary_cross_entropy_with_logits(seen, mask / 255.0)
        side = guess(tiny.spread(features))
        loss = loss + 0.1 * F.cross_entropy(side[:, :pictures.SURFACES], surface, ignore_index=-1)
        loss = loss + 0.1 * F.cross_entropy(side[:, pictures.SURFACES:-3], ground)
        loss = loss + 0.5 * F.mse_loss(side[:, -3:], colour)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        hits.append(float((logits.argmax(1) == kind).float().mean()))
        if (step + 1) % 200 == 0:
            print(f"step {step + 1}/{args.steps} {images.shape[-1]} px top-1 {sum(hits[-200:]) / 200:.3f} "
                  f"cpu {time.process_time():.0f} s level {args.level:.2f}", flush=True)
    tiny.eval()
    tiny.to(memory_format=torch.contiguous_format)


def cosine(part):
    return 0.5 * (1 + math.cos(math.pi * part))


def batches(training, args, hits):
    """Endless batches of fresh pictures: half size for the first 75 % of the steps.

    Difficulty starts at almost nothing and rises, pool by pool, only while the network keeps up
    (more than half right in `hits`, its record by step): no step is spent on what cannot be learned yet.
    """
    small, full = pictures.Painter(net.SIZE // 2, args.seed), pictures.Painter(net.SIZE, args.seed + 1)
    args.level, seen = 0.05, 0
    while True:
        painter = small if len(hits) < 0.75 * args.steps else full
        recent = hits[seen:]
        if recent and sum(recent) > 0.5 * len(recent):
            args.level = min(1.0, args.level + 0.015)
        painter.level, seen = args.level, len(hits)
        pool = pictures.pool(painter, training, 2 if args.quick else 8)
        for start in range(0, len(pool[0]) - args.batch + 1, args.batch):
            yield tuple(column[start:start + args.batch] for column in pool)


def embed(tiny, images):
    """Features [n, width] and logits of u8 pictures, in evaluation mode."""
    tiny.eval()
    with torch.no_grad():
        parts = [tiny(net.normalise(images[i:i + 64])) for i in range(0, len(images), 64)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def held_out(tiny, training, args):
    """Top-1 on pictures of the training kinds from another stream of noise."""
    images, kind, *_ = pictures.pool(pictures.Painter(net.SIZE, args.seed + 1000), training, args.asked)
    return round(float((embed(tiny, images)[1].argmax(1) == kind).float().mean()), 4)


def withheld_sets(withheld, args):
    few = pictures.pool(pictures.Painter(net.SIZE, args.seed + 2000), withheld, args.shots)
    ask = pictures.pool(pictures.Painter(net.SIZE, args.seed + 3000), withheld, args.asked)
    return few[0], few[1], ask[0], ask[1]


def transfer(tiny, withheld, args):
    few, few_kind, ask, ask_kind = withheld_sets(withheld, args)
    return rate("features", embed(tiny, few)[0], few_kind, embed(tiny, ask)[0], ask_kind, args)


def pixels(withheld, args):
    """The same probes on 12 x 12 pixels, for comparison."""
    few, few_kind, ask, ask_kind = withheld_sets(withheld, args)
    small = [F.adaptive_avg_pool2d(net.normalise(p), 12).flatten(1) for p in (few, ask)]
    return rate("pixels", small[0], few_kind, small[1], ask_kind, args)


def rate(name, few, few_kind, ask, ask_kind, args):
    return {f"{name}_probe_withheld": round(probe.all_kinds(few, few_kind, ask, ask_kind), 4),
            f"{name}_probe_4_way": round(probe.small_tasks(few, few_kind, ask, ask_kind,
                                                           shots=min(10, args.shots)), 4)}


if __name__ == "__main__":
    main()
