"""GeoTIFF files from and to arrays, opened with the GTiff driver alone and without the files beside them."""

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.session import DummySession
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.errors import PipelineError

MOST_AT_ONCE = 512 * 1024 * 1024
"""Bytes of one block, decoded; and of a whole file, however well it is compressed."""
MOST_COMPRESSED = 1100
"""Decoded bytes for each byte in a larger file; deflate reaches 1032."""
MOST_PIXELS = 1 << 28
"""Pixels that are read without a window."""
SKEWED = 1e-4
"""Pixels, for each along a side, that a square may be off before it is none."""
_ONE_BY_ONE = Lock()
"""For what Python keeps once for all threads, such as which warnings are shown."""


@dataclass(frozen=True)
class Georeference:
    """Where a picture's pixels lie."""

    crs: str | None
    """`EPSG:NNNN`, or WKT where the CRS has no code; None without a CRS."""
    transform: Affine
    """From (column, row) of a pixel's corner to (x, y)."""

    @property
    def known(self) -> bool:
        """Whether the file says where it lies."""
        return self.crs is not None or not self.transform.is_identity

    def place(self, row: int = 0, column: int = 0) -> dict[str, Any]:
        """x, y, crs, pixel_size of a chip whose top-left pixel is at `row`, `column`; nothing without a CRS."""
        if self.crs is None:
            return {}
        x, y = self.corner(row, column)
        return {"x": x, "y": y, "crs": self.crs, "pixel_size": self.pixel_size}

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in units of the CRS; None where pixels are turned, mirrored or not square.

        One number says nothing of where such pixels end.
        """
        across, down = float(self.transform.a), float(self.transform.e)
        skew = max(abs(self.transform.b), abs(self.transform.d), abs(across + down))
        return across if across > 0 and skew <= SKEWED * across else None

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """(x, y) of the top-left corner of the pixel at `row`, `column`."""
        x, y = self.transform @ (column, row)
        return float(x), float(y)


class GeoTiff:
    """An open GeoTIFF that is known to be whole."""

    def __init__(self, path: Path, dataset: rasterio.DatasetReader) -> None:
        self.path = path
        self.height, self.width, self.count = int(dataset.height), int(dataset.width), int(dataset.count)
        self.dtypes: tuple[str, ...] = tuple(dataset.dtypes)
        self.nodata: float | None = dataset.nodata
        self.is_jpeg = dataset.profile.get("compress") == "jpeg"  # then values are not those that were written
        self.georeference = Georeference(_crs_name(dataset.crs), dataset.transform)
        self.alpha = _alpha_band(dataset)
        """The band that the file marks as transparency, counted from 1. GDAL marks the fourth of four bands of 8 bits
        unasked, whatever it holds."""
        self._dataset = dataset

    def read(self, bands: tuple[int, ...] | None = None, window: Window | None = None) -> np.ndarray:
        """Pixels as (bands, height, width) in the file's dtype.

        Args:
            bands: numbers counted from 1; all without it.
            window: the part to read; all without it.

        Raises:
            PipelineError: the file lacks a band, or its pixels cannot be decoded.
        """
        if missing := [band for band in bands or () if not 1 <= band <= self.count]:
            raise PipelineError(f"{self.path} has no band {missing[0]}; it has {self.count}, counted from 1")
        if window is None and self.height * self.width > MOST_PIXELS:
            raise PipelineError(
                f"{self.path} has {self.width} x {self.height} px; at most {MOST_PIXELS} are read at once "
                "(a whole Sentinel-2 tile has 120,560,400)"
            )
        try:
            return np.asarray(self._dataset.read(None if bands is None else list(bands), window=window))
        except RasterioError as error:
            raise PipelineError(f"{self.path} cannot be read, the file is damaged: {_reason(error)}") from None

    def valid(self, window: Window | None = None) -> np.ndarray:
        """(height, width) of bool: False where the file declares no-data, by value or mask; alpha is left to others.

        Raises:
            PipelineError: its pixels cannot be decoded.
        """
        try:
            if self.alpha is None:
                return np.asarray(self._dataset.dataset_mask(window=window)) > 0
            if any(MaskFlags.alpha in flags for flags in self._dataset.mask_flag_enums):  # nothing else is declared
                return np.ones((self.height, self.width) if window is None else (window.height, window.width), bool)
            others = [band for band in range(1, self.count + 1) if band != self.alpha]
            with _ONE_BY_ONE, warnings.catch_warnings():  # that GDAL does not look at alpha then
                warnings.simplefilter("ignore", NodataShadowWarning)
                masks_CHW = np.asarray(self._dataset.read_masks(others, window=window))
            return np.asarray(masks_CHW.any(axis=0))
        except RasterioError as error:
            raise PipelineError(f"{self.path} cannot be read, the file is damaged: {_reason(error)}") from None


@contextmanager
def open_geotiff(path: Path) -> Iterator[GeoTiff]:
    """Open a raw file with the GTiff driver alone: a VRT named .tif would read whatever files it names.

    Raises:
        PipelineError: no such file, empty, no GeoTIFF, a mask beside it, a place that is none, or shorter than its
            own table of blocks says.
    """
    if not path.is_file():
        raise PipelineError(f"{path} does not exist")
    if not path.stat().st_size:
        raise PipelineError(f"{path} is empty (0 bytes); copy or download it again")
    if path.with_name(f"{path.name}.msk").exists():
        raise PipelineError(
            f"{path} has its mask in a file beside it, {path.name}.msk, which is not read; write the mask into the "
            "GeoTIFF (gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES) or remove that file"
        )
    try:
        dataset = _rasterio_open(path)
    except RasterioError as error:
        raise PipelineError(f"{path} is not a readable GeoTIFF: {_reason(error)}") from None
    with closing(dataset):
        try:
            _refuse_claims(path, dataset)
            _refuse_place(path, dataset)
            _refuse_truncated(path, dataset)
            whole = GeoTiff(path, dataset)
        except (RasterioError, CPLE_BaseError) as error:  # GDAL looks at some tags only when asked for them
            raise PipelineError(f"{path} is a damaged GeoTIFF: {_reason(error)}") from None
        yield whole


def write_geotiff(path: Path, bands_CHW: np.ndarray, georeference: Georeference | None = None, **profile: Any) -> None:
    """Write an uncompressed GeoTIFF.

    Args:
        path: its folder is made.
        bands_CHW: pixels (bands, height, width), in the dtype that the file shall have.
        georeference: None writes a file without one.
        profile: further creation options of GDAL's GTiff driver, such as `nodata`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands_CHW.shape
    place: dict[str, Any] = {}
    if georeference is not None:
        place = {"crs": georeference.crs, "transform": georeference.transform}
    options = place | profile | {"count": count, "height": height, "width": width, "dtype": bands_CHW.dtype}
    with closing(_rasterio_open(path, "w", **options)) as dataset:
        dataset.write(bands_CHW)


