"""Reads and writes safetensors files: eight bytes of header length, a JSON header, then the figures.

The format is small enough that a dependency (which Debian does not package) would be larger than this file.
Format: https://github.com/huggingface/safetensors (README, "Format").
"""

import json
import math
import struct
from pathlib import Path

import numpy as np

from .errors import BadJob

_TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_MAX_HEADER = 1 << 20


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors by name, and the metadata. Raises BadJob when the file is not whole."""
    raw = path.read_bytes()
    try:
        (length,) = struct.unpack_from("<Q", raw)
        if length > _MAX_HEADER:
            raise ValueError("its header is over 1 MiB")
        header = json.loads(raw[8 : 8 + length])
        body = memoryview(raw)[8 + length :]
        metadata = {str(key): str(value) for key, value in header.pop("__metadata__", {}).items()}
        tensors = {}
        for name, entry in header.items():
            dtype, shape, (start, end) = _TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
            if not 0 <= start <= end <= len(body) or end - start != dtype.itemsize * math.prod(shape):
                raise ValueError(f"tensor {name} does not fit its offsets")
            tensors[name] = np.frombuffer(body[start:end], dtype).reshape(shape)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadJob(f"{path} is not a whole safetensors file ({error}); copy it again") from error
    return tensors, metadata


def encode(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The file; the same bytes for the same tensors."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    parts, at = [], 0
    for name, values in sorted(tensors.items()):
        values = np.ascontiguousarray(values)
        part = values.tobytes()
        header[name] = {
            "dtype": _NAMES[values.dtype.newbyteorder("<")],
            "shape": list(values.shape),
            "data_offsets": [at, at + len(part)],
        }
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
