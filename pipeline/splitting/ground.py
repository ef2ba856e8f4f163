"""Where chips lie on the ground, and which of them lie near each other.

N: chips. P: places, the rectangles that chips of several dates or files may share. M: pairs of places.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import shapely
from rasterio._err import CPLE_BaseError  # what GDAL says of a CRS; rasterio lets it through and has no public name
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform

from pipeline.splitting.footprints import corners, in_degrees, located

TOLERANCE = 0.5
"""Pixels by which neighbours may miss each other, or overlap and still merely touch."""
GLOBE = -1
"""The world of all frames that have a place on the globe."""


@dataclass(frozen=True)
class Ground:
    """The places of chips.

    Places are compared by their coordinates within a *frame*: a CRS, however it is written, or, where a scene has no
    known place on the ground (no georeference, or pixels that are turned or not square), that scene with its rows and
    columns. Frames of one *world* are compared with each other in longitude and latitude; those of two cannot be.
    """

    place_N: np.ndarray
    """int, the place of each chip."""
    left_P: np.ndarray
    """float, in units of the frame."""
    top_P: np.ndarray
    """float, in units of the frame, upwards."""
    size_P2: np.ndarray
    """int, width and height in pixels."""
    pixel_P: np.ndarray
    """float, side of a pixel in units of the frame."""
    frame_P: np.ndarray
    """int, counted from 0; those that are a CRS come first."""
    world_P: np.ndarray
    """int; `GLOBE`, or that of the frame alone."""
    crs: tuple[str, ...]
    """The CRS of each frame that is one."""

    @classmethod
    def of(cls, chips: pd.DataFrame) -> Self:
        """The places of rows of `chips.csv`."""
        # all chips of a scene or none, since neighbours within a scene are known in any case
        known = located(chips).groupby(chips["scene"]).transform("all")
        crs, frame_of = _distinct(chips[known])
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
        place_N = table.groupby(list(table), sort=False).ngroup().to_numpy()
        first = table.drop_duplicates()
        left_P, top_P, pixel_P, frame_P = (first[name].to_numpy() for name in ("left", "top", "pixel", "frame"))
        size_P2 = first[["width", "height"]].to_numpy()
        outlines_P42 = corners(left_P, top_P, size_P2 * pixel_P[:, None])
        return cls(place_N, left_P, top_P, size_P2, pixel_P, frame_P, _worlds(outlines_P42, frame_P, crs), crs)

    def overlapping(self) -> np.ndarray:
        """Pairs of places that share more than `TOLERANCE`; see `near`."""
        return self.near(np.full(self.size_P2.shape, -TOLERANCE))

    def touching(self) -> np.ndarray:
        """Pairs of places that overlap or are neighbours, corners included; see `near`."""
        return self.near(np.full(self.size_P2.shape, TOLERANCE))

    def within(self, gap: int) -> np.ndarray:
        """Pairs of places with fewer than `gap` chips between them, corners included; with 0 those that overlap.

        Counted to the nearest whole chip, so that dates whose grids are off by a little have the neighbours that one
        date has; see `near`.
        """
        return self.near((gap - 0.5) * self.size_P2) if gap else self.overlapping()

    def near(self, margin_P2: np.ndarray) -> np.ndarray:
        """Pairs of places that intersect when each grows by half of its margin on each side.

        Args:
            margin_P2: pixels, across and down; places shrink by those below 0.

        Returns:
            int, (2, pairs): places; each pair in both orders, and each place with itself.
        """
        grown_P2 = margin_P2 / 2 * self.pixel_P[:, None]
        size_P2 = self.size_P2 * self.pixel_P[:, None] + 2 * grown_P2
        outlines_P42 = corners(self.left_P - grown_P2[:, 0], self.top_P + grown_P2[:, 1], size_P2)
        order = np.argsort(self.frame_P, kind="stable")
        frames = np.split(order, np.flatnonzero(np.diff(self.frame_P[order])) + 1)
        pairs = [places[_meeting(outlines_P42[places])] for places in frames]
        return np.concatenate([*pairs, self._across(outlines_P42)], axis=1)

    def _across(self, outlines_P42: np.ndarray) -> np.ndarray:
        """Pairs of places in two frames."""
        places = np.flatnonzero(self.world_P == GLOBE)
        frame_P = self.frame_P[places]
        if len(np.unique(frame_P)) < 2:
            return np.zeros((2, 0), np.int64)
        degrees_P42 = np.empty((len(places), 4, 2))
        for frame in np.unique(frame_P):
            here = frame_P == frame
            degrees_P42[here] = in_degrees(outlines_P42[places[here]], self.crs[frame])
        ones, others = _meeting_on_globe(degrees_P42)
        apart = frame_P[ones] != frame_P[others]
        return np.stack([places[ones[apart]], places[others[apart]]])


def _distinct(chips: pd.DataFrame) -> tuple[tuple[str, ...], dict[str, int]]:
    """CRSs that differ, each by one of its names, and from each name to the number of its CRS.

    Two names are of one CRS when the chips of one lie within `TOLERANCE` of where the other puts them: LandCover.ai's
    own is written out and not equal to EPSG:2180, which it is.
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
        same = (number for number, other in enumerate(known) if crs == other or _agree(crs, other, rows))
        numbers[name] = next(same, len(known))
        if numbers[name] == len(known):
            known.append(crs)
            distinct.append(name)
    return tuple(distinct), numbers


