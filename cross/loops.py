#!/usr/bin/env python3
"""Reads the NEON kernels out of a built program, and prints what their loops are made of: cross/loops.py PROGRAM

A kernel is as quick as its loop is free of all but arithmetic, above all of sums put on the stack because the registers
did not do. Looked at are blocks, stretches without a branch or a target of one, that multiply and add vectors. Blocks that
also bound or divide them are what is done once to finished sums; they are left out. Ends with 1 if a block of products
touches the stack, or a kernel has none.
"""
import collections
import re
import subprocess
import sys

# Part of the function's name, and what it is. All that one name stands for is shown together.
KERNELS = {
    "learn::matmul::": "head, scores and gradient",
    "plan::kernels::tile::conv_rows": "backbone, dense and pointwise",
    "plan::kernels::tile::depthwise_rows": "backbone, depthwise",
}
FINISH = {"fmax", "fmin", "fdiv", "frintn"}


def functions(program):
    """Name and instructions `(address, mnemonic, operands)` of each function."""
    command = ["aarch64-linux-gnu-objdump", "-d", "-C", "--no-show-raw-insn", program]
    name, body = "", []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
                yield name, body
                name, body = head[1], []
            elif code := re.match(r"\s*([0-9a-f]+):\t(\S+)\s*(.*)", line):
                body.append((int(code[1], 16), code[2], code[3]))
    yield name, body


def target(mnemonic, operands):
    """Where a branch leads; none for other instructions."""
    to = re.match(r"(b|b\.\w+|cbn?z|tbn?z)$", mnemonic) and re.search(r"([0-9a-f]+) <", operands)
    return int(to[1], 16) if to else None


def blocks(body):
    """Stretches of instructions without a branch, but for their last, or a target of one, but for their first."""
    targets = {target(*code[1:]) for code in body}
    block = []
    for code in body:
        if block and code[0] in targets:
            yield block
            block = []
        block.append(code)
        if target(*code[1:]) is not None or code[1] in ("ret", "br"):
            yield block
            block = []
    yield block


class Block:
    """What one block is made of."""

    def __init__(self, block):
        names = collections.Counter(mnemonic for _, mnemonic, _ in block)
        self.instructions = len(block)
        self.products = sum(mnemonic == "fmla" and ".4s" in operands for _, mnemonic, operands in block)
        self.finishes = any(names[name] for name in FINISH)
        self.loops = bool(block) and target(*block[-1][1:]) == block[0][0]
        self.stack = sum(bool(re.match(r"[qvd]\d+,.*\[(sp|x29)", operands)) for _, _, operands in block)


def main():
    found = {what: [] for what in KERNELS.values()}
    for name, body in functions(sys.argv[1]):
        for part, what in KERNELS.items():
            if part in name:
                made = map(Block, blocks(body))
                found[what] += [block for block in made if block.products > 1 and not block.finishes]
    print("kernel                         blocks  of them loops  fmla  instructions  largest loops     stack")
    for what, of in found.items():
        loops = [block for block in of if block.loops]
        most = max((block.products for block in loops), default=0)
        sizes = [block.instructions for block in loops if block.products == most]
        largest = f"{most} of {min(sizes)}-{max(sizes)}" if loops else "none"
        products, instructions = sum(block.products for block in of), sum(block.instructions for block in of)
        stack = sum(block.stack for block in of)
        print(f"{what:<31}{len(of):>6}{len(loops):>15}{products:>6}{instructions:>14}  {largest:<13}{stack:>10}")
    return int(any(not of or any(block.stack for block in of) for of in found.values()))


if __name__ == "__main__":
    sys.exit(main())
