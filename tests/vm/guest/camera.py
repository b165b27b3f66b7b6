"""The V4L2 source on a real driver, inside the service's sandbox."""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import time
import zipfile
from kit import (HOST, code, configure, delivers, drop_in, figures, graft, journal, memory, need, no_drop_in, pid, scenario,
                 sh, status, until)
from package import CAMERA

QUIET = """[mqtt]
enabled = false
[store]
free_floor = "10 MB"
quota = "100 MB"
# A test picture stands still: all of it is kept, and not embedded again each time, which takes a second when emulated.
[capture]
skip_above = 1.0
[backbone]
change_gate = 3.0
"""
UNBIND = "/sys/bus/platform/drivers/vivid"
PLANES = "/dev/video1"


def camera(**settings):
    """The service with this camera; waits for its first frame."""
    settings = {"device": CAMERA, "width": 320, "height": 180, **settings}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    configure(f"[camera]\n{lines}{QUIET}")
    until("frames", delivers)


def control(name, value):
    """Sets a control of the driver whose name contains this."""
    listed = sh(f"v4l2-ctl -d {CAMERA} -l")
    found = re.search(rf"^\s*(\w*{name}\w*)\s+0x", listed, re.M)
    need(found, f"vivid has no control {name}: {listed}")
    sh(f"v4l2-ctl -d {CAMERA} -c {found[1]}={value}")


def probe(**settings):
    sets = " ".join(f"--set camera.{key}={value}" for key, value in {"device": CAMERA, **settings}.items())
    return graft(f"{sets} camera probe")


@scenario("cameras are listed by their lasting names")
def listing():
    found = {device["path"]: device for device in graft("camera list")}
    good = next(d for d in found.values() if d["by_id"] == CAMERA)
    need(good["kind"] == "capture" and not good["note"], str(good))
    need(any(f.startswith("YUYV 320x180 640x360") for f in good["formats"]), str(good["formats"]))
    other = found[PLANES]
    need(other["kind"] == "multi_planar" and "v4l2src" in other["note"], str(other))
    return f"{good['driver']}: {len(good['formats'])} formats"


@scenario("a node of several planes is refused with its recipe")
def planes():
    done, text = code(f"graft camera probe {PLANES}")
    need(done == 78 and "camera.source = \"pipe\"" in text and "gst-launch-1.0" in text, f"exit {done}: {text}")
    return text


def embeddings(folder, names):
    """Of pictures, by name; by the built-in backbone."""
    sh(f"graft embed --backbone {HOST}/tiny.onnx --images {folder} --out {folder}/x.npz")
    with zipfile.ZipFile(f"{folder}/x.npz") as archive:
        raw = archive.read("X.npy")
    header = struct.unpack("<H", raw[8:10])[0]
    shape = re.search(rb"\((\d+), (\d+)\)", raw[10:10 + header])
    rows, width = int(shape[1]), int(shape[2])
    flat = struct.unpack(f"<{rows * width}f", raw[10 + header:])
    return {name: flat[at * width:(at + 1) * width] for at, name in enumerate(sorted(names))}


def cosine(a, b):
    dot = lambda x, y: sum(p * q for p, q in zip(x, y))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


@scenario("every format gives the same picture")
def formats():
    sh("systemctl stop graft")
    folder = pathlib.Path("/tmp/snapshots")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    told = []
    sizes = {"rgb24": 3, "yuyv": 2, "nv12": 1.5, "i420": 1.5, "gray": 1}
    for name, bytes_per_pixel in sizes.items():
        # A wide one first: the driver has been seen to keep its rows for a narrow one.
        probe(format="yuyv", width=1280, height=720)
        seen = probe(format=name, width=640, height=360)
        code_ = re.search(r": (\w{3,4}) 640x360, (\d+) bytes a row, ([\d.]+)", seen["description"])
        need(code_ and seen["width"] == 640, seen["description"])
        need(seen["bytes"] >= 640 * 360 * bytes_per_pixel, str(seen))
        told.append(f"{code_[1]} {code_[2]} B/row {seen['fps']:.1f} fps")
        sh(f"graft --set camera.device={CAMERA} --set camera.format={name} --set camera.width=640 "
           f"--set camera.height=360 camera snapshot {folder}/{name}.jpg")
    seen = embeddings(folder, [f"{name}.jpg" for name in sizes])
    for name in ("yuyv", "nv12", "i420"):
        alike = cosine(seen["rgb24.jpg"], seen[f"{name}.jpg"])
        need(alike > 0.98, f"{name} is another picture than rgb24: cosine {alike:.3f}; {told}")
    return ", ".join(told)


