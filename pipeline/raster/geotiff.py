"""Read and write GeoTIFF files as arrays."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.blocks import FilePixels, Pixels
from pipeline.raster.file_formats import require_format
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.georeference import UNKNOWN, Georeference, read_georeference
from pipeline.raster.integrity import block_index_digest, is_one_strip, require_readable
from pipeline.raster.remote import Location
from pipeline.raster.sidecars import PAM, declares_colours, find_sidecars, refuse_external_mask

NO_POSITION = {"GEOREF_SOURCES": "NONE"}
"""GDAL's option to ignore the georeference."""
MAX_PIXELS = 1 << 28
"""Largest image in pixels that is read without a window."""


class GeoTiff:
    """An open GeoTIFF, or a PNG or JPEG, that has passed the checks of `open_geotiff`."""

    def __init__(
        self,
        path: Location,
        dataset: rasterio.DatasetReader,
        georeference: Georeference,
        damaged: list[str] | None = None,
        sidecar_colour_table: Path | None = None,
    ) -> None:
        self.path, self.name = path, str(path)
        self.height, self.width, self.count = int(dataset.height), int(dataset.width), int(dataset.count)
        self.dtypes: tuple[str, ...] = tuple(dataset.dtypes)
        self.nodata = tuple(dataset.nodatavals)
        """Declared no-data value of each band, or None."""
        self.descriptions: tuple[str | None, ...] = tuple(dataset.descriptions)
        self.scales, self.offsets = tuple(dataset.scales), tuple(dataset.offsets)
        """Of each band: a stored value means `scale * value + offset`."""
        self.is_jpeg = dataset.profile.get("compress") == "jpeg"
        structure = dataset.tags(ns="IMAGE_STRUCTURE") | dataset.tags(1, ns="IMAGE_STRUCTURE")
        self.bits = int(structure.get("NBITS", 8 * np.dtype(self.dtypes[0]).itemsize))
        """Bits of a sample; with 4 bits, uint8 ranges from 0 to 15."""
        self.white_is_zero = structure.get("MINISWHITE") == "YES"
        self.is_lab = structure.get("SOURCE_COLOR_SPACE") == "CIELAB"  # GDAL's RGB ignores its white point
        self.sidecar_colour_table = sidecar_colour_table
        """The `.aux.xml`, if it declares a colour table."""
        self.georeference = georeference
        self.colour_table = _colour_table(dataset) if dataset.colorinterp[0] == ColorInterp.palette else None
        """Colour table of the first band: RGBA of each value, uint8 (values, 4)."""
        self.alpha_band = _alpha_band(dataset)
        """Band marked as alpha, counted from 1. By default GDAL marks the fourth of four 8-bit bands, even if it is
        near infrared."""
        self._dataset = dataset
        mask_bands = _mask_bands(dataset)
        self.has_internal_mask = bool(mask_bands)
        """Whether a mask is stored in the file; no-data and alpha do not count."""
        self.pixels: Pixels = FilePixels(path, dataset, mask_bands, damaged)
        self.block_shape: tuple[int, int] = tuple(dataset.block_shapes[0])
        """Height and width of what GDAL decodes at once."""
        self.is_compressed = dataset.compression is not None
        self.is_one_strip = is_one_strip(dataset)
        """Whether a row above the last one read is reached only by decoding the file from its start."""

    def is_scaled(self, bands: tuple[int, ...]) -> bool:
        """Return whether any of these bands declares a scale or an offset; missing bands are skipped."""
        existing = [band - 1 for band in bands if 1 <= band <= self.count]
        return any((self.scales[index], self.offsets[index]) != (1, 0) for index in existing)

    def read(self, bands: tuple[int, ...] | None = None, window: Window | None = None) -> np.ndarray:
        """Read pixels as (bands, height, width) in the file's dtype.

        Args:
            bands: numbers counted from 1; None for all.
            window: None for the whole image.

        Raises:
            PipelineError: the file lacks a band, is too large, or its pixels cannot be decoded.
        """
        if missing := [band for band in bands or () if not 1 <= band <= self.count]:
            raise PipelineError(f"{self.path} has no band {missing[0]}; it has {self.count}, counted from 1")
        if window is None and self.height * self.width > MAX_PIXELS:
            raise PipelineError(
                f"{self.path} has {self.width} x {self.height} px; at most {MAX_PIXELS} are read at once "
                "(a whole Sentinel-2 tile has 120,560,400)"
            )
        return self.pixels.read(tuple(range(1, self.count + 1)) if bands is None else bands, self._window(window))

    @property
    def nodata_bands(self) -> tuple[int, ...]:
        """Bands with a declared no-data value, without the alpha band."""
        return tuple(band for band, value in enumerate(self.nodata, 1) if value is not None and band != self.alpha_band)

    def internal_mask(self, window: Window | None = None) -> np.ndarray:
        """Read the mask stored in the file, bool (height, width): False where hidden; no-data and alpha do not count.

        Raises:
            PipelineError: the mask cannot be decoded.
        """
        return self.pixels.internal_mask(self._window(window))

    def left_out(self, window: Window | None = None) -> np.ndarray:
        """Return bool (height, width): True in damaged blocks that were left out of what was read so far."""
        return self.pixels.left_out(self._window(window))

    def has_data(self, bands_CHW: np.ndarray, bands: tuple[int, ...]) -> np.ndarray:
        """Return bool of the same shape: False where a value is the declared no-data value of its band."""
        return np.stack(
            [~is_nodata(band_HW, self.nodata[band - 1]) for band_HW, band in zip(bands_CHW, bands, strict=True)]
        )

    def valid_mask(self, window: Window | None = None) -> np.ndarray:
        """Return bool (height, width): False where the internal mask hides a pixel, or all bands are no-data.

        Bands without a declared no-data value are not considered, nor is the alpha band.

        Raises:
            PipelineError: pixels cannot be decoded.
        """
        valid_HW = self.internal_mask(window)
        if self.nodata_bands:
            data_HW = np.zeros_like(valid_HW)
            for band in self.nodata_bands:  # one at a time: a file may have many
                data_HW |= self.has_data(self.read((band,), window), (band,))[0]
            valid_HW &= data_HW
        return valid_HW

    def block_index_digest(self) -> str:
        """Return a digest of the place and length of all blocks, which follow from the compressed pixels.

        Raises:
            PipelineError: the index cannot be read.
        """
        with file_errors(self.path, "is a damaged GeoTIFF"):
            return block_index_digest(self._dataset)

    def _window(self, window: Window | None) -> Window:
        return window or Window(0, 0, self.width, self.height)


