"""Write the GeoTIFFs that the import makes: tiled, lossless, row by row.

rasterio writes; what is added appears whole or not at all, and a full disk is an OSError, which GDAL does not report as
such, or not at all.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path
from pipeline.importing.rules import LabelRules
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import GeoTiff
from pipeline.raster.integrity import MAX_BLOCK_BYTES, is_sparse

TILE = 256
"""Side of a tile in pixels, and the rows that are best written at once."""
FULL_BELOW = 1 << 20
"""Free bytes below which a disk counts as full: GDAL reports that as text only, or not at all."""
OPTIONS = {
    "tiled": True,
    "blockxsize": TILE,
    "blockysize": TILE,
    "compress": "DEFLATE",
    "zlevel": 1,
    "interleave": "pixel",
    "BIGTIFF": "IF_SAFER",
}


class TiffWriter:
    """An open GeoTIFF, written from top to bottom, so that equal pixels give equal bytes."""

    def __init__(self, target: Path, dataset: Any) -> None:
        self.dataset = dataset
        self._target = target

    def write(self, row: int, bands_CHW: np.ndarray) -> None:
        """Write rows of full width, (bands, height, width), from `row` on."""
        with _write_errors(self._target):
            self.dataset.write(bands_CHW, window=_rows(row, bands_CHW))

    def write_mask(self, row: int, visible_HW: np.ndarray) -> None:
        """Write rows of the internal mask, bool (height, width): False where hidden."""
        with _write_errors(self._target):
            self.dataset.write_mask(visible_HW, window=_rows(row, visible_HW))


@contextmanager
def tiff_writer(target: Path, georeference: Georeference, **profile: Any) -> Iterator[TiffWriter]:
    """Create a GeoTIFF, which appears under its name when it is complete.

    Args:
        target: parent folders are created.
        georeference: position of the pixels; may be unknown.
        profile: `height`, `width`, `count`, `dtype`, and further creation options of GDAL's GTiff driver.

    Raises:
        PipelineError: the file cannot be written.
        OSError: the disk is full.
    """
    options: dict[str, Any] = OPTIONS | profile | ({"crs": georeference.crs} if georeference.crs else {})
    if georeference.is_known:
        options["transform"] = georeference.transform
    with atomic_path(target) as partial:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            with _write_errors(target):
                dataset = open_dataset(partial, "w", **options)
            with closing(dataset):
                yield TiffWriter(target, dataset)
        with _write_errors(target), closing(open_dataset(partial)) as dataset:
            if is_sparse(dataset):  # GDAL does not report all errors on closing a file
                raise PipelineError(f"{target} cannot be written: blocks are missing")


def mask_writer(target: Path, grid: GeoTiff, rules: LabelRules) -> AbstractContextManager[TiffWriter]:
    """Create a mask of `rules.raw_values` on the grid of an image; *ignore* is its declared no-data value.

    Raises: as `tiff_writer`.
    """
    profile = {"height": grid.height, "width": grid.width, "count": 1, "dtype": rules.raw_values.dtype}
    return tiff_writer(target, grid.georeference, nodata=rules.ignored_value, **profile)


def require_small_rows(file: GeoTiff) -> None:
    """Check that the rows that are converted at once fit into memory; a small file may claim any width.

    Raises:
        PipelineError: they do not.
    """
    size = TILE * file.width * file.count * np.dtype(file.dtypes[0]).itemsize
    if size > MAX_BLOCK_BYTES:
        raise PipelineError(
            f"{file.path} is {file.width} px wide, and {TILE} rows of it, which are converted at once, have {size} "
            f"bytes (at most {MAX_BLOCK_BYTES}); cut it into several files: gdal_translate -srcwin"
        )


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    """Re-raise errors of GDAL about a file that is being written; of a full disk as OSError."""
    try:
        with file_errors(target, "cannot be written"):
            yield
    except PipelineError:
        if shutil.disk_usage(target.parent).free < FULL_BELOW:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        raise


def _rows(row: int, array: np.ndarray) -> Window:
    return Window(0, row, array.shape[-1], array.shape[-2])
