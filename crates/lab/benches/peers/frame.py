"""Times what happens to a 640 x 480 frame before the network, in graft and in OpenCV, in turn, on one core.

    python3 crates/lab/benches/peers/frame.py [--lab target/release/lab] [--rounds 5] [--core 1] [--json]

OpenCV resizes without antialiasing (INTER_LINEAR), as most programs do; graft with. Both crop the same centre square and
give 3 x 224 x 224 normalised floats. OpenCV's numbers come out of cv2.dnn.blobFromImage, its fastest way, which knows one
divisor for all three channels. Medians over the rounds of the median CPU milliseconds of a frame. Needs opencv-python-headless.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import cv2
import numpy

WIDTH, HEIGHT, SIDE = 640, 480, 224
# The square that a resize of the short side to 256 and a centre crop of 224 come to.
TOP, LEFT, SQUARE = 30, 110, 420


def milliseconds(work, times=60):
    taken = []
    for _ in range(times):
        start = time.thread_time()
        work()
        taken.append((time.thread_time() - start) * 1e3)
    return statistics.median(taken)


def picture():
    """Soft shapes and a little noise."""
    random = numpy.random.default_rng(1)
    soft = cv2.resize(random.integers(0, 255, (30, 40, 3), dtype=numpy.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return numpy.clip(soft + random.normal(0, 3, soft.shape), 0, 255).astype(numpy.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", default="target/release/lab", help="by `cargo build --release -p graft-lab`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    cv2.setNumThreads(1)
    rgb = picture()
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    yuyv = numpy.ascontiguousarray(rgb[:, :, :2])
    nv12 = numpy.ascontiguousarray(rgb.reshape(-1)[: WIDTH * HEIGHT * 3 // 2].reshape(HEIGHT * 3 // 2, WIDTH))
    decoders = {
        "yuyv": lambda: cv2.cvtColor(yuyv, cv2.COLOR_YUV2RGB_YUYV),
        "nv12": lambda: cv2.cvtColor(nv12, cv2.COLOR_YUV2RGB_NV12),
        "mjpeg": lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        "rgb": lambda: rgb,
    }

    def prepare(frame):
        crop = frame[TOP : TOP + SQUARE, LEFT : LEFT + SQUARE]
        small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        return cv2.dnn.blobFromImage(small, 1 / 58.0, (SIDE, SIDE), (123.7, 116.3, 103.5))

    found = {name: [] for name in decoders}
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(jpeg.tobytes())
        file.flush()
        for _ in range(args.rounds):
            command = [args.lab, "bench", "frame", "--jpeg", file.name, "--json", "--quiet"]
            ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"]
            for row in ours:
                decode = decoders[row["format"]]
                peer = milliseconds(lambda: prepare(decode()))
                found[row["format"]].append((row, milliseconds(decode), peer))
    rows = []
    for name, rounds in found.items():
        median = lambda pick: statistics.median(pick(*entry) for entry in rounds)
        rows.append({
            "format": name,
            "ours_decode_ms": median(lambda row, *_: row["decode_ms"]),
            # The look at the picture is no part of it: OpenCV has none.
            "ours_ms": median(lambda row, *_: row["all_ms"] - row["look_ms"]),
            "peer": f"opencv {cv2.__version__}",
            "peer_decode_ms": median(lambda _, decode, __: decode),
            "peer_ms": median(lambda *entry: entry[2]),
            "ratio": median(lambda row, _, peer: (row["all_ms"] - row["look_ms"]) / peer),
        })
        if not args.json:
            row = rows[-1]
            print(
                f"{name:6} ours {row['ours_ms']:.3f} (to RGB {row['ours_decode_ms']:.3f}) {row['peer']} {row['peer_ms']:.3f} "
                f"(to RGB {row['peer_decode_ms']:.3f}) ratio {row['ratio']:.2f}"
            )
    if args.json:
        print(json.dumps({"rows": rows}, indent=1))


main()
