"""Masks as people paint them, written by Pillow, and how they are read back or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.importing.raster_masks import import_mask
from pipeline.importing.rules import LabelRules
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.labels import read_labels

COLOURS = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 160, 0), 7: (10, 20, 230)}
IDS = tuple(COLOURS)
MASK_HW = np.random.default_rng(5).choice(IDS, (300, 70)).astype(np.uint8)
masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from(IDS))


def rules(classes: dict[int, tuple[int, int, int]] = COLOURS, /, **keys: Any) -> LabelRules:
    entries = [{"id": id_, "name": f"class {id_}", "colour": list(colour)} for id_, colour in classes.items()]
    return LabelRules.model_validate({"classes": entries} | keys)


def paint(mask_HW: np.ndarray, colours: dict[int, tuple[int, int, int]] = COLOURS) -> np.ndarray:
    """Return RGB of class ids."""
    image_HWC = np.zeros((*mask_HW.shape, 3), np.uint8)
    for id_, colour in colours.items():
        image_HWC[mask_HW == id_] = colour
    return image_HWC


def save_palette(path: Path, index_HW: np.ndarray, palette: list[tuple[int, int, int]], **options: Any) -> Path:
    image = Image.fromarray(index_HW.astype(np.uint8))
    image.putpalette([level for colour in palette for level in colour])
    image.save(path, **options)
    return path


def labels(source: Path, table: LabelRules, name: str = "imported.tif") -> np.ndarray:
    """Import a mask and read it as `tile` does: class ids, 255 for *ignore*."""
    target = source.parent / "out" / name
    written = import_mask(source, target, table)
    assert written == target.is_file()
    with open_geotiff(target if written else source) as file:
        return read_labels(file, table.table).mask_HW


def refusal(source: Path, table: LabelRules) -> str:
    target = source.parent / "out/refused.tif"
    with pytest.raises(PipelineError) as error:
        import_mask(source, target, table)
    assert str(error.value).startswith(str(source))
    assert not target.exists()
    return str(error.value).removeprefix(f"{source} ")
