"""PNG files of a chips folder: 8-bit RGB images, grey PNGs of further bands, and palette masks."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from isal import isal_zlib
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IGNORED, IMAGE_BANDS, MORE_BANDS, Chip, class_column
from pipeline.formats.classes import IGNORE, ClassTable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3
"""Colour types."""
SUB = 1
"""Filter type of a row: each byte minus the one a pixel to its left."""
ISAL_LEVEL = 1


def save_chip(
    folder: Path, chip: Chip, image_HWC: np.ndarray, mask_HW: np.ndarray, table: ClassTable
) -> dict[str, object]:
    """Write `images/ID.png`, `masks/ID.png` and, of more than three bands, `more_bands/ID.png`.

    Args:
        folder: see `make_chip_folders`.
        chip: id and position.
        image_HWC: uint8; red, green, blue, and any others.
        mask_HW: uint8 class ids and `IGNORE`.
        table: classes, for the palette and the pixel counts.

    Returns:
        The chip's row of `chips.csv`.
    """
    write_chip(lambda kind: folder / kind / f"{chip.id}.png", image_HWC, mask_HW, table)
    return chip_row(chip, mask_HW, table)


def write_chip(path_of: Callable[[str], Path], image_HWC: np.ndarray, mask_HW: np.ndarray, table: ClassTable) -> None:
    """Write the PNG files of a chip to the paths of `images`, `masks` and, if needed, `more_bands`."""
    write_image(path_of("images"), image_HWC[..., :IMAGE_BANDS])
    if image_HWC.shape[2] > IMAGE_BANDS:
        write_bands(path_of(MORE_BANDS), image_HWC[..., IMAGE_BANDS:])
    write_mask(path_of("masks"), mask_HW, table)


def chip_row(chip: Chip, mask_HW: np.ndarray, table: ClassTable) -> dict[str, object]:
    """Return the chip's row of `chips.csv`."""
    columns = {class_column(class_id): class_id for class_id in table.ids} | {IGNORED: IGNORE}
    return asdict(chip) | {name: int(np.count_nonzero(mask_HW == value)) for name, value in columns.items()}


def write_image(path: Path, image_HWC: np.ndarray) -> None:
    """Write RGB uint8 (height, width, 3) as PNG."""
    path.write_bytes(_encode(image_HWC, RGB))


def write_bands(path: Path, bands_HWC: np.ndarray) -> None:
    """Write any number of bands, uint8 (height, width, bands), as one grey PNG: stacked from top to bottom."""
    height, width, count = bands_HWC.shape
    path.write_bytes(_encode(bands_HWC.transpose(2, 0, 1).reshape(count * height, width, 1), GREY))


def write_mask(path: Path, mask_HW: np.ndarray, table: ClassTable) -> None:
    """Write class ids as a palette PNG: viewers show colours, programs read class ids."""
    path.write_bytes(_encode(mask_HW[..., None], PALETTE, bytes(table.palette)))


def _encode(pixels_HWC: np.ndarray, colour: int, palette: bytes = b"") -> bytes:
    """Encode 8-bit pixels as PNG (https://www.w3.org/TR/png-3/): rows filtered by `SUB`, compressed by ISA-L.

    OpenCV takes two to four times as long for a file of the same size, Pillow ten times: `python -m benchmarks.png`.
    ISA-L chooses its code by processor; the output was the same with AVX-512 and, emulated, on Nehalem to Haswell.
    """
    height, width, count = pixels_HWC.shape
    flat_HN = pixels_HWC.reshape(height, width * count)
    rows_HN = np.empty((height, 1 + width * count), np.uint8)
    rows_HN[:, 0] = SUB
    rows_HN[:, 1 : 1 + count] = flat_HN[:, :count]
    np.subtract(flat_HN[:, count:], flat_HN[:, :-count], out=rows_HN[:, 1 + count :])
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    data = isal_zlib.compress(rows_HN.data, ISAL_LEVEL)
    chunks = [(b"IHDR", header), *([(b"PLTE", palette)] if palette else []), (b"IDAT", data), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )


def read_image(path: Path) -> np.ndarray:
    """Read an 8-bit RGB PNG as uint8 (height, width, 3)."""
    return _read(path, "RGB")


def read_chip_image(folder: Path, chip: str, bands: int) -> np.ndarray:
    """Read the image of a chip as uint8 (height, width, bands).

    Args:
        folder: the chips folder.
        chip: its id.
        bands: three or more, as `imagery.json` lists.

    Raises:
        PipelineError: a file is missing, damaged, or has another size.
    """
    image_HWC = read_image(folder / "images" / f"{chip}.png")
    if bands <= IMAGE_BANDS:
        return image_HWC
    (height, width, _), path = image_HWC.shape, folder / MORE_BANDS / f"{chip}.png"
    stacked = _read(path, "L", f"imagery.json lists {bands} bands")
    if stacked.shape != ((bands - IMAGE_BANDS) * height, width):
        raise PipelineError(
            f"{path} has {stacked.shape[1]} x {stacked.shape[0]} px; {bands - IMAGE_BANDS} further bands of "
            f"{width} x {height} px are needed; run `dvc checkout` or `dvc repro`"
        )
    more_HWC = stacked.reshape(bands - IMAGE_BANDS, height, width).transpose(1, 2, 0)
    return np.concatenate([image_HWC, more_HWC], axis=2)


def read_mask(path: Path) -> np.ndarray:
    """Read a palette PNG as class ids, uint8 (height, width)."""
    return _read(path, "P")


def _read(path: Path, mode: str, why_needed: str = "is listed in chips.csv") -> np.ndarray:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode != mode:
                raise PipelineError(
                    f"{path} is a PNG of mode {image.mode}, not {mode}; another tool changed it: "
                    "restore it with `dvc checkout`"
                )
            return np.array(image)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist, but {why_needed}; run `dvc checkout` or `dvc repro`") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise PipelineError(f"{path} cannot be read: {error}; run `dvc repro`") from None