def _agree(crs: CRS | str, other: CRS | str, chips: pd.DataFrame) -> bool:
    """Whether chips of one CRS lie where another puts their coordinates: at the corners of all of them."""
    if isinstance(crs, str) or isinstance(other, str):
        return False
    xs, ys = ([float(ends.min()), float(ends.max())] * 2 for ends in (chips["x"], chips["y"]))
    ys.sort()
    try:
        there = transform(crs, other, xs, ys)
    except (CPLE_BaseError, CRSError):  # a site's own grid, or beyond where the other can be
        return False
    return bool(np.abs(np.array(there) - (xs, ys)).max() <= TOLERANCE * float(chips["pixel_size"].min()))


def _worlds(outlines_P42: np.ndarray, frame_P: np.ndarray, crs: tuple[str, ...]) -> np.ndarray:
    """The world of each place; a frame is on the globe when all its places are."""
    world_P = frame_P.copy()
    for frame, name in enumerate(crs):
        here = frame_P == frame
        if np.isfinite(in_degrees(outlines_P42[here], name)).all():
            world_P[here] = GLOBE
    return world_P


def _meeting(outlines_P42: np.ndarray) -> np.ndarray:
    """(2, pairs): which rectangles intersect, each with itself too."""
    boxes = shapely.box(*outlines_P42[:, 1].T, *outlines_P42[:, 3].T)
    return np.asarray(shapely.STRtree(boxes).query(boxes))  # which compares bounds: those of a box are the box


def _meeting_on_globe(degrees_P42: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which outlines in longitude and latitude intersect, also over the 180th meridian."""
    lon_P4 = degrees_P42[..., 0]
    start_P1 = (lon_P4[:, :1] + 180) % 360 - 180
    lon_P4 = start_P1 + (lon_P4 - lon_P4[:, :1] + 180) % 360 - 180
    rings = np.stack([lon_P4, degrees_P42[..., 1]], axis=2)
    beyond = [(lon_P4.max(axis=1) > 180, -360.0), (lon_P4.min(axis=1) < -180, 360.0)]
    rings_R42 = np.concatenate([rings, *(rings[there] + [turn, 0.0] for there, turn in beyond)])
    number_R = np.concatenate([np.arange(len(rings)), *(np.flatnonzero(there) for there, _ in beyond)])
    polygons = shapely.polygons(rings_R42)
    ones, others = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    return number_R[ones], number_R[others]
