"""Checks of a GeoTIFF on opening: supported, complete, and readable in bounded memory."""

import hashlib
from collections.abc import Iterator

import numpy as np
import rasterio

from pipeline.core.errors import PipelineError
from pipeline.raster.remote import Location, RemoteFile

MAX_BLOCK_BYTES = 512 * 1024 * 1024
"""Largest decoded size of a block, the smallest part that can be read."""
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
"""Supported sample types."""


def require_readable(path: Location, dataset: rasterio.DatasetReader, allow_truncated: bool = False) -> None:
    """Check an open file before any pixel is read.

    Raises:
        PipelineError: complex samples, several pages, oversized blocks, or a file shorter than its block index claims.
    """
    _require_dtypes(path, dataset)
    _require_one_page(path, dataset)
    _require_small_blocks(path, dataset)
    if not allow_truncated:
        _require_complete(path, dataset)


def is_sparse(dataset: rasterio.DatasetReader) -> bool:
    """Return whether blocks are missing, which GDAL fills with the file's own no-data value, or 0."""
    return any(not length for _, length in _block_ranges(dataset))


def is_one_strip(dataset: rasterio.DatasetReader) -> bool:
    """Return whether the file, or each of its bands, is one strip that GDAL cannot enter in the middle.

    GDAL presents a strip of more than 2,000 rows as blocks of one row, but only the first of these has a place in the
    file; to read a row above the last one, it decodes the strip from its start. Not so if the strip is uncompressed,
    with all bands in it: then each row has a place.
    """
    first, second = (int(dataset.get_tag_item(f"BLOCK_SIZE_0_{row}", "TIFF", bidx=1) or 0) for row in (0, 1))
    return dataset.height > 1 and dataset.block_shapes[0] == (1, dataset.width) and first > 0 and second == 0


def block_index_digest(dataset: rasterio.DatasetReader) -> str:
    """Return a digest of the offset and length of all blocks in the file, which follow from the compressed pixels."""
    index = hashlib.sha256()
    for start, length in _block_ranges(dataset):
        index.update(start.to_bytes(8, "little") + length.to_bytes(8, "little"))
    return index.hexdigest()


def _require_dtypes(path: Location, dataset: rasterio.DatasetReader) -> None:
    if unsupported := sorted(set(dataset.dtypes) - set(DTYPES)):
        raise PipelineError(
            f"{path} has samples of type {unsupported[0]}; supported are {', '.join(DTYPES)}: convert complex data to "
            "amplitude"
        )


def _require_one_page(path: Location, dataset: rasterio.DatasetReader) -> None:
    if pages := dataset.subdatasets:  # overviews and masks do not count
        raise PipelineError(
            f"{path} has {len(pages)} pages, and only one is supported; extract one to a file of its own: "
            f"gdal_translate GTIFF_DIR:1:{path.name} page1.tif"
        )


def _require_small_blocks(path: Location, dataset: rasterio.DatasetReader) -> None:
    """Refuse headers of a few bytes that claim a block of a billion pixels, before memory is allocated."""
    height, width = dataset.block_shapes[0]
    pixel_bytes = np.dtype(dataset.dtypes[0]).itemsize * (1 if _is_planar(dataset) else dataset.count)
    if height * width * pixel_bytes > MAX_BLOCK_BYTES:
        raise PipelineError(
            f"{path} is stored in blocks of {width} x {height} px of {pixel_bytes} bytes, too large to decode (at most "
            f"{MAX_BLOCK_BYTES} bytes); rewrite it in tiles: gdal_translate -co TILED=YES"
        )


def _require_complete(path: Location, dataset: rasterio.DatasetReader) -> None:
    """Refuse truncated files, which GDAL detects only on reading a missing block; a window may never reach it.

    rasterio's `checksum` decodes all pixels to find them: 0.3 s instead of 0.01 s for a band of 4,608 x 5,120 px.
    Not a remote file: its server declares a size, and a window that cannot be fetched is an error.
    """
    if isinstance(path, RemoteFile):
        return
    size = path.stat().st_size
    for start, length in _block_ranges(dataset):
        if start + length > size:
            raise PipelineError(
                f"{path} is truncated: {size} bytes, but its pixels extend to byte {start + length}; "
                "copy or download it again"
            )


def _block_ranges(dataset: rasterio.DatasetReader) -> Iterator[tuple[int, int]]:
    """Yield offset and length in bytes of each block; (0, 0) for missing ones."""
    block_height, block_width = dataset.block_shapes[0]
    for band in range(1, 1 + (dataset.count if _is_planar(dataset) else 1)):
        for row in range(-(-dataset.height // block_height)):
            for column in range(-(-dataset.width // block_width)):
                start, length = (
                    int(dataset.get_tag_item(f"BLOCK_{tag}_{column}_{row}", "TIFF", bidx=band) or 0)
                    for tag in ("OFFSET", "SIZE")
                )
                yield start, length


def _is_planar(dataset: rasterio.DatasetReader) -> bool:
    """Return whether each band has blocks of its own."""
    return bool(dataset.interleaving and dataset.interleaving.name == "band")
