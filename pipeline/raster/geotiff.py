"""GeoTIFF files from and to arrays, opened with the GTiff driver alone; `sidecars.py` reads what lies beside them."""

import errno
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.session import DummySession
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.sidecars import PAM, Pam, beside, read_pam, read_prj, read_world, refuse_mask, refuse_unread
from pipeline.raster.whole import refuse_place, refuse_unreadable

T = TypeVar("T")

MOST_PIXELS = 1 << 28
"""Pixels that are read without a window."""
SKEWED = 1e-4
"""Pixels, for each along a side, that a square may be off before it is none."""
UNDECODABLE = "cannot be read, the file is damaged"
LIBRARY_ERRORS = (RasterioError, CPLE_BaseError, ValueError, TypeError, LookupError, OverflowError, MemoryError)
"""What rasterio, GDAL and numpy raise over a file that they dislike; caught around calls into them alone."""
CACHED_MIB = 512
"""Of decoded blocks that GDAL keeps, unless GDAL_CACHEMAX says else: 5 % of a large machine's memory is a lot."""
os.environ.setdefault("GDAL_CACHEMAX", str(CACHED_MIB))
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
        """Whether the file says where it lies; a CRS alone does not."""
        return not self.transform.is_identity

    def place(self, row: int = 0, column: int = 0) -> dict[str, Any]:
        """x, y, crs, pixel_size of a chip whose top-left pixel is at `row`, `column`; nothing where that is unknown."""
        if self.crs is None or not self.known:
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

    def __init__(self, path: Path, dataset: rasterio.DatasetReader, pam: Pam, georeference: Georeference) -> None:
        self.path = path
        self.height, self.width, self.count = int(dataset.height), int(dataset.width), int(dataset.count)
        self.dtypes: tuple[str, ...] = tuple(dataset.dtypes)
        self.nodata = _by_band(dataset.nodatavals, pam.nodata)
        """What is declared as no-data, or None, band by band."""
        self.scales, self.offsets = _by_band(dataset.scales, pam.scales), _by_band(dataset.offsets, pam.offsets)
        """A value stands for `scale * value + offset`, band by band."""
        self.is_jpeg = dataset.profile.get("compress") == "jpeg"  # then values are not those that were written
        structure = dataset.tags(ns="IMAGE_STRUCTURE") | dataset.tags(1, ns="IMAGE_STRUCTURE")
        self.bits = int(structure.get("NBITS", 8 * np.dtype(self.dtypes[0]).itemsize))
        """Bits that a sample uses; 4 leave uint8 at 0 to 15."""
        self.white_is_zero = structure.get("MINISWHITE") == "YES"
        self.is_lab = structure.get("SOURCE_COLOR_SPACE") == "CIELAB"  # then RGB is made of it without its white
        self.colour_table = pam.colour_table
        """The file beside it that gives it a colour table; its own is `colours`."""
        self.georeference = georeference
        means = _by_band([each.name for each in dataset.colorinterp], pam.interpretations)
        self.colours = _colours(dataset) if means[0] == "palette" == dataset.colorinterp[0].name else None
        """The colour table of its first band: RGBA of each value, uint8 (values, 4)."""
        self.alpha = _alpha_band(means, self.dtypes)
        """The band that the file marks as transparency, counted from 1. GDAL marks the fourth of four bands of 8 bits
        unasked, whatever it holds."""
        self._mask_bands = _mask_bands(dataset)
        self._dataset = dataset

    def is_scaled(self, bands: tuple[int, ...]) -> bool:
        """Whether values of these bands stand for others; bands that it lacks are not looked at."""
        units = [(self.scales[band - 1], self.offsets[band - 1]) for band in bands if 1 <= band <= self.count]
        return any(unit != (1, 0) for unit in units)

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
        with _blamed(self.path, UNDECODABLE):
            return np.asarray(self._dataset.read(None if bands is None else list(bands), window=window))

    def shown(self, window: Window | None = None) -> np.ndarray:
        """(height, width) of bool: False where the file's own mask hides a pixel; no-data and alpha are left to others.

        Raises:
            PipelineError: its mask cannot be decoded.
        """
        shape = (self.height, self.width) if window is None else (window.height, window.width)
        shown_HW = np.full(shape, not self._mask_bands)
        with _blamed(self.path, UNDECODABLE):
            for band in self._mask_bands:
                shown_HW |= self._dataset.read_masks(band, window=window) > 0
        return shown_HW

    def holds(self, bands_CHW: np.ndarray, bands: tuple[int, ...]) -> np.ndarray:
        """Bool of the same shape: False where a value is the one that its band declares as no-data."""
        return np.stack(
            [~equals(band_HW, self.nodata[band - 1]) for band_HW, band in zip(bands_CHW, bands, strict=True)]
        )

    def valid(self, window: Window | None = None) -> np.ndarray:
        """(height, width) of bool: False where the mask hides, or each band that declares no-data holds it.

        Alpha is left to others, and declares nothing.

        Raises:
            PipelineError: its pixels cannot be decoded.
        """
        valid_HW = self.shown(window)
        declaring = [n for n, nodata in enumerate(self.nodata, 1) if nodata is not None and n != self.alpha]
        if declaring:
            held_HW = np.zeros_like(valid_HW)
            for band in declaring:  # one by one: a file may have many
                held_HW |= self.holds(self.read((band,), window), (band,))[0]
            valid_HW &= held_HW
        return valid_HW


