"""A scene in one GeoTIFF, or in one GeoTIFF a band."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.orthophoto.image_bands import Bands
from pipeline.orthophoto.transparency import find_transparency
from pipeline.raster.derived import stack_files
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.imagery import to_8bit
from pipeline.raster.remote import RemoteFile, locate
from pipeline.raster.sidecars import with_sidecars
from pipeline.scenes.row_buffer import RowBuffer
from pipeline.scenes.scene import ReadOptions, grid_notes
from pipeline.scenes.scene_bands import (
    choose_bands,
    model_stretch,
    read_bands,
    require_contrast,
    require_values,
    sample_windows,
)


class GeoTiffScene:
    """An open GeoTIFF in 8 bits; it may be read by a thread other than the one that opened it, but by one only."""

    def __init__(
        self, files: Sequence[GeoTiff], image: GeoTiff, bands: Bands, options: ReadOptions, damaged: list[str]
    ) -> None:
        """Find transparency; `image` presents the files as one.

        Raises:
            PipelineError: the values do not suit the model, or pixels cannot be decoded.
        """
        self.name, self.damaged = " ".join(str(file.path) for file in files), damaged
        self.height, self.width, self.georeference = image.height, image.width, image.georeference
        self.band_count = len(bands)
        self.identity: list[Any] = [part for file in files for part in _identity(file)]
        self.files = [file.path for file in files if isinstance(file.path, Path)]
        self._image, self._bands, self._imagery = image, bands, options.imagery
        require_values(image, bands, options.imagery)
        transparency = find_transparency(image, bands, sample_windows(self.height, self.width, _is_slow(image)))
        self._alpha_band = transparency.band
        self._rows = RowBuffer(self._decode, self.width, self.band_count) if _is_slow(image) else None
        self.notes = [
            *grid_notes(self.name, image.georeference),
            *_layout_notes(image),
            *([_UNUSED_ALPHA.format(image.path)] if transparency.is_unused else []),
        ]

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, as `Scene.read`."""
        return self._decode(window) if self._rows is None else self._rows.read(window)

    def _decode(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        bands_CHW, valid_HW = read_bands(self._image, self._bands, self._imagery, window)
        if self._alpha_band is not None:
            valid_HW &= self._image.read((self._alpha_band,), window)[0] > 0
        valid_HW &= ~self._image.left_out(window)
        return to_8bit(bands_CHW, self._imagery, valid_HW), valid_HW


_UNUSED_ALPHA = "{}: its alpha band is ignored, since it has more than two values, as near infrared has"


def open_scene(source: str, options: ReadOptions, check_values: bool = True) -> AbstractContextManager[GeoTiffScene]:
    """Open a GeoTIFF as a scene.

    Args:
        source: a path, with its sidecars; or `https://…`, `http://…` or `s3://bucket/key`, without.
        options: conversion to 8 bits.
        check_values: whether to look for values that would all be black or white; a mosaic may do this once.

    Raises:
        PipelineError: it cannot be read, is not supported, or its bands or values do not suit the model.
    """
    return _open([source], options, check_values)


def open_band_files(
    sources: Sequence[str], options: ReadOptions, check_values: bool = True
) -> AbstractContextManager[GeoTiffScene]:
    """Open GeoTIFFs of one band each, red, green, blue and any others on one grid, as a scene.

    Args:
        sources: paths or URLs, as in `open_scene`, as many as the model has bands and in their order.
        options: conversion to 8 bits; the model's band numbers and names do not count.
        check_values: as in `open_scene`.

    Raises:
        PipelineError: as `open_scene`, or the files differ in grid or data type.
    """
    count = len(options.imagery.bands)
    if len(sources) != count:
        needed = "three, of red, green and blue" if count == IMAGE_BANDS else f"{count}: {options.imagery.band_list}"
        raise PipelineError(f"--bands has {len(sources)} files; it takes {needed}")
    return _open(sources, options, check_values, is_separate=True)


@contextmanager
def _open(
    sources: Sequence[str], options: ReadOptions, check_values: bool, is_separate: bool = False
) -> Iterator[GeoTiffScene]:
    damaged: list[str] | None = [] if options.on_error == "skip" else None
    imagery = options.imagery
    model_stretch(imagery)  # before any request
    with ExitStack() as stack:
        files = [stack.enter_context(open_geotiff(locate(source), damaged)) for source in sources]
        image = stack_files(files) if is_separate else files[0]
        if options.bands is not None:
            imagery = replace(imagery, bands=tuple(map(str, options.bands)))
        bands = tuple(range(1, image.count + 1)) if is_separate else choose_bands(image, imagery)
        if options.nodata is not None:
            image.nodata = (options.nodata,) * image.count
        scene = GeoTiffScene(files, image, bands, options, [] if damaged is None else damaged)
        if check_values:
            require_contrast(image, bands, options.imagery)
        yield scene


def _identity(file: GeoTiff) -> list[Any]:
    """Return JSON values that change when the pixels of a file change.

    Of a local file and its sidecars: path, size and time of modification. Of a remote file: the URL and a digest of the
    place and length of its blocks, which usually change with compressed pixels, but not with uncompressed ones.
    """
    if isinstance(file.path, RemoteFile):
        return [[str(file.path), file.block_index_digest()]]
    return [[str(path.resolve()), *_size_and_time(path)] for path in with_sidecars([file.path])]


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _is_slow(image: GeoTiff) -> bool:
    """Return whether reading a window decodes many rows beyond it, over the whole width."""
    return image.is_one_strip or (
        image.is_compressed and image.block_shape[1] == image.width and image.block_shape[0] > 256
    )


def _layout_notes(image: GeoTiff) -> list[str]:
    """Return what the user should know about a file's layout."""
    notes = []
    if _is_slow(image):
        rows = image.height if image.is_one_strip else image.block_shape[0]
        notes.append(
            f"{image.path} is stored in strips of {rows} rows, each decoded whole; a tiled copy takes less time and "
            f"memory: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE {quote(str(image.path))} tiled.tif"
        )
    return notes
