"""Checks of a GeoTIFF as it is opened: what it holds can be read, all of it is there, and within a bound of memory."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError

MOST_IN_A_BLOCK = 512 * 1024 * 1024
"""Decoded bytes of one block, the least that can be read."""
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
"""The kinds of samples that are read."""


def refuse_unreadable(path: Path, dataset: rasterio.DatasetReader) -> bool:
    """Check an open file before any pixel of it is read.

    Returns:
        Whether it is sparse: GDAL fills blocks that are left out with the no-data value of the file itself, or 0.

    Raises:
        PipelineError: it holds samples that are no numbers, several pages, blocks that are too large, or is shorter
            than its own table of blocks says.
    """
    _refuse_dtypes(path, dataset)
    _refuse_pages(path, dataset)
    _refuse_blocks(path, dataset)
    return _refuse_truncated(path, dataset)


def refuse_place(path: Path, transform: Affine, width: int, height: int) -> None:
    """Check that a transform places every pixel: no corner could be computed else, nor written as JSON.

    Raises:
        PipelineError: it is not finite, or its pixels have no area.
    """
    corner = transform @ (width, height)
    if transform.is_degenerate or not np.isfinite([*transform[:6], *corner]).all():
        raise PipelineError(
            f"{path} does not say where it lies: its geotransform is {[float(each) for each in transform[:6]]}, which "
            "must be finite, with pixels of some area; set it with gdal_edit.py -a_ullr, or remove it with -unsetgt"
        )


def _refuse_dtypes(path: Path, dataset: rasterio.DatasetReader) -> None:
    if others := sorted(set(dataset.dtypes) - set(DTYPES)):
        raise PipelineError(
            f"{path} holds {others[0]}, which is no number that is read; allowed are {', '.join(DTYPES)}: of complex "
            "radar data write the amplitudes"
        )


def _refuse_pages(path: Path, dataset: rasterio.DatasetReader) -> None:
    """Overviews and masks are no pages."""
    if pages := dataset.subdatasets:
        raise PipelineError(
            f"{path} has {len(pages)} pages, and nothing says which is meant; write one to a file of its own: "
            f"gdal_translate GTIFF_DIR:1:{path.name} page1.tif"
        )


def _refuse_blocks(path: Path, dataset: rasterio.DatasetReader) -> None:
    """A few bytes may claim a block of a billion pixels, for which memory would be asked."""
    height, width = dataset.block_shapes[0]
    pixel = np.dtype(dataset.dtypes[0]).itemsize * (1 if _in_planes(dataset) else dataset.count)
    if height * width * pixel > MOST_IN_A_BLOCK:
        raise PipelineError(
            f"{path} is stored in blocks of {width} x {height} px of {pixel} bytes, which are too large to decode (at "
            f"most {MOST_IN_A_BLOCK} bytes); write it in tiles: gdal_translate -co TILED=YES"
        )


def _refuse_truncated(path: Path, dataset: rasterio.DatasetReader) -> bool:
    """GDAL notices a cut file only when it reads the missing block, and a window may never get there."""
    size, sparse = path.stat().st_size, False
    block_height, block_width = dataset.block_shapes[0]
    for band in range(1, 1 + (dataset.count if _in_planes(dataset) else 1)):
        for row in range(-(-dataset.height // block_height)):
            for column in range(-(-dataset.width // block_width)):
                place = f"{column}_{row}"
                start = int(dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band) or 0)  # 0: a sparse file
                length = int(dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band) or 0)
                sparse |= not length
                if start + length > size:
                    raise PipelineError(
                        f"{path} is truncated: {size} bytes, but its pixels reach to byte {start + length}; "
                        "copy or download it again"
                    )
    return sparse


def _in_planes(dataset: rasterio.DatasetReader) -> bool:
    """Whether each band has blocks of its own."""
    return bool(dataset.interleaving and dataset.interleaving.name == "band")
