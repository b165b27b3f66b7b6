"""The unit under the real systemd."""
import ctypes
import json
import os
import pathlib
import re
import time
from camera import camera
from kit import (CONFIG, code, delivers, drop_in, graft, journal, need, no_drop_in, page, pid, properties, scenario, sees,
                 sh, status, until)
from package import CAMERA



def show(pattern):
    """Another picture in front of the camera."""
    sh(f"v4l2-ctl -d {CAMERA} -c test_pattern={pattern}")
    time.sleep(1)


def predicted():
    """What the head says of a frame of now."""
    lines = [json.loads(line) for line in sh("timeout 3 graft --json watch", check=False).splitlines() if line[:1] == "{"]
    said = [line["data"].get("label") for line in lines if line["type"] == "prediction"]
    return said[-1] if said else None


def active(seconds=60):
    _, took = until("the service is active again", lambda: code("systemctl is-active graft")[1] == "active", seconds)
    until("its socket", lambda: page("/healthz")[0] == 200)
    return took


@scenario("the sandbox is in force")
def sandbox():
    camera(fps=10)
    process = pathlib.Path(f"/proc/{pid()}/status").read_text()
    for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"):
        need(line in process, f"not {line!r}")
    exposure = re.search(r"exposure level for graft.service: ([\d.]+)", sh("systemd-analyze security graft --no-pager", check=False))
    need(exposure and float(exposure[1]) <= 1.1, f"exposure {exposure and exposure[1]}")
    need(sh("stat -c '%a %U' /var/lib/graft") == "750 graft", sh("ls -ld /var/lib/graft"))
    return f"exposure {exposure[1]}"


@scenario("training inside the sandbox; a head that is right")
def training():
    for turn in range(3):
        for name, pattern in (("bars", 0), ("checks", 10)):
            show(pattern)
            sees(f"capture start --class {name} --burst {name}-{turn} --hz 5 --max 8")
            until("the capture", lambda: status()["dataset"]["bursts"].get(name, 0) > turn, every=0.3)
            time.sleep(2)
            graft("capture stop", check=False)
    graft("train --wait")
    head, _ = until("a head", lambda: status()["head"])
    for name, pattern in (("bars", 0), ("checks", 10)):
        show(pattern)
        until(f"the label {name}", lambda: predicted() == name)
    said = properties("StatusText")["StatusText"]
    need(f"head {head['version']}" in said, said)
    return said


@scenario("who may use the socket")
def socket():
    need(sh("stat -c '%a %G' /run/graft/graft.sock") == "660 graft", sh("ls -l /run/graft"))
    sh("useradd -M friend; usermod -aG graft friend")
    sh("runuser -u friend -- graft status")
    done, text = code("runuser -u nobody -- graft status")
    need(done == 3 and "usermod -aG graft" in text, f"exit {done}: {text}")
    return text


@scenario("reload reads the files, a broken one changes nothing")
def reload():
    before = pid()
    CONFIG.write_text(CONFIG.read_text() + "[predict]\nvote = 5\n")
    sh("systemctl reload graft")
    until("the new value", lambda: json.loads(page("/v1/config")[1])["predict.vote"]["value"] == 5)
    text = CONFIG.read_text()
    CONFIG.write_text(text + "vote = 5\n")
    code("systemctl reload graft")
    time.sleep(2)
    need(pid() == before and code("systemctl is-active graft")[1] == "active", "a broken file ended it")
    need("test.toml" in journal("-n 15"), journal("-n 5"))
    CONFIG.write_text(text)
    sh("systemctl reload graft")


@scenario("a clean stop within 5 s")
def stop():
    begun = time.monotonic()
    sh("systemctl stop graft")
    took = time.monotonic() - begun
    result = properties("Result", "ExecMainStatus")
    need(took <= 5 and result == {"Result": "success", "ExecMainStatus": "0"}, f"{took:.1f} s, {result}")
    sh("systemctl start graft")
    return f"{took:.1f} s"


@scenario("the journal has its fields")
def fields():
    lines = [json.loads(line) for line in sh("journalctl -u graft -o json --no-pager -n 400").splitlines()]
    # What the daemon writes, not what systemd says of it: that has no target.
    lines = [line for line in lines if "TARGET" in line]
    own = {key for line in lines for key in line if key.startswith("GRAFT_")}
    levels = {line["PRIORITY"] for line in lines}
    need(own and {"4", "5"} <= levels, f"{own} {levels}")
    for line in lines:
        error = line.get("GRAFT_ERROR", "")
        need(error in line["MESSAGE"], f"journalctl does not show the error: {line}")
    return ", ".join(sorted(own))


@scenario("a broken configuration: exit 78, no second try")
def broken():
    text = CONFIG.read_text()
    CONFIG.write_text(text + "[camera_]\n")
    done, said = code("systemctl reset-failed graft; systemctl restart graft")
    time.sleep(7)
    shown = properties("ActiveState", "ExecMainStatus", "NRestarts")
    CONFIG.write_text(text)
    need(done != 0 and shown == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}, str(shown))
    need("camera_" in journal("-n 10"), "the journal does not say why")
    sh("systemctl reset-failed graft; systemctl start graft")


