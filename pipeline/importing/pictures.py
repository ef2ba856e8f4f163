"""Import PNG and JPEG images as GeoTIFFs."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.importing.tiff_writer import TILE, require_small_rows, tiff_writer
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.pictures import DRIVERS, Picture, open_picture

Rows = Callable[[int, int], tuple[np.ndarray, np.ndarray]]
"""From first row and the row after the last to bands_CHW and visible_HW (bool) of these rows."""
TRANSPOSED, ROWS_REVERSED, COLUMNS_REVERSED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
"""EXIF orientations (CIPA DC-008, 4.6.4 A): first transpose, then reverse rows and columns of the result."""


@contextmanager
def open_raster(path: Path) -> Iterator[tuple[GeoTiff, Picture | None]]:
    """Open a GeoTIFF, or a PNG or JPEG, whose pixels `Picture.read` gives.

    Raises:
        PipelineError: see `open_geotiff` and `open_picture`.
    """
    if path.suffix.lower() in DRIVERS:
        with open_picture(path) as picture:
            yield picture.file, picture
    else:
        with open_geotiff(path) as file:
            yield file, None


def import_image(source: Path, target: Path) -> bool:
    """Convert a PNG or JPEG image to a GeoTIFF with the same pixels, bands and dtype; leave a GeoTIFF as it is.

    Georeference and no-data come from world file, `.prj` and `.aux.xml`; an EXIF orientation is applied; what is
    transparent other than by an alpha band is hidden by the internal mask. Grey images keep one band; grey of 1, 2 or
    4 bits is scaled to 0 to 255, as viewers show it.

    Args:
        source: a `.png`, `.jpg` or `.jpeg`, in upper or lower case, with its sidecars; or a GeoTIFF.
        target: the GeoTIFF; parent folders are created.

    Returns:
        Whether `target` was written; False for a GeoTIFF, to be copied with its sidecars.

    Raises:
        PipelineError: the file is missing, empty, truncated, damaged, in another format or in an unsupported form.
        OSError: the disk is full.
    """
    if source.suffix.lower() not in DRIVERS:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_picture(source) as picture, tempfile.TemporaryDirectory(dir=target.parent, prefix=".turned.") as folder:
        file = picture.file
        require_small_rows(file)
        if file.sidecar_colour_table:
            raise PipelineError(
                f"{file.sidecar_colour_table} has a colour table for {source.name}, which is not supported; remove "
                "that file, or save the image in its colours"
            )
        height, width = file.height, file.width
        read = _reader(picture)
        if picture.orientation != 1:
            read = _turn(picture, read, Path(folder))
            height, width = (width, height) if picture.orientation in TRANSPOSED else (height, width)
        with tiff_writer(target, file.georeference, height=height, width=width, **_profile(file)) as writer:
            _describe(file, writer.dataset)
            for start in range(0, height, TILE):
                bands_CHW, visible_HW = read(start, min(start + TILE, height))
                writer.write(start, bands_CHW)
                if _hides(file):
                    writer.write_mask(start, visible_HW)
    return True


def _reader(picture: Picture) -> Rows:
    """Return a function that reads rows; grey of few bits is scaled.

    Formula: https://www.w3.org/TR/png-3/#13Sample-depth-rescaling
    """
    file = picture.file
    factor = 255 // (2**file.bits - 1) if file.bits < 8 and file.colour_table is None else 1

    def read(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        window = Window(0, start, file.width, stop - start)
        bands_CHW = picture.read(window)
        visible_HW = file.valid_mask(window) if _hides(file) else np.ones(bands_CHW.shape[1:], bool)
        if file.colour_table is not None:
            require_colours(file, bands_CHW, file.colour_table)
            visible_HW &= file.colour_table[bands_CHW[0], 3] > 0
        return (bands_CHW * np.uint8(factor) if factor > 1 else bands_CHW), visible_HW

    return read


def _hides(file: GeoTiff) -> bool:
    """Return whether pixels may be hidden other than by an alpha band."""
    is_transparent = file.colour_table is not None and bool((file.colour_table[:, 3] == 0).any())
    return file.has_internal_mask or is_transparent or any(value is not None for value in file.nodata)


def _turn(picture: Picture, read: Rows, folder: Path) -> Rows:
    """Turn an image upright, through files in `folder`, so that memory does not depend on its size."""
    file, orientation = picture.file, picture.orientation
    shape = (file.width, file.height) if orientation in TRANSPOSED else (file.height, file.width)
    if shutil.disk_usage(folder).free < shape[0] * shape[1] * (file.count * np.dtype(file.dtypes[0]).itemsize + 1):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))  # else the process would be killed
    bands_CHW = np.memmap(folder / "bands", file.dtypes[0], "w+", shape=(file.count, *shape))
    visible_HW = np.memmap(folder / "visible", bool, "w+", shape=shape)
    for start in range(0, file.height, TILE):
        stop = min(start + TILE, file.height)
        for turned, part in zip((bands_CHW, visible_HW), read(start, stop), strict=True):
            _stored_view(turned, orientation)[..., start:stop, :] = part
    return lambda start, stop: (np.array(bands_CHW[:, start:stop]), np.array(visible_HW[start:stop]))


def _stored_view(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view of an upright image (…, height, width) with rows and columns as stored."""
    if orientation in ROWS_REVERSED:
        upright = upright[..., ::-1, :]
    if orientation in COLUMNS_REVERSED:
        upright = upright[..., ::-1]
    return upright.swapaxes(-1, -2) if orientation in TRANSPOSED else upright


def _profile(file: GeoTiff) -> dict[str, Any]:
    """Return creation options: three bands or more are colours."""
    if file.colour_table is not None:
        return {"count": 1, "dtype": "uint8", "photometric": "PALETTE"}
    photometric = "RGB" if file.count > 2 else "MINISBLACK"
    return {"count": file.count, "dtype": file.dtypes[0], "photometric": photometric, "predictor": 2}


def _describe(file: GeoTiff, dataset: DatasetWriter) -> None:
    """Copy what is not pixels."""
    if file.colour_table is not None:
        # GeoTIFF has no transparent colours: the internal mask hides them
        colours = enumerate(file.colour_table[:, :3].tolist())
        dataset.write_colormap(1, {value: (*colour, 255) for value, colour in colours})
    elif file.alpha_band:
        dataset.colorinterp = (*dataset.colorinterp[:-1], ColorInterp.alpha)
    if file.is_scaled(tuple(range(1, file.count + 1))):
        dataset.scales, dataset.offsets = file.scales, file.offsets


def require_colours(file: GeoTiff, indices: np.ndarray, colour_table_V4: np.ndarray) -> None:
    """Check that each index of a palette has a colour.

    Raises:
        PipelineError: one has none.
    """
    if (highest := int(indices.max())) >= len(colour_table_V4):
        raise PipelineError(
            f"{file.path} contains the index {highest}, but its palette has {len(colour_table_V4)} colours; "
            "save it again"
        )
