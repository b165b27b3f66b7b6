"""Times backbones in graft and in onnxruntime, in turn, on one core: the table of docs/lab/performance.md.

    python3 crates/lab/benches/peers/compare.py FILE.onnx … [--lab target/release/lab] [--rounds 5] [--frames 20] [--core 1] [--json]

Each round runs every file first with graft and then with onnxruntime (A B A B …); medians over the rounds. Times are CPU
time of the computing thread, so that a busy machine disturbs them less; everything is pinned to one core. The files keep
their classifiers: what onnxruntime runs beyond the embedding is one small matrix product. OpenVINO, ncnn and TFLite read
other formats or are not installed here; they are not measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import numpy
import onnxruntime


class Peer:
    """onnxruntime with one thread."""

    name = f"onnxruntime {onnxruntime.__version__}"

    def __init__(self, file):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        entry = self.session.get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in entry.shape]
        self.feed = {entry.name: numpy.random.default_rng(1).uniform(-1, 1, shape).astype(numpy.float32)}
        self.session.run(None, self.feed)

    def milliseconds(self, frames):
        """Median CPU milliseconds of a frame."""
        times = []
        for _ in range(frames):
            start = time.thread_time()
            self.session.run(None, self.feed)
            times.append((time.thread_time() - start) * 1e3)
        return statistics.median(times)


def ours(lab, file, frames):
    command = [*lab, file, "--frames", str(frames), "--json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--lab", default="target/release/lab", help="by `cargo build --release -p graft-lab`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    rows = []
    for file in args.files:
        peer = Peer(file)
        rounds = []
        for _ in range(args.rounds):
            row = ours([args.lab, "bench", "backbone"], file, args.frames)
            rounds.append((row, peer.milliseconds(args.frames)))
        median = lambda pick: statistics.median(pick(row, theirs) for row, theirs in rounds)
        rows.append({
            "file": os.path.basename(file),
            "threads": 1,
            "engine": rounds[0][0]["engine"],
            "ours_ms": median(lambda row, _: row["ours_cpu_ms"]),
            "plain_tract_ms": median(lambda row, _: row["plain_tract_cpu_ms"]),
            "peer": Peer.name,
            "peer_ms": median(lambda _, theirs: theirs),
            "ratio": median(lambda row, theirs: row["ours_cpu_ms"] / theirs),
            "rss_mb": median(lambda row, _: row["rss_mb"]),
            "load_ms": median(lambda row, _: row["load_cpu_ms"]),
            "first_load_ms": median(lambda row, _: row["first_load_cpu_ms"]),
            "plain_load_ms": median(lambda row, _: row["plain_load_cpu_ms"]),
        })
        if not args.json:
            row = rows[-1]
            print(
                f"{row['file']:45} {row['engine']:8} ours {row['ours_ms']:7.2f} tract {row['plain_tract_ms']:7.2f} "
                f"onnxruntime {row['peer_ms']:7.2f} ratio {row['ratio']:5.2f}  load {row['load_ms']:5.0f} first {row['first_load_ms']:5.0f} / "
                f"{row['plain_load_ms']:5.0f} ms  {row['rss_mb']:4.0f} MB",
                flush=True,
            )
    if args.json:
        print(json.dumps({"rows": rows}, indent=1))


main()
