"""PNG files of a chips folder: 8-bit RGB images, grey PNGs of further bands, and palette masks."""

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IGNORED, IMAGE_BANDS, MORE_BANDS, Chip, class_column
from pipeline.formats.classes import IGNORE, ClassTable


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
    write_image(folder / "images" / f"{chip.id}.png", np.ascontiguousarray(image_HWC[..., :IMAGE_BANDS]))
    if image_HWC.shape[2] > IMAGE_BANDS:
        write_bands(folder / MORE_BANDS / f"{chip.id}.png", image_HWC[..., IMAGE_BANDS:])
    write_mask(folder / "masks" / f"{chip.id}.png", mask_HW, table)
    columns = {class_column(class_id): class_id for class_id in table.ids} | {IGNORED: IGNORE}
    return asdict(chip) | {name: int(np.count_nonzero(mask_HW == value)) for name, value in columns.items()}


def write_image(path: Path, image_HWC: np.ndarray) -> None:
    """Write RGB uint8 (height, width, 3) as PNG.

    OpenCV is the fastest encoder at its defaults; setting a compression level disables its fast strategy.
    """
    _write(path, cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))


def write_bands(path: Path, bands_HWC: np.ndarray) -> None:
    """Write any number of bands, uint8 (height, width, bands), as one grey PNG: stacked from top to bottom."""
    height, width, count = bands_HWC.shape
    _write(path, np.ascontiguousarray(bands_HWC.transpose(2, 0, 1)).reshape(count * height, width))


def _write(path: Path, pixels: np.ndarray) -> None:
    encoded, buffer = cv2.imencode(".png", pixels)
    if not encoded:
        raise RuntimeError(f"OpenCV could not encode an array of shape {pixels.shape}")
    path.write_bytes(buffer.data)


def write_mask(path: Path, mask_HW: np.ndarray, table: ClassTable) -> None:
    """Write class ids as a palette PNG: viewers show colours, programs read class ids."""
    image = Image.fromarray(mask_HW)
    image.putpalette(table.palette)
    image.save(path, "PNG", optimize=False)


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