@contextmanager
def open_geotiff(path: Path) -> Iterator[GeoTiff]:
    """Open a raw file with the GTiff driver alone: a VRT named .tif would read whatever files it names.

    Raises:
        PipelineError: no such file, empty, no GeoTIFF, a mask beside it, a place that is none, or what
            `pipeline.raster.whole` refuses.
    """
    if not path.is_file():
        raise PipelineError(f"{path} does not exist")
    if not path.stat().st_size:
        raise PipelineError(f"{path} is empty (0 bytes); copy or download it again")
    files = beside(path)
    refuse_mask(path, files)
    pam = read_pam(files.get(PAM))
    with _blamed(path, "is not a readable GeoTIFF"):
        dataset = _rasterio_open(path)
    with closing(dataset):
        with _blamed(path, "is a damaged GeoTIFF"):  # GDAL looks at some tags only when asked for them
            sparse = refuse_unreadable(path, dataset)
            if sparse and any(dataset.nodatavals[band - 1] != nodata for band, nodata in pam.nodata.items()):
                raise PipelineError(
                    f"{files[PAM]} declares no-data, with which the blocks that {path.name} leaves out are not filled; "
                    "write it into the GeoTIFF (gdal_edit.py -a_nodata) and remove that file"
                )
            georeference = _georeference(path, dataset, pam, files)
            whole = GeoTiff(path, dataset, pam, georeference)
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


@contextmanager
def _blamed(path: Path, trouble: str) -> Iterator[None]:
    """Put any error of the libraries on the file: `trouble` follows its name."""
    try:
        with rasterio.Env(session=DummySession()):  # else GDAL prints what it wonders at
            yield
    except LIBRARY_ERRORS as error:
        if os.strerror(errno.EMFILE) in str(error):  # GDAL tells of it in words alone
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path)) from None
        raise PipelineError(f"{path} {trouble}: {_reason(error)}") from None


def equals(values: np.ndarray, nodata: float | None) -> np.ndarray:
    """Bool of the same shape: where a value is the one declared as no-data, which may be NaN."""
    if nodata is None:
        return np.zeros(values.shape, bool)
    if np.isnan(nodata):
        return np.asarray(np.isnan(values))
    if values.dtype.kind == "f" and np.isfinite(nodata):
        # a text may say a little more than the dtype can hold, or less: GDAL too takes -3.4e38 for float32's lowest
        nodata = float(np.clip(nodata, np.finfo(values.dtype).min, np.finfo(values.dtype).max))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.isclose(values, nodata, rtol=1e-3 if abs(nodata) > 1e30 else 5e-7, atol=0))
    same: np.ndarray = values == nodata
    return same


def _georeference(path: Path, dataset: rasterio.DatasetReader, pam: Pam, files: dict[str, Path]) -> Georeference:
    """By `.aux.xml`, else by the file itself, else by its world file and `.prj`: GDAL's order."""
    own: Affine = dataset.transform
    found = (pam.transform, None if own.is_identity else own, read_world(path, files) if own.is_identity else None)
    transform = next((each for each in found if each is not None), own)
    if transform.is_identity:
        refuse_unread(path, files)
        if dataset.gcps[0]:
            raise PipelineError(
                f"{path} says where it lies by ground control points, which are not read; warp it first: gdalwarp"
            )
    refuse_place(path, transform, dataset.width, dataset.height)
    return Georeference(_crs_name(pam.crs or dataset.crs or read_prj(files)), transform)


def _by_band(own: Sequence[T], above: Mapping[int, T]) -> tuple[T, ...]:
    """What a file says of its bands, but where an `.aux.xml` says else."""
    return tuple(above.get(band, each) for band, each in enumerate(own, 1))


def _colours(dataset: rasterio.DatasetReader) -> np.ndarray:
    table = dataset.colormap(1)
    return np.array([table[value] for value in sorted(table)], np.uint8)


def _mask_bands(dataset: rasterio.DatasetReader) -> tuple[int, ...]:
    """The bands to ask for the file's own mask: none without one, one if it is that of all, else each has its own."""
    flags = set(dataset.mask_flag_enums[0])
    if flags & {MaskFlags.all_valid, MaskFlags.nodata, MaskFlags.alpha}:
        return ()
    return (1,) if MaskFlags.per_dataset in flags else tuple(range(1, dataset.count + 1))


def _alpha_band(means: Sequence[str], dtypes: Sequence[str]) -> int | None:
    marked = [band for band, each in enumerate(means, 1) if each == "alpha"]
    return marked[0] if marked and len(means) > 1 and dtypes[marked[0] - 1] in ("uint8", "uint16") else None


def _crs_name(crs: CRS | None) -> str | None:
    code = crs.to_epsg(confidence_threshold=100) if crs else None
    return f"EPSG:{code}" if code else str(crs.to_wkt()) if crs else None


def _reason(error: Exception) -> str:
    """GDAL's own words, which rasterio keeps as the cause."""
    return " ".join(str(error.__cause__ or error).split()) or type(error).__name__
