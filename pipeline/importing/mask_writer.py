"""Write masks of raw label values, which `tile` maps to class ids by the remap of `classes.yaml`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.formats.classes import ClassTable
from pipeline.importing.tiff_writer import TiffWriter, tiff_writer
from pipeline.raster.georeference import Georeference


class MaskWriter:
    """An open mask, written from top to bottom."""

    def __init__(self, writer: TiffWriter, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._writer = writer

    def write(self, row: int, values_HW: np.ndarray) -> None:
        """Write raw label values (height, width), rows of full width, from `row` on; 256 rows at once are best."""
        self._writer.write(row, values_HW[None].astype(self.dtype))


@contextmanager
def mask_writer(
    target: Path, height: int, width: int, georeference: Georeference, rules: ClassTable
) -> Iterator[MaskWriter]:
    """Create a GeoTIFF of one band, whose declared no-data value, `rules.ignored_value`, is *ignore*.

    Args:
        target: appears when the block ends without an error; parent folders are created.
        height: pixels.
        width: pixels.
        georeference: position of the pixels; may be unknown.
        rules: classes and remap; values to write are `rules.raw_value(class_id)` and `rules.ignored_value`.

    Raises:
        PipelineError: the file cannot be written.
        OSError: the disk is full.
    """
    dtype = mask_dtype(rules)
    profile = {"height": height, "width": width, "count": 1, "dtype": dtype, "nodata": rules.ignored_value}
    with tiff_writer(target, georeference, **profile) as writer:
        yield MaskWriter(writer, dtype)


def mask_dtype(rules: ClassTable) -> np.dtype:
    """Return the smallest dtype that holds the raw values of all classes and the ignored value; uint8 in most cases."""
    values = [rules.ignored_value, *map(rules.raw_value, rules.ids)]
    return np.result_type(*(np.min_scalar_type(value) for value in values))
