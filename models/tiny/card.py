"""Writes the backbone's card, the TOML file beside the ONNX file, with the run's figures as comments."""

import json

import network as net

NOTES = ("Made by this project's own recipe (models/tiny) on drawn pictures alone: for tests, the demo and small jobs. "
         "For photographs of real things take one of the larger backbones.")


def write_card(path, report):
    lines = [
        "# Written by models/tiny/train.py; see models/tiny/README.md for what the figures mean.",
        f"# Run: {json.dumps(report['run'])}",
        *(f"# {key} = {value}" for key, value in report["figures"].items()),
        "",
        'name = "tiny"',
        f'sha256 = "{report["sha256"]}"',
        f"bytes = {report['bytes']}",
        f"size = {net.SIZE}",
        f"resize = {net.SIZE}",
        'crop = "center"',
        "mean = [0.5, 0.5, 0.5]",
        "std = [0.5, 0.5, 0.5]",
        'features = "features"',
        f"width = {net.WIDTH}",
        'layout = "nchw"',
        'licence = "MIT OR Apache-2.0"',
        "urls = []",
        f'notes = "{NOTES}"',
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