@scenario("a format that is not there is refused, with those that are")
def no_mjpeg():
    done, text = code(f"graft --set camera.device={CAMERA} --set camera.format=mjpeg camera probe")
    need(done == 78 and "YUYV" in text and "camera.format" in text, f"exit {done}: {text}")
    return text[:120]


@scenario("the rate is set")
def rate():
    slow = probe(width=320, height=180, fps=10)
    need(8.5 < slow["fps"] < 11, str(slow))
    fast = probe(width=320, height=180, format="nv12")
    need(fast["fps"] > 20, str(fast))
    return f"10 asked: {slow['fps']:.1f}, 30 asked: {fast['fps']:.1f}"


@scenario("controls and a snapshot")
def controls():
    found = {c["name"]: c for c in graft(f"camera controls {CAMERA}")}
    need(found["brightness"]["maximum"] == 255, str(found.get("brightness")))
    need(found["test_pattern"]["menu"], "menus are not read")
    graft(f"camera snapshot --device {CAMERA} /tmp/one.jpg")
    need(pathlib.Path("/tmp/one.jpg").read_bytes()[:3] == b"\xff\xd8\xff", "no JPEG")
    return f"{len(found)} controls"


@scenario("controls are set, and recorded with samples")
def recorded():
    camera(controls=["brightness=99", "contrast=77", "no_such_control=1"])
    now = sh(f"v4l2-ctl -d {CAMERA} -C brightness,contrast")
    need("brightness: 99" in now and "contrast: 77" in now, now)
    need("no_such_control" in journal("-n 60"), "nobody warns of the unknown one")
    until("a label", lambda: code("graft label set recorded")[0] == 0)
    shutil.rmtree("/var/lib/graft/exports", ignore_errors=True)
    job = graft("dataset export")
    until("the export", lambda: list(pathlib.Path("/var/lib/graft/exports").glob("*/samples.jsonl")), every=0.3)
    text = sh("cat /var/lib/graft/exports/*/samples.jsonl")
    need("brightness=99" in text and "contrast=77" in text, text)
    graft("label undo")
    return re.search(r"vivid[^\"]*", text)[0]


@scenario("frames held for two minutes, memory and descriptors flat")
def held():
    camera(format="nv12", fps=30)
    time.sleep(30)
    before, at, first = memory(), time.monotonic(), figures()
    time.sleep(120)
    after, last = memory(), figures()
    seconds = time.monotonic() - at
    frames = sum(last[f'graft_frames_total{{result="{r}"}}'] - first[f'graft_frames_total{{result="{r}"}}']
                 for r in ("predicted", "dropped", "failed"))
    told = f"{frames / seconds:.1f} fps, {before[0]} to {after[0]} KiB, {before[1]} to {after[1]} descriptors"
    need(frames / seconds > 15 and after[0] - before[0] < 1024 and before[1] == after[1], told)
    return told


@scenario("another format and size")
def change():
    camera(format="yuyv", width=640, height=480)
    need("YUYV 640x480" in sh("journalctl -u graft -o cat -n 40 --no-pager"), "not negotiated")
    camera(format="nv12")
    need("NV12 320x180, 320 bytes a row" in sh("journalctl -u graft -o cat -n 40 --no-pager"), journal("-n 10"))


def lost_and_back(fault, mend=None, hold=0.0):
    """The camera fails and comes back: seconds until it was noticed, seconds until frames came again."""
    restarts = figures()["graft_camera_restarts_total"]
    fault()
    _, noticed = until("the loss", lambda: figures()["graft_camera_restarts_total"] > restarts or not delivers(), 30, 0.02)
    time.sleep(hold)
    if mend:
        mend()
    _, back = until("frames again", delivers, 60, 0.02)
    told = f"noticed in {noticed:.1f} s, back in {back:.1f} s"
    need(noticed <= 2 and back <= 3, told)
    return told


@scenario("vivid disconnects")
def disconnect():
    return lost_and_back(lambda: control("disconnect", 1))


