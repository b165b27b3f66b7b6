#!/usr/bin/env python3
"""Runs a command where programs for 64-bit ARM run as if they were this machine's: cross/emulated.py COMMAND…

They are handed to qemu-aarch64-static by the kernel's binfmt_misc, which since Linux 6.7 belongs to a user namespace: the
command gets one of its own, in which it is root, and what this machine itself has registered stays as it is. Needs root.
"""
import ctypes
import os
import subprocess
import sys

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
REGISTER = "/proc/sys/fs/binfmt_misc/register"
# An ELF file of 64 bits, little-endian, a program or a library, for machine 183. F: the emulator is opened now, so that it
# is found after a change of root; P: the program's own name is kept.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
RULE = f":qemu-aarch64:M::{MAGIC}:{MASK}:/usr/bin/qemu-aarch64-static:FP"


def inside(command, unshared, mapped):
    """The child: leaves this machine's namespaces, waits for its user ids, registers the emulator, becomes the command."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        sys.exit(f"no namespace of its own: {os.strerror(ctypes.get_errno())}")
    os.close(unshared)
    os.read(mapped, 1)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "binfmt_misc", "none", os.path.dirname(REGISTER)], check=True)
    with open(REGISTER, "w") as register:
        register.write(RULE)
    os.execvp(command[0], command)


def main():
    (seen, unshared), (mapped, map_now) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(seen)
        os.close(map_now)
        inside(sys.argv[1:], unshared, mapped)
    os.close(unshared)
    # Nothing comes: the end of the pipe tells that the child has its namespaces, or has ended.
    os.read(seen, 1)
    for ids in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{ids}", "w") as file:
            file.write("0 0 65536\n")
    os.close(map_now)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
