"""Size of pixels on the ground, and whether a model was trained on such."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference

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
    if georeference.crs is None or not georeference.is_known:
        return None
    crs = CRS.from_user_input(georeference.crs)
    geod = crs.get_geod()
    if geod is None or crs.geodetic_crs is None:  # an engineering CRS
        return None
    columns = width / 2 + np.array([-0.5, 0.5, 0.0, 0.0])
    rows = height / 2 + np.array([0.0, 0.0, -0.5, 0.5])
    try:
        to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    except ProjError:
        return None
    lon, lat = to_degrees.transform(*(georeference.transform @ (columns, rows)))
    if not np.isfinite([lon, lat]).all():
        return None
    _, _, distances = geod.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    return GroundSize(*(float(distance) for distance in distances)) if min(distances) > 0 else None


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
        f"{pixel}; the model was trained at {_list(trained)} (units of its CRS, taken as metres): elsewhere its "
        "accuracy is unknown; --resample maps at the training's size"
    )


def _list(sizes: Sequence[float]) -> str:
    return ", ".join(f"{size:g}" for size in sorted(sizes))
