"""Chips in rows and columns, placed on the ground, and their split."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.splitting.groups import find_groups
from pipeline.splitting.leaks import measure_leak
from pipeline.splitting.locations import Locations
from pipeline.splitting.section import SplitSection
from pipeline.splitting.strategies import assign_parts
from tests.world import PARAMS

SIDE = 32
"""Pixels of a chip."""


def section(**changes: Any) -> SplitSection:
    return SplitSection.model_validate(PARAMS["split"] | changes)


def at_cells(*cells: tuple[float, float], crs: str = "EPSG:2180", pixel: float = 0.5, scene: str = "s") -> pd.DataFrame:
    """Chips of 32 px, 16 m, by column and row in a grid of chips; without a CRS they have no position."""
    rows = [(f"{x}_{y}", scene, SIDE * y, SIDE * x, 16 * x, -16 * y, crs, pixel, SIDE, SIDE) for x, y in cells]
    columns = ["id", "scene", "row", "column", "x", "y", "crs", "pixel_size", "width", "height"]
    chips = pd.DataFrame(rows, columns=columns)
    return chips if crs else chips.assign(x=np.nan, y=np.nan, pixel_size=np.nan)


def grid(scene: str = "s", rows: int = 1, columns: int = 1, **pixels: int) -> pd.DataFrame:
    """Adjacent chips in one scene without a position, with `pixels` of each class; ids are SCENE_ROW_COLUMN."""
    cells = [(column, row) for row in range(rows) for column in range(columns)]
    names = [f"{scene}_{row}_{column}" for column, row in cells]
    others: dict[str, Any] = {"id": names, "unit": scene, "date": "", "official": "", "pixels_1": 10}
    return at_cells(*cells, crs="", scene=scene).assign(**others | {"pixels_ignored": 0} | pixels)


def placed(chips: pd.DataFrame, x: float, y: float, crs: str = "EPSG:2180", pixel: float = 0.5) -> pd.DataFrame:
    """Georeference a scene: its top left corner is `x` pixels to the right of a fixed point and `y` below it."""
    left, top = 500000 + pixel * (x + chips["column"]), 400000 - pixel * (y + chips["row"])
    return chips.assign(x=left, y=top, crs=crs, pixel_size=pixel)


def together(*scenes: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(scenes, ignore_index=True)


def split_up(chips: pd.DataFrame, params: SplitSection) -> pd.DataFrame:
    """The chips with their group and part."""
    locations = Locations.from_chips(chips)
    chips = chips.assign(group=find_groups(chips, locations))
    return chips.assign(part=assign_parts(chips, locations, params))


def leak_share(chips: pd.DataFrame) -> float | None:
    share: float | None = measure_leak(chips, Locations.from_chips(chips))["leak_share"]
    return share


def touching(chips: pd.DataFrame, overlap: float = 0) -> np.ndarray:
    """Which chips of 0.5 m overlap by so many pixels or, for 0, touch, by their corners alone, (chips, chips)."""
    left, top = chips["x"] / 0.5, chips["y"] / 0.5
    low_N2, high_N2 = np.stack([[left, top - chips["height"]], [left + chips["width"], top]]).swapaxes(1, 2)
    common_NN2 = np.minimum(high_N2[:, None], high_N2) - np.maximum(low_N2[:, None], low_N2)
    return np.asarray((common_NN2 >= overlap).all(axis=2))
