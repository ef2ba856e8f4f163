"""PNG files of a chips folder: 8-bit RGB images and palette masks."""

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IGNORED, Chip, class_column
from pipeline.formats.classes import IGNORE, ClassTable


def save_chip(
    folder: Path, chip: Chip, image_HWC: np.ndarray, mask_HW: np.ndarray, table: ClassTable
) -> dict[str, object]:
    """Write `images/ID.png` and `masks/ID.png`.

    Args:
        folder: chips folder with existing `images/` and `masks/`.
        chip: id and position.
        image_HWC: uint8 RGB.
        mask_HW: uint8 class ids and `IGNORE`.
        table: classes, for the palette and the pixel counts.

    Returns:
        The chip's row of `chips.csv`.
    """
    write_image(folder / "images" / f"{chip.id}.png", image_HWC)
    write_mask(folder / "masks" / f"{chip.id}.png", mask_HW, table)
    counts = np.bincount(mask_HW.ravel(), minlength=256)
    pixels = {class_column(class_id): int(counts[class_id]) for class_id in table.ids}
    return asdict(chip) | pixels | {IGNORED: int(counts[IGNORE])}


def write_image(path: Path, image_HWC: np.ndarray) -> None:
    """Write RGB uint8 (height, width, 3) as PNG.

    OpenCV is the fastest encoder at its defaults; setting a compression level disables its fast strategy.
    """
    encoded, buffer = cv2.imencode(".png", cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise RuntimeError(f"OpenCV could not encode an array of shape {image_HWC.shape}")
    path.write_bytes(buffer.tobytes())


def write_mask(path: Path, mask_HW: np.ndarray, table: ClassTable) -> None:
    """Write class ids as a palette PNG: viewers show colours, programs read class ids."""
    image = Image.fromarray(mask_HW)
    image.putpalette(table.palette)
    image.save(path, "PNG", optimize=False)


def read_image(path: Path) -> np.ndarray:
    """Read an 8-bit RGB PNG as uint8 (height, width, 3)."""
    return _read(path, "RGB")


def read_mask(path: Path) -> np.ndarray:
    """Read a palette PNG as class ids, uint8 (height, width)."""
    return _read(path, "P")


def _read(path: Path, mode: str) -> np.ndarray:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode != mode:
                raise PipelineError(
                    f"{path} is a PNG of mode {image.mode}, not {mode}; another tool changed it: "
                    "restore it with `dvc checkout`"
                )
            return np.array(image)
    except FileNotFoundError:
        raise PipelineError(
            f"{path} does not exist, but is listed in chips.csv; run `dvc checkout` or `dvc repro`"
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise PipelineError(f"{path} cannot be read: {error}; run `dvc repro`") from None