def _rasterio_open(path: Path, mode: str = "r", **options: Any) -> Any:
    """Open without the warning that a file says nothing of where it lies: such files are common here."""
    # DummySession: else rasterio looks for the AWS profile of whoever has named one, and fails when it is not there;
    # EMPTY_DIR: else GDAL opens a .msk or .ovr beside the file with whatever driver fits, such as VRT
    env = rasterio.Env(session=DummySession(), GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
    with _ONE_BY_ONE, env, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, mode, driver="GTiff", **options)


def _refuse_claims(path: Path, dataset: rasterio.DatasetReader) -> None:
    """A few bytes may claim a billion pixels, for which memory would be asked and blocks looked for."""
    size = path.stat().st_size
    block_height, block_width = dataset.block_shapes[0]
    width_of_pixel = max(np.dtype(name).itemsize for name in dataset.dtypes) * dataset.count
    claimed = dataset.height * dataset.width * width_of_pixel
    blocks = -(-dataset.height // block_height) * -(-dataset.width // block_width)
    if claimed > max(MOST_AT_ONCE, MOST_COMPRESSED * size) or (blocks > 1 and blocks * 4 > size):
        raise PipelineError(
            f"{path} claims {dataset.width} x {dataset.height} px of {width_of_pixel} bytes in a file of {size} bytes; "
            "it is damaged or hostile: copy or download it again"
        )
    if block_height * block_width * width_of_pixel > MOST_AT_ONCE:
        raise PipelineError(
            f"{path} is stored in blocks of {block_width} x {block_height} px, which are too large to decode; "
            "write it in tiles: gdal_translate -co TILED=YES"
        )


def _refuse_place(path: Path, dataset: rasterio.DatasetReader) -> None:
    """No corner could be computed of it, nor written as JSON."""
    transform = dataset.transform
    corner = transform @ (dataset.width, dataset.height)
    if transform.is_degenerate or not np.isfinite([*transform[:6], *corner]).all():
        raise PipelineError(
            f"{path} does not say where it lies: its geotransform is {[float(each) for each in transform[:6]]}, which "
            "must be finite, with pixels of some area; set it with gdal_edit.py -a_ullr, or remove it with -unsetgt"
        )


def _refuse_truncated(path: Path, dataset: rasterio.DatasetReader) -> None:
    """GDAL notices a cut file only when it reads the missing block, and a window may never get there."""
    size = path.stat().st_size
    block_height, block_width = dataset.block_shapes[0]
    planes = dataset.count if dataset.interleaving and dataset.interleaving.name == "band" else 1
    for band in range(1, planes + 1):
        for row in range(-(-dataset.height // block_height)):
            for column in range(-(-dataset.width // block_width)):
                place = f"{column}_{row}"
                start = int(dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band) or 0)
                length = int(dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band) or 0)
                if start + length > size:
                    raise PipelineError(
                        f"{path} is truncated: {size} bytes, but its pixels reach to byte {start + length}; "
                        "copy or download it again"
                    )


def _alpha_band(dataset: rasterio.DatasetReader) -> int | None:
    marked = [band for band, means in enumerate(dataset.colorinterp, 1) if means is ColorInterp.alpha]
    return marked[0] if marked and dataset.count > 1 and dataset.dtypes[marked[0] - 1] in ("uint8", "uint16") else None


def _crs_name(crs: CRS | None) -> str | None:
    code = crs.to_epsg(confidence_threshold=100) if crs else None
    return f"EPSG:{code}" if code else str(crs.to_wkt()) if crs else None


def _reason(error: Exception) -> str:
    """GDAL's own words, which rasterio keeps as the cause."""
    return " ".join(str(error.__cause__ or error).split())
