"""Position of an image's pixels: CRS and affine transform."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.remote import Location
from pipeline.raster.sidecars import position_files, read_prj

SQUARE_TOLERANCE = 1e-4
"""Relative deviation up to which a pixel counts as an upright square."""


@dataclass(frozen=True)
class Georeference:
    """CRS and transform of an image."""

    crs: str | None
    """`EPSG:NNNN`, or WKT for a CRS without a code; None without a CRS."""
    transform: Affine
    """From (column, row) of a pixel corner to (x, y)."""

    @property
    def is_known(self) -> bool:
        """Whether the file has a transform; a CRS alone gives no position."""
        return not self.transform.is_identity

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in units of the CRS; None if pixels are rotated, mirrored or not square."""
        width, height = float(self.transform.a), float(self.transform.e)
        skew = max(abs(self.transform.b), abs(self.transform.d), abs(width + height))
        return width if width > 0 and skew <= SQUARE_TOLERANCE * width else None

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Return (x, y) of the top-left corner of the pixel at `row`, `column`."""
        x, y = self.transform @ (column, row)
        return float(x), float(y)

    def locate(self, row: int = 0, column: int = 0) -> dict[str, Any]:
        """Return x, y, crs, pixel_size of a chip with its top-left pixel at `row`, `column`; empty if unknown."""
        if self.crs is None or not self.is_known:
            return {}
        x, y = self.corner(row, column)
        return {"x": x, "y": y, "crs": self.crs, "pixel_size": self.pixel_size}


UNKNOWN = Georeference(None, Affine.identity())


def read_georeference(path: Location, dataset: rasterio.DatasetReader, sidecars: dict[str, Path]) -> Georeference:
    """Read the georeference of an open GeoTIFF: `.aux.xml`, else the file, else world file, `.tab` and `.prj`.

    Raises:
        PipelineError: the transform is invalid, or the georeference is in a form that is not supported.
    """
    transform: Affine = dataset.transform
    if transform.is_identity and dataset.gcps[0]:
        raise PipelineError(
            f"{path} is georeferenced by ground control points, which are not supported; warp it first: gdalwarp"
        )
    if transform.is_identity and (unread := position_files(path, sidecars)):
        raise PipelineError(
            f"{unread[0]} may contain the georeference of {path}, but none can be read from it; write the georeference "
            "into the GeoTIFF (gdal_edit.py -a_srs -a_ullr) or remove that file"
        )
    _require_finite(path, transform, dataset.width, dataset.height)
    return Georeference(crs_text(dataset.crs or read_prj(sidecars)), transform)


def _require_finite(path: Location, transform: Affine, width: int, height: int) -> None:
    """Refuse transforms by which a corner could not be computed, or not be written as JSON."""
    corner = transform @ (width, height)
    if transform.is_degenerate or not np.isfinite([*transform[:6], *corner]).all():
        raise PipelineError(
            f"{path} has an invalid geotransform, {[float(value) for value in transform[:6]]}; it must be finite, with "
            "pixels of non-zero area: set it with gdal_edit.py -a_ullr, or remove it with -unsetgt"
        )


def crs_text(crs: CRS | None) -> str | None:
    """Return `EPSG:NNNN`, or WKT for a CRS without a code."""
    code = crs.to_epsg(confidence_threshold=100) if crs else None
    return f"EPSG:{code}" if code else str(crs.to_wkt()) if crs else None
