"""Locations of chips on the ground, and which of them are near each other.

N: chips. L: locations, the rectangles that chips of several dates or files may share. M: pairs of locations.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError

from pipeline.splitting.footprints import corners, is_georeferenced, reproject, to_degrees

TOLERANCE = 0.5
"""Pixels by which neighbours may miss each other, or overlap and still count as merely touching."""
GLOBE = -1
"""The reference of all frames that have a position on the globe."""


@dataclass(frozen=True)
class Adjacency:
    """Which locations are near each other."""

    location_N: np.ndarray
    """int, the location of each chip."""
    pairs_2M: np.ndarray
    """int, pairs of locations, in both orders, and each location with itself."""

    @property
    def count(self) -> int:
        """Number of locations."""
        return int(self.location_N.max()) + 1

    def among(self, chosen_N: np.ndarray) -> "Adjacency":
        """Restrict the chips to the chosen ones, and the locations to theirs.

        Args:
            chosen_N: bool, one per chip.
        """
        kept, location_N = np.unique(self.location_N[chosen_N], return_inverse=True)
        number_L = np.full(self.count, -1)
        number_L[kept] = np.arange(len(kept))
        pairs_2M = number_L[self.pairs_2M]
        return Adjacency(location_N, pairs_2M[:, (pairs_2M >= 0).all(axis=0)])

    def near_any(self, chosen_N: np.ndarray) -> np.ndarray:
        """Find the chips near any of the chosen ones, which are near themselves.

        Args:
            chosen_N: bool, one per chip.

        Returns:
            bool, one per chip.
        """
        chosen_L, near_L = np.zeros((2, self.count), bool)
        chosen_L[self.location_N[chosen_N]] = True
        first_M, second_M = self.pairs_2M
        near_L[first_M[chosen_L[second_M]]] = True
        return np.asarray(near_L[self.location_N])


@dataclass(frozen=True)
class Locations:
    """Locations of chips.

    Locations are compared by their coordinates within a *frame*: a CRS, however it is written, or the rows and columns
    of a single scene whose location on the ground is unknown (no georeference, or rotated or non-square pixels).
    Frames with the same *reference* are compared in longitude and latitude; others cannot be compared.
    """

    location_N: np.ndarray
    """int, the location of each chip."""
    left_L: np.ndarray
    """float, in units of the frame."""
    top_L: np.ndarray
    """float, in units of the frame, increasing upwards."""
    size_L2: np.ndarray
    """int, width and height in pixels."""
    pixel_L: np.ndarray
    """float, side of a pixel in units of the frame."""
    frame_L: np.ndarray
    """int, counted from 0, CRSs first."""
    reference_L: np.ndarray
    """int, `GLOBE` or the number of the frame."""
    crs: tuple[str, ...]
    """The CRS of each frame that is one."""

    @classmethod
    def from_chips(cls, chips: pd.DataFrame) -> Self:
        """Find the distinct locations of rows of `chips.csv`."""
        # all chips of a scene or none: neighbours within a scene are known in any case
        known = is_georeferenced(chips).groupby(chips["scene"]).transform("all")
        crs, frame_of = _distinct_crs(chips[known])
        scene_N = pd.factorize(chips["scene"])[0]
        table = pd.DataFrame(
            {
                "left": chips["x"].where(known, chips["column"]).astype(float),
                "top": chips["y"].where(known, -chips["row"]).astype(float),
                "width": chips["width"],
                "height": chips["height"],
                "pixel": chips["pixel_size"].where(known, 1.0).astype(float),
                "frame": np.where(known, chips["crs"].map(frame_of), len(crs) + scene_N).astype(np.int64),
            }
        )
        location_N = table.groupby(list(table), sort=False).ngroup().to_numpy()
        distinct = table.drop_duplicates()
        left_L, top_L, pixel_L, frame_L = (distinct[name].to_numpy() for name in ("left", "top", "pixel", "frame"))
        size_L2 = distinct[["width", "height"]].to_numpy()
        outlines_L42 = corners(left_L, top_L, size_L2 * pixel_L[:, None])
        reference_L = _references(outlines_L42, frame_L, crs)
        return cls(location_N, left_L, top_L, size_L2, pixel_L, frame_L, reference_L, crs)

    def overlapping(self) -> Adjacency:
        """Find locations that overlap by more than `TOLERANCE`."""
        return self.near(np.full(self.size_L2.shape, -TOLERANCE))

    def touching(self) -> Adjacency:
        """Find locations that overlap or are neighbours, diagonal ones included."""
        return self.near(np.full(self.size_L2.shape, TOLERANCE))

    def within(self, gap: int) -> Adjacency:
        """Find locations with fewer than `gap` chips between them, diagonally too; with a gap of 0 those that overlap.

        The distance is rounded to whole chips, so that dates whose grids are slightly offset have the same neighbours
        as a single date.
        """
        return self.near((gap - 0.5) * self.size_L2) if gap else self.overlapping()

    def near(self, margin_L2: np.ndarray) -> Adjacency:
        """Find locations that intersect when each grows by half of its margin on every side.

        Args:
            margin_L2: pixels, horizontal and vertical; a negative margin shrinks the location.
        """
        grown_L2 = margin_L2 / 2 * self.pixel_L[:, None]
        size_L2 = self.size_L2 * self.pixel_L[:, None] + 2 * grown_L2
        outlines_L42 = corners(self.left_L - grown_L2[:, 0], self.top_L + grown_L2[:, 1], size_L2)
        order = np.argsort(self.frame_L, kind="stable")
        frames = np.split(order, np.flatnonzero(np.diff(self.frame_L[order])) + 1)
        pairs = [locations[_intersecting_boxes(outlines_L42[locations])] for locations in frames]
        return Adjacency(self.location_N, np.concatenate([*pairs, self._across_frames(outlines_L42)], axis=1))

    def _across_frames(self, outlines_L42: np.ndarray) -> np.ndarray:
        """Return pairs of intersecting locations in different frames."""
        locations = np.flatnonzero(self.reference_L == GLOBE)
        frame_L = self.frame_L[locations]
        if len(np.unique(frame_L)) < 2:
            return np.zeros((2, 0), np.int64)
        degrees_L42 = np.empty((len(locations), 4, 2))
        for frame in np.unique(frame_L):
            in_frame = frame_L == frame
            degrees_L42[in_frame] = to_degrees(outlines_L42[locations[in_frame]], self.crs[frame])
        first_M, second_M = _intersecting_on_globe(degrees_L42)
        different = frame_L[first_M] != frame_L[second_M]
        return np.stack([locations[first_M[different]], locations[second_M[different]]])


def _distinct_crs(chips: pd.DataFrame) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the distinct CRSs, each by the first of its names, and the number of the CRS for every name.

    Two names denote the same CRS if both place the chips within `TOLERANCE`: LandCover.ai's CRS is spelled out and
    does not compare equal to EPSG:2180, although it is the same.
    """
    known: list[CRS | str] = []
    distinct: list[str] = []
    numbers: dict[str, int] = {}
    for name, rows in chips.groupby("crs", sort=False):
        name = str(name)
        try:
            crs: CRS | str = CRS.from_user_input(name)
        except CRSError:
            crs = name
        same = (number for number, other in enumerate(known) if crs == other or _is_same_crs(crs, other, rows))
        numbers[name] = next(same, len(known))
        if numbers[name] == len(known):
            known.append(crs)
            distinct.append(name)
    return tuple(distinct), numbers


