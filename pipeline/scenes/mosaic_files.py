"""What VRTs and tile indexes have in common: names of files, a grid as text, and how the rest is refused.

GDAL's drivers for both are never used: they open whatever file or address a VRT or an index of unknown origin names, by
any driver, while here only the GTiff driver opens files. They also combine bands of different files in one pixel.
"""

import math
import re
from pathlib import Path
from shlex import quote
from typing import NoReturn

import numpy as np
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference, crs_text
from pipeline.raster.grids import Grid
from pipeline.raster.sidecars import parse_crs

REMOTE = {"/vsicurl/": "", "/vsis3/": "s3://", "http://": "http://", "https://": "https://", "s3://": "s3://"}
"""Beginnings of the names of remote files, and what replaces them."""
MAX_SIDE = 2**31 - 1


def remote_url(name: str) -> str | None:
    """Return the `https://`, `http://` or `s3://` URL of a remote file; None if it is not remote."""
    beginning = next((prefix for prefix in REMOTE if name.startswith(prefix)), None)
    return None if beginning is None else REMOTE[beginning] + name.removeprefix(beginning)


def is_local_file(name: str) -> bool:
    """Return whether a name is a path: not a file in an archive or in memory, nor a connection to a driver."""
    return bool(name) and not name.startswith(("/vsi", "<")) and not re.match(r"\w+:", name)


def stated_grid(path: Path, width: float, height: float, transform: Affine, crs: str | None) -> Grid:
    """Return the grid that a VRT or an index states; parts of a pixel at its end count as a pixel.

    Raises:
        PipelineError: there is no such grid.
    """
    corners = np.array([*transform[:6], *(transform @ (width, height))])
    if transform.is_degenerate or not np.isfinite(corners).all() or not all(0 < s <= MAX_SIDE for s in (width, height)):
        raise PipelineError(
            f"{path} states an invalid extent or pixel size, {width:.12g} x {height:.12g} px with the geotransform "
            f"{', '.join(f'{value:.12g}' for value in transform.to_gdal())}; recreate it"
        )
    georeference = Georeference(crs_text(parse_crs(path, crs)) if crs else None, transform)
    return Grid(str(path), math.ceil(height), math.ceil(width), georeference)


def refuse(path: Path, problem: str) -> NoReturn:
    """Refuse what is not supported, with the command that makes a GeoTIFF of it."""
    raise PipelineError(
        f"{path} {problem}, which is not supported; let GDAL (for tile indexes 3.9 or later) write its pixels to a "
        "GeoTIFF: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE -co BIGTIFF=IF_SAFER "
        f"{quote(str(path))} {quote(path.stem)}.tif"
    )
