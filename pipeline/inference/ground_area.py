"""Areas on the ground."""

import math

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference


def min_pixels(hectares: float, georeference: Georeference, height: int, width: int) -> int:
    """Return the least number of pixels that cover `hectares` on the ground at the scene's centre.

    Args:
        hectares: minimum mapping unit, above 0.
        georeference: the scene's.
        height: rows of the scene.
        width: columns of the scene.

    Raises:
        PipelineError: the area of a pixel is unknown, or the unit is no area or larger than the scene.
    """
    if not 0 < hectares < math.inf:
        raise PipelineError(f"--mmu {hectares:g} is not an area: give hectares above 0, such as 0.5")
    area = pixel_area(georeference, height, width) / 10_000
    if not 0 < area < math.inf:
        raise PipelineError(
            f"--mmu {hectares:g}: the area of a pixel is unknown, as the scene has no georeference, or none on earth; "
            "set it by gdal_edit.py -a_srs EPSG:NNNN -a_ullr ULX ULY LRX LRY SCENE, or leave out --mmu"
        )
    if hectares > area * height * width:
        raise PipelineError(
            f"--mmu {hectares:g} is more than the whole scene: give at most its {area * height * width:.3g} ha"
        )
    return math.ceil(hectares / area * (1 - 1e-9))  # rounding errors must not add a pixel


def pixel_area(georeference: Georeference, height: int, width: int) -> float:
    """Return the area on the ellipsoid of the pixel at the scene's centre, m2; NaN if it has no place on earth.

    The area in the projection may be far off: in EPSG:3857 at 52 degrees north it is 2.6 times as large.
    """
    try:
        crs = CRS(georeference.crs) if georeference.crs and georeference.is_known else None
    except CRSError:
        crs = None
    geographic, geod = (crs.geodetic_crs, crs.get_geod()) if crs else (None, None)
    if crs is None or geographic is None or geod is None or not (crs.is_projected or crs.is_geographic):
        return math.nan
    row, column = height // 2, width // 2
    corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
    x, y = np.array([georeference.corner(*corner) for corner in corners]).T
    angles = np.array(Transformer.from_crs(crs, geographic, always_xy=True).transform(x, y))
    longitude, latitude = np.degrees(angles * geographic.axis_info[0].unit_conversion_factor)  # grads in France
    return float(abs(geod.polygon_area_perimeter(longitude, latitude)[0]))
