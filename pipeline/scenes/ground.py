"""Size and area of pixels on the ground, and whether a model was trained on such."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference

HECTARE = 10_000
"""In m²."""
MAX_RATIO = 1.2
"""Ratio of pixel sizes above which networks, which are not invariant to scale, are no longer trusted."""
MIN_METRES = 0.002
"""Smallest size in model.json that is taken as metres: no camera has it, but as degrees it is 220 m."""


@dataclass(frozen=True)
class GroundSize:
    """Size of a pixel on the ground in metres."""

    width: float
    """Along a row."""
    height: float
    """Along a column."""

    def __str__(self) -> str:
        """Return it for messages, such as 5.12 x 10.2 m."""
        return f"{self.width:.3g} x {self.height:.3g} m"


def ground_size(georeference: Georeference, height: int, width: int) -> GroundSize | None:
    """Measure the pixel at the centre of a scene along the ellipsoid of its CRS.

    The units of a CRS are not metres on the ground: degrees are shorter to the east than to the north, and those of
    EPSG:3857 shrink by the cosine of the latitude.

    Args:
        georeference: of the scene.
        height: of the scene in pixels.
        width: of the scene in pixels.

    Returns:
        None without a transform, a CRS, or a position on the Earth.
    """
    columns = width / 2 + np.array([-0.5, 0.5, 0.0, 0.0])
    rows = height / 2 + np.array([0.0, 0.0, -0.5, 0.5])
    positions = ground_positions(georeference, columns, rows)
    if positions is None:
        return None
    geod, lon, lat = positions
    _, _, distances = geod.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    return GroundSize(*(float(distance) for distance in distances)) if min(distances) > 0 else None


def pixel_area(georeference: Georeference, height: int, width: int) -> float | None:
    """Return the area of the pixel at the centre of a scene on the ellipsoid in m²; None as in `ground_size`.

    In the plane of the projection it may be far off: in EPSG:3857 at 52° N it is 2.6 times as large.
    """
    columns, rows = width / 2 + np.array([-0.5, 0.5, 0.5, -0.5]), height / 2 + np.array([-0.5, -0.5, 0.5, 0.5])
    positions = ground_positions(georeference, columns, rows)
    if positions is None:
        return None
    geod, lon, lat = positions
    area = float(abs(geod.polygon_area_perimeter(lon, lat)[0]))
    return area if area > 0 else None  # NaN beyond the poles


def min_pixels(hectares: float, georeference: Georeference, height: int, width: int) -> int:
    """Return the least number of pixels that cover `hectares` on the ground at the scene's centre.

    Args:
        hectares: minimum mapping unit, above 0.
        georeference: of the scene.
        height: of the scene in pixels.
        width: of the scene in pixels.

    Raises:
        PipelineError: the area of a pixel is unknown, or the unit is larger than the scene.
    """
    area = pixel_area(georeference, height, width)
    if area is None:
        raise PipelineError(
            f"--mmu {hectares:g}: the area of a pixel is unknown, as the scene has no georeference, or none on Earth; "
            "set it by gdal_edit.py -a_srs EPSG:NNNN -a_ullr WEST NORTH EAST SOUTH, or omit --mmu"
        )
    if hectares > area * height * width / HECTARE:
        raise PipelineError(
            f"--mmu {hectares:g} is more than the whole scene: give at most its "
            f"{area * height * width / HECTARE:.3g} ha"
        )
    return math.ceil(HECTARE * hectares / area * (1 - 1e-9))  # rounding errors must not add a pixel


def ground_positions(
    georeference: Georeference, columns: np.ndarray, rows: np.ndarray
) -> tuple[Geod, np.ndarray, np.ndarray] | None:
    """Return the ellipsoid of a scene's CRS, and longitudes and latitudes in degrees of points given in pixels.

    None without a transform, a CRS, or a position on the Earth.
    """
    if georeference.crs is None or not georeference.is_known:
        return None
    crs = CRS.from_user_input(georeference.crs)
    geod, geographic = crs.get_geod(), crs.geodetic_crs
    if geod is None or geographic is None or not (crs.is_projected or crs.is_geographic):  # an engineering CRS
        return None
    try:
        to_angles = Transformer.from_crs(crs, geographic, always_xy=True)
    except ProjError:
        return None
    angles = np.array(to_angles.transform(*(georeference.transform @ (columns, rows))))
    lon, lat = np.degrees(angles * geographic.axis_info[0].unit_conversion_factor)  # grads in France
    return (geod, lon, lat) if np.isfinite([lon, lat]).all() else None


def training_size(trained: Sequence[float], ground: GroundSize) -> float:
    """Return the pixel size of the training in metres that is closest to a scene's, by ratio.

    Args:
        trained: `pixel_sizes` of model.json, in units of the training CRS, which the model does not name; taken as
            metres.
        ground: of the scene.

    Raises:
        PipelineError: the model was trained without a georeference, or its sizes can only be degrees.
    """
    if not trained:
        raise PipelineError(
            "the model does not contain the pixel size it was trained at: its chips had no georeference; omit "
            "--resample, or resample the scene: gdalwarp -tr"
        )
    if min(trained) < MIN_METRES:
        raise PipelineError(
            f"the model was trained at a pixel size of {_list(trained)}, which can only be degrees: in metres it is "
            "unknown; omit --resample, or resample the scene: gdalwarp -tr"
        )
    middle = math.log(ground.width * ground.height) / 2
    return min(trained, key=lambda size: abs(math.log(size) - middle))


def pixel_size_note(georeference: Georeference, height: int, width: int, trained: Sequence[float]) -> str | None:
    """Return a line if pixels on the ground differ by more than 20 % from those of the training, or are incomparable.

    Args:
        georeference: of the scene.
        height: of the scene in pixels.
        width: of the scene in pixels.
        trained: see `training_size`.

    Returns:
        None if they agree, or if neither the model nor the scene has sizes to compare.
    """
    ground = ground_size(georeference, height, width)
    if ground is None or not trained:
        return None
    pixel = f"a pixel is {ground} on the ground"
    if min(trained) < MIN_METRES:
        return f"{pixel}; the model was trained at {_list(trained)}, which can only be degrees: not compared"
    lowest, highest = min(trained) / MAX_RATIO, max(trained) * MAX_RATIO
    if lowest <= min(ground.width, ground.height) and max(ground.width, ground.height) <= highest:
        return None
    return (
        f"{pixel}; the model was trained at {_list(trained)} (units of its CRS, taken as metres): at other sizes "
        "its accuracy is unknown; --resample maps at the pixel size of the training"
    )


def _list(sizes: Sequence[float]) -> str:
    return ", ".join(f"{size:g}" for size in sorted(sizes))
