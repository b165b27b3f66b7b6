"""What scenarios are written with: running programs, waiting, asking the daemon, reporting."""
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import traceback

HOST = pathlib.Path("/host")
CONFIG = pathlib.Path("/etc/graft/conf.d/test.toml")
DROP_INS = pathlib.Path("/etc/systemd/system/graft.service.d")
SOCKET = "/run/graft/graft.sock"
# Emulated machines are slow: guards against hanging, no measurements.
PATIENCE = 60

scenarios = []


class Failed(Exception):
    """A scenario's complaint."""


def scenario(name):
    """Registers a scenario; what it returns is shown behind its name."""
    def register(function):
        scenarios.append((name, function))
        return function
    return register


def need(condition, complaint):
    if not condition:
        raise Failed(complaint)


def report(verdict, name, text=""):
    line = f"{verdict}|{name}|{' '.join(str(text or '').split())[:300]}"
    print(f"[{time.monotonic():.1f}] {line}", flush=True)
    with open(HOST / "results", "a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def play(modules):
    """The scenarios of these modules, in the order of their registration; ONLY=pattern leaves out the others."""
    only = (HOST / "only").read_text().strip()
    for name, function in scenarios:
        if function.__module__ not in modules or not re.search(only, name):
            continue
        try:
            report("PASS", name, function())
        except Failed as failed:
            report("FAIL", name, failed)
            print(traceback.format_exc(), sh("journalctl -u graft -n 25 --no-pager", check=False), flush=True)
        except Exception as error:
            report("FAIL", name, f"{type(error).__name__}: {error}")
            print(traceback.format_exc(), flush=True)


def sh(command, check=True, **more):
    """A shell command's output, both streams; `check`: it has to succeed."""
    done = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=10 * PATIENCE, **more)
    if check and done.returncode:
        raise Failed(f"{command}: exit {done.returncode}: {done.stdout[-250:]}")
    return done.stdout.strip()


def code(command):
    """A shell command's exit code and output."""
    done = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=10 * PATIENCE)
    return done.returncode, done.stdout.strip()


def graft(arguments, check=True):
    """A client command's JSON."""
    done = subprocess.run(f"graft --json {arguments}", shell=True, text=True, capture_output=True, timeout=10 * PATIENCE)
    if check and done.returncode:
        raise Failed(f"graft {arguments}: exit {done.returncode}: {(done.stderr or done.stdout)[-250:]}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


def sees(arguments):
    """A client command that wants a fresh frame: where many programs want the processor, it may have to be asked again."""
    until(f"graft {arguments}", lambda: code(f"graft {arguments}")[0] == 0, every=0.3)


def until(what, condition, limit=PATIENCE, every=0.05):
    """Waits for a condition; returns what it gave and the seconds it took."""
    begun = time.monotonic()
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException, ValueError):
            value = None
        took = time.monotonic() - begun
        if value:
            return value, took
        if took > limit:
            raise Failed(f"{what}: not within {limit} s")
        time.sleep(every)


class Socket(http.client.HTTPConnection):
    """HTTP on the daemon's own socket."""

    def __init__(self):
        super().__init__("graft", timeout=PATIENCE)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(SOCKET)


def page(path, body=None):
    """Status and text of a page of the daemon; a picture comes out as some text too."""
    connection = Socket()
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def figures():
    """The daemon's figures by series."""
    lines = (line.rsplit(" ", 1) for line in page("/metrics")[1].splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def status():
    return json.loads(page("/v1/status")[1])


def delivers():
    return figures().get("graft_camera_delivers") == 1


def properties(*names):
    """Properties of the service."""
    lines = sh("systemctl show graft " + " ".join(f"-p {name}" for name in names)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def pid():
    return int(properties("MainPID")["MainPID"])


def configure(text):
    """Takes this as the configuration, restarts, waits until the service is ready."""
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(text)
    sh("systemctl reset-failed graft; systemctl restart graft")


def drop_in(name, text=None):
    """Lays a drop-in of the package, or one of these lines, beside the unit."""
    DROP_INS.mkdir(exist_ok=True)
    text = text or pathlib.Path(f"/usr/share/doc/graft/drop-ins/{name}").read_text()
    (DROP_INS / name).write_text(text)
    sh("systemctl daemon-reload")


def no_drop_in(name):
    (DROP_INS / name).unlink(missing_ok=True)
    sh("systemctl daemon-reload")


def journal(since=""):
    return sh(f"journalctl -u graft --no-pager -o cat {since}", check=False)


def memory():
    """Resident KiB and open descriptors of the daemon."""
    text = pathlib.Path(f"/proc/{pid()}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]), len(os.listdir(f"/proc/{pid()}/fd"))
