"""Measures the running daemon on the drawn scene, 640 x 480 at 15 frames a second: memory, and time from frame to prediction.

    python3 crates/lab/benches/daemon.py FILE.onnx [--graft target/release/graft] [--lab target/release/lab] [--minutes 10] [--set KEY=VALUE …] [--json]

Every frame is kept and published (capture.ring_hz, predict.max_hz), to those who watch the socket; there is no broker. `overhead` is
what the age of a prediction exceeds a frame of the backbone alone by, medians both; the backbone is timed by `lab bench backbone`
at the same rate before and after: between two frames caches cool down. Clock times: they are only as good as the machine is idle.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time


def backbone_ms(lab, file):
    command = [lab, "bench", "backbone", file, "--frames", "60", "--threads", "1", "--hz", "15", "--json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"][0]["ours_ms"]


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--graft", default="target/release/graft", help="by `cargo build --release`")
    parser.add_argument("--lab", default="target/release/lab", help="by `cargo build --release -p graft-lab`")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    alone = [backbone_ms(args.lab, args.file)]
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "camera.source": "pattern", "camera.width": 640, "camera.height": 480, "camera.fps": 15,
            "backbone.file": os.path.abspath(args.file), "capture.ring_hz": 15, "predict.max_hz": 15,
            "store.dir": f"{folder}/state", "store.free_floor": "0 B", "socket.path": f"{folder}/graft.sock", "mqtt.enabled": "false",
            "log.level": "warn",
        }
        sets = [f"--set={key}={value}" for key, value in settings.items()] + [f"--set={text}" for text in args.set]
        config = f"{folder}/config.toml"
        open(config, "w").close()
        daemon = subprocess.Popen([args.graft, "run", "--config", config, *sets])
        watch = None
        try:
            while not os.path.exists(settings["socket.path"]):
                time.sleep(0.1)
                if daemon.poll() is not None:
                    raise SystemExit("the daemon did not start")
            watch = subprocess.Popen([args.graft, "watch", "--json", "--config", config, *sets], stdout=subprocess.PIPE, text=True)
            ages, infers, reused, end = [], [], 0, time.monotonic() + 60 * args.minutes
            for line in watch.stdout:
                message = json.loads(line)
                if message["type"] == "prediction":
                    ages.append(message["data"]["age_ms"])
                    infers.append(message["data"]["infer_ms"])
                    reused += message["data"].get("reused", False)
                if time.monotonic() > end:
                    break
            rss = resident_mb(daemon.pid)
        finally:
            for process in filter(None, [watch, daemon]):
                process.terminate()
                process.wait()
    alone.append(backbone_ms(args.lab, args.file))
    ages.sort()
    p50, p99 = statistics.median(ages), ages[int(len(ages) * 0.99)]
    row = {
        "file": os.path.basename(args.file), "predictions": len(ages), "reused": reused, "rss_mb": rss, "age_p50_ms": p50, "age_p99_ms": p99,
        "p99_to_p50": p99 / p50, "infer_p50_ms": statistics.median(infers), "backbone_ms": statistics.mean(alone),
        "overhead_ms": p50 - statistics.mean(alone),
    }
    if args.json:
        print(json.dumps(row, indent=1))
    else:
        print("\n".join(f"{key:14} {value:.2f}" if isinstance(value, float) else f"{key:14} {value}" for key, value in row.items()))


main()