def _is_same_crs(crs: CRS | str, other: CRS | str, chips: pd.DataFrame) -> bool:
    """Return whether two CRSs agree at the corners of the area of the chips."""
    if isinstance(crs, str) or isinstance(other, str):
        return False
    xs, ys = (chips[name].agg(["min", "max"]) for name in ("x", "y"))
    corners_42 = np.array([(x, y) for y in ys for x in xs])
    offset = np.abs(reproject(corners_42, crs, other) - corners_42).max()
    return bool(offset <= TOLERANCE * float(chips["pixel_size"].min()))  # False for NaN


def _references(outlines_L42: np.ndarray, frame_L: np.ndarray, crs: tuple[str, ...]) -> np.ndarray:
    """Return the reference of each location; a frame is on the globe if all its locations are."""
    reference_L = frame_L.copy()
    for frame, name in enumerate(crs):
        in_frame = frame_L == frame
        if np.isfinite(to_degrees(outlines_L42[in_frame], name)).all():
            reference_L[in_frame] = GLOBE
    return reference_L


def _intersecting_boxes(outlines_L42: np.ndarray) -> np.ndarray:
    """Return pairs of rectangles that intersect, each with itself too, (2, pairs)."""
    boxes = shapely.box(*outlines_L42[:, 1].T, *outlines_L42[:, 3].T)
    return np.asarray(shapely.STRtree(boxes).query(boxes))  # compares bounds, which is exact for boxes


def _intersecting_on_globe(degrees_L42: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of outlines in longitude and latitude that intersect, across the antimeridian too."""
    lon_L4 = degrees_L42[..., 0]
    start_L1 = (lon_L4[:, :1] + 180) % 360 - 180
    lon_L4 = start_L1 + (lon_L4 - lon_L4[:, :1] + 180) % 360 - 180
    rings = np.stack([lon_L4, degrees_L42[..., 1]], axis=2)
    # outlines that cross the antimeridian take part twice, once on each side
    crossing = [(lon_L4.max(axis=1) > 180, -360.0), (lon_L4.min(axis=1) < -180, 360.0)]
    rings_R42 = np.concatenate([rings, *(rings[mask_L] + [shift, 0.0] for mask_L, shift in crossing)])
    location_R = np.concatenate([np.arange(len(rings)), *(np.flatnonzero(mask_L) for mask_L, _ in crossing)])
    polygons = shapely.polygons(rings_R42)
    first_M, second_M = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    return location_R[first_M], location_R[second_M]