@scenario("killed, it comes back")
def killed():
    sh(f"systemctl reset-failed graft; kill -9 {pid()}")
    until("its end", lambda: code("systemctl is-active graft")[1] != "active", 10)
    took = active()
    return f"ready again {took:.1f} s later (5 s of them are the unit's pause)"


class Stopped:
    """One thread that stands still, as one does that hangs in a driver or a lock."""
    libc = ctypes.CDLL(None, use_errno=True)
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, thread):
        self.thread = thread
        self.libc.ptrace.argtypes = [ctypes.c_long] + 3 * [ctypes.c_void_p]
        for request in (self.SEIZE, self.INTERRUPT):
            need(self.libc.ptrace(request, thread, None, None) == 0, f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(thread, 0x40000000)  # __WALL

    def reap(self):
        self.libc.ptrace(self.DETACH, self.thread, None, None)


def thread(process, name):
    """The youngest thread of this name: of the camera's two, the one that reads."""
    named = [int(task.name) for task in pathlib.Path(f"/proc/{process}/task").iterdir()
             if (task / "comm").read_text().strip() == name]
    need(named, f"no thread {name}")
    return max(named)


@scenario("a loop that hangs: the watchdog restarts")
def watchdog():
    drop_in("watchdog.conf", "[Service]\nWatchdogSec=10\nRestartSec=1\nStartLimitIntervalSec=0\n")
    told = []
    for name in ("camera", "inference", "store", "train", "graft"):
        sh("systemctl reset-failed graft; systemctl restart graft")
        until("frames", delivers)
        time.sleep(3)
        process = pid()
        begun = time.monotonic()
        stopped = Stopped(thread(process, name))
        until(f"the end of {name}", lambda: properties("MainPID")["MainPID"] != str(process) and properties("NRestarts")["NRestarts"] != "0", 60, 0.3)
        told.append(f"{name} {time.monotonic() - begun:.0f} s")
        stopped.reap()
        active()
        need("watchdog" in sh("journalctl -u graft -n 60 --no-pager").lower(), "it was not the watchdog")
    no_drop_in("watchdog.conf")
    sh("systemctl reset-failed graft; systemctl restart graft")
    return ", ".join(told)


@scenario("three crashes with a new head bring the one before back")
def loop_guard():
    until("frames", delivers)
    first = status()["head"]
    # A new one, on trial: learned from a class more.
    for turn in range(2):
        show(3)
        sees(f"capture start --class third --burst third-{turn} --hz 5 --max 8")
        time.sleep(3)
        graft("capture stop", check=False)
    graft("train --wait")
    new, _ = until("the new head", lambda: (lambda h: h if h["version"] > first["version"] else None)(status()["head"]))
    drop_in("quick.conf", "[Service]\nRestartSec=1\nStartLimitIntervalSec=0\n")
    for _ in range(3):
        process = pid()
        sh(f"kill -9 {process}")
        until("the next start", lambda: pid() not in (0, process), 60, 0.2)
        active()
    now = status()["head"]
    no_drop_in("quick.conf")
    need(now["classes"] == first["classes"] and now["version"] > new["version"],
         f"head {now['version']} with {now['classes']} serves, not that before {new['version']}")
    need("taken back" in journal("-n 60"), "nobody says so")
    return f"head {new['version']} gave way to {now['version']}, the same as {first['version']}"


@scenario("drop-ins")
def drop_ins():
    told = []
    for name in ("network.conf", "gpio.conf", "nice.conf"):
        drop_in(name)
        sh("systemctl reset-failed graft; systemctl restart graft")
        until("frames", delivers)
        score = re.search(r"graft.service: ([\d.]+)", sh("systemd-analyze security graft --no-pager", check=False))
        told.append(f"{name} {score[1]}")
        if name == "nice.conf":
            niceness = until("the trainer's niceness", lambda: nice(thread(pid(), "train")))[0]
            need(niceness == 10, f"the trainer's niceness is {niceness}")
        no_drop_in(name)
    sh("systemctl reset-failed graft; systemctl restart graft")
    return "exposure " + ", ".join(told)


def nice(task):
    """The niceness of a thread."""
    return int(pathlib.Path(f"/proc/{pid()}/task/{task}/stat").read_text().rsplit(") ", 1)[1].split()[16])


def examined():
    """What the doctor finds, by its checks."""
    text = code("graft --json doctor")[1]
    return {finding["check"]: finding for finding in json.loads(text[text.index("{"):])["findings"]}


@scenario("the doctor on the board")
def doctor():
    # The camera by the daemon's word, whose newest frame has to be fresh for that.
    found, _ = until("a fresh frame", lambda: (lambda f: f if f["camera"]["verdict"] == "ok" else None)(examined()))
    for check in ("daemon", "configuration", "formats", "camera", "state folder"):
        need(found[check]["verdict"] == "ok", str(found[check]))
    # An emulated processor may be too slow for it, and the doctor says so.
    need(found["backbone"]["verdict"] != "fail" and "tiny" in found["backbone"]["found"], str(found["backbone"]))
    return ", ".join(f"{name} {f['verdict']}" for name, f in found.items())