@scenario("vivid breaks the stream for good")
def fatal():
    return lost_and_back(lambda: control("fatal_streaming", 1))


@scenario("vivid refuses a buffer")
def qbuf():
    return lost_and_back(lambda: control("qbuf_error", 1))


@scenario("vivid refuses to start once")
def streamon():
    def fault():
        control("streamon_error", 1)
        control("disconnect", 1)
    return lost_and_back(fault)


@scenario("frames marked as damaged are skipped")
def damaged():
    restarts = figures()["graft_camera_restarts_total"]
    for _ in range(5):
        control("buf_flag_error", 1)
        time.sleep(0.3)
    need("damaged" in journal("-n 30"), journal("-n 10"))
    need(figures()["graft_camera_restarts_total"] == restarts and delivers(), "the camera was opened again")


@scenario("lost buffers cost their frames only")
def dropped():
    restarts = figures()["graft_camera_restarts_total"]
    control("percentage_of_dropped", 50)
    time.sleep(10)
    control("percentage_of_dropped", 0)
    need(figures()["graft_camera_restarts_total"] == restarts and delivers(), "the camera was opened again")


@scenario("every buffer is lost: silence is noticed")
def silent():
    return lost_and_back(lambda: control("percentage_of_dropped", 100), lambda: control("percentage_of_dropped", 0), 3)


def write(path, text):
    pathlib.Path(path).write_text(text)


@scenario("the node vanishes and returns; nothing stale is labelled")
def vanish():
    before = status()["dataset"]["counts"]

    def gone():
        write(f"{UNBIND}/unbind", "vivid.0")

    def back():
        need(not os.path.exists(CAMERA), "the node did not vanish")
        done, text = code("graft label set stale")
        need(done == 69, f"a label without a camera: exit {done}: {text}")
        need(status()["dataset"]["counts"] == before, "a stale frame was stored")
        need("camera_lost" in status()["reasons"], str(status()["reasons"]))
        write(f"{UNBIND}/bind", "vivid.0")
    # Long enough for the waits between two attempts to have grown.
    told = lost_and_back(gone, back, 40)
    sh(f"udevadm settle; v4l2-ctl -d {CAMERA} -c osd_text_mode=2")
    return told


@scenario("faults by the dozen leave no descriptor behind")
def dozens():
    before = memory()
    for _ in range(24):
        restarts = figures()["graft_camera_restarts_total"]
        control("disconnect", 1)
        until("frames again", lambda: figures()["graft_camera_restarts_total"] > restarts and delivers(), 60)
    after = memory()
    told = f"24 times, {before[0]} to {after[0]} KiB, {before[1]} to {after[1]} descriptors"
    need(before[1] == after[1] and after[0] - before[0] < 4096, told)
    return told


@scenario("two programs, one camera: the holder is named")
def busy():
    done, text = code(f"graft camera probe {CAMERA}")
    need(done == 69 and f"graft (pid {pid()})" in text, f"exit {done}: {text}")
    sh("graft camera snapshot /tmp/two.jpg")
    sh("systemctl stop graft")
    other = subprocess.Popen(["v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-count=100000"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        sh("systemctl start graft")
        until("the daemon's word", lambda: "in use" in journal("-n 20"))
    finally:
        other.kill()
        other.wait()
    _, took = until("frames", delivers, 30)
    need(took <= 3, f"frames {took:.1f} s after the other program ended")
    return text[:160]


@scenario("a wrong group is named, with the remedy")
def group():
    done, text = code(f"runuser -u nobody -- graft camera probe {CAMERA}")
    need(done == 69 and "usermod -aG video" in text, f"exit {done}: {text}")
    sh(f"groupadd -f cameras; chgrp cameras {os.path.realpath(CAMERA)}; systemctl restart graft")
    try:
        until("the daemon's word", lambda: "may not be opened" in journal("-n 20"))
        said = [line for line in journal("-n 20").splitlines() if "may not be opened" in line][0]
        drop_in("group.conf", "[Service]\nSupplementaryGroups=cameras\n")
        sh("systemctl restart graft")
        until("frames by the remedy", delivers)
    finally:
        no_drop_in("group.conf")
        sh(f"chgrp video {os.path.realpath(CAMERA)}; systemctl restart graft")
    until("frames", delivers)
    need("ls -lL" in said and "SupplementaryGroups=" in said, said)
    return said