@contextmanager
def open_geotiff(
    path: Location, damaged: list[str] | None = None, driver: str = "GTiff", with_position: bool = True
) -> Iterator[GeoTiff]:
    """Open and check a GeoTIFF, with the GTiff driver only: a VRT named .tif could read any file.

    Args:
        path: a file, with its sidecars; or a remote file, whose sidecars are ignored.
        damaged: None: a block that cannot be decoded is an error, and so is a truncated file. A list: such blocks are
            read as 0, hidden by the internal mask and by `left_out`, and appended as text, each once.
        driver: GDAL's name of another format; see `open_picture`.
        with_position: False for a GeoTIFF of which only pixels are needed: without its georeference, it opens in a
            third of the time.

    Raises:
        PipelineError: the file is missing, empty, damaged or truncated, or has a feature that is not supported.
    """
    if isinstance(path, Path):
        require_format(path, "TIFF" if driver == "GTiff" else driver)
    noun = "GeoTIFF" if driver == "GTiff" else driver
    sidecars = find_sidecars(path)
    refuse_external_mask(path, sidecars)
    has_colours = declares_colours(path, sidecars)
    options = {} if with_position or sidecars else NO_POSITION  # without sources of a position, GDAL ignores `.aux.xml`
    with file_errors(path, f"is not a readable {noun}"):
        dataset = open_dataset(path, driver=driver, with_sidecars=bool(sidecars), **options)
    with closing(dataset):
        with file_errors(path, f"is a damaged {noun}"):  # GDAL reads some tags only on access
            require_readable(path, dataset, allow_truncated=damaged is not None)
            georeference = read_georeference(path, dataset, sidecars) if with_position else UNKNOWN
            geotiff = GeoTiff(path, dataset, georeference, damaged, sidecars[PAM] if has_colours else None)
        yield geotiff


def write_geotiff(path: Path, bands_CHW: np.ndarray, georeference: Georeference | None = None, **profile: Any) -> None:
    """Write an uncompressed GeoTIFF in the dtype of `bands_CHW`.

    Args:
        path: parent folders are created.
        bands_CHW: pixels (bands, height, width).
        georeference: None for a file without one.
        profile: further creation options of GDAL's GTiff driver, such as `nodata`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands_CHW.shape
    options = profile | {"count": count, "height": height, "width": width, "dtype": bands_CHW.dtype}
    if georeference is not None:
        options = {"crs": georeference.crs, "transform": georeference.transform} | options
    with closing(open_dataset(path, "w", **options)) as dataset:
        dataset.write(bands_CHW)


def is_nodata(values: np.ndarray, nodata: float | None) -> np.ndarray:
    """Return, as bool of the same shape, where a value is the declared no-data value, which may be NaN."""
    if nodata is None:
        return np.zeros(values.shape, bool)
    if np.isnan(nodata):
        return np.asarray(np.isnan(values))
    if values.dtype.kind == "f" and np.isfinite(nodata):
        # decimal text is inexact, and may exceed the dtype: like GDAL, accept -3.4e38 for the lowest float32
        nodata = float(np.clip(nodata, np.finfo(values.dtype).min, np.finfo(values.dtype).max))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.isclose(values, nodata, rtol=1e-3 if abs(nodata) > 1e30 else 5e-7, atol=0))
    return np.asarray(values == nodata)


def _colour_table(dataset: rasterio.DatasetReader) -> np.ndarray:
    table = dataset.colormap(1)
    return np.array([table[value] for value in sorted(table)], np.uint8)


def _mask_bands(dataset: rasterio.DatasetReader) -> tuple[int, ...]:
    """Return the bands whose masks make up the internal mask: none without one, the first if it is shared, else all."""
    flags = set(dataset.mask_flag_enums[0])
    if flags & {MaskFlags.all_valid, MaskFlags.nodata, MaskFlags.alpha}:
        return ()
    return (1,) if MaskFlags.per_dataset in flags else tuple(range(1, dataset.count + 1))


def _alpha_band(dataset: rasterio.DatasetReader) -> int | None:
    marked = [band for band, meaning in enumerate(dataset.colorinterp, 1) if meaning == ColorInterp.alpha]
    is_alpha = marked and dataset.count > 1 and dataset.dtypes[marked[0] - 1] in ("uint8", "uint16")
    return marked[0] if is_alpha else None
