"""Straight lines instead of the staircases along pixels, the same in both neighbours: no gaps, no overlaps."""

import numpy as np
import shapely

from pipeline.polygons.rings import Pieces

TOLERANCE_PX = 1.0
"""Steps along slanted borders become straight lines, and thin patches remain: in a map of a Sentinel-2 mosaic, roads 1
to 3 px wide lost 0.8 % of their area. At 2 px lines are straighter still, and roads lost 4.7 %."""

_TILE_PX = 64
"""Pieces are passed to GEOS tile by tile, so that neighbours in the map are neighbours in memory: for 59,078 pieces
3.2 s instead of 12.3 s, for 493,200 16 s instead of 98 s."""


def simplify(pieces: Pieces, tolerance_px: float = TOLERANCE_PX) -> Pieces:
    """Return the pieces with fewer vertices, as a coverage that is valid as before; vertices are removed, never moved.

    Points where three pieces meet stay, and so do all vertices on the block's border and next to nodata: pieces of
    neighbouring blocks still meet without gaps. No piece is lost: a ring keeps three vertices at least, so that a pixel
    on its own becomes a triangle of half its area.

    Args:
        pieces: of one block, see `trace`.
        tolerance_px: square root of an area in px², GEOS' measure (Visvalingam-Whyatt): the vertex whose triangle with
            its two neighbours is smallest is removed, again and again, while that triangle is no larger than the
            tolerance's square. A step of 1 px with a tread of n px is a triangle of n / 2 px². 0: unchanged.
    """
    if tolerance_px == 0 or not len(pieces.polygon_N):
        return pieces
    left_N, top_N, _, _ = (shapely.bounds(pieces.polygon_N) // _TILE_PX).T
    order_N = np.lexsort((left_N, top_N))
    polygon_N = np.empty_like(pieces.polygon_N)
    polygon_N[order_N] = shapely.coverage_simplify(pieces.polygon_N[order_N], tolerance_px, simplify_boundary=False)
    return Pieces(polygon_N, pieces.label_N)
