"""PNG files of kinds that Pillow does not write: few bits, interlaced, with less data than announced."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column, and steps, of the passes of an interlaced image."""


def write_grey(
    path: Path, size: tuple[int, int], rows: Iterable[bytes], bits: int = 8, interlaced: bool = False
) -> Path:
    """Write rows of packed grey values of an image of a height and width, without filters."""
    data = b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", size[1], size[0], bits, 0, 0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks))
    return path


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_few_bits(path: Path, grey_HW: np.ndarray, bits: int) -> Path:
    """Write grey of 1, 2 or 4 bits."""
    per_byte = 8 // bits
    padded_HW = np.pad(grey_HW, ((0, 0), (0, -grey_HW.shape[1] % per_byte))).astype(np.int64)
    parts = padded_HW.reshape(len(grey_HW), -1, per_byte) << np.arange(per_byte)[::-1] * bits
    return write_grey(path, grey_HW.shape, (row.tobytes() for row in parts.sum(-1).astype(np.uint8)), bits)


def write_interlaced(path: Path, grey_HW: np.ndarray) -> Path:
    """Write 8-bit grey in the seven passes of Adam7."""
    rows = (row.tobytes() for top, left, down, right in ADAM7 for row in grey_HW[top::down, left::right])
    return write_grey(path, grey_HW.shape, rows, interlaced=True)
