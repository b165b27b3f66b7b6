"""Runs one part of the scenarios inside the virtual machine: main.py PART."""
import importlib
import sys

import kit

PARTS = {
    "live": ["package", "camera", "service", "broker"],
    "reboot": ["reboot"],
    "cut": ["cut", "upgrade"],
    "soak": ["package", "soak"],
}

part = sys.argv[1]
for name in PARTS[part]:
    try:
        importlib.import_module(name)
    except Exception as error:
        kit.report("FAIL", name, f"cannot be read: {error!r}")
kit.play(PARTS[part])
kit.sh("sync")
kit.report("DONE", part)
