from typing import Any

import numpy as np
import pandas as pd

from pipeline.splitting.ground import Ground
from pipeline.splitting.groups import groups
from pipeline.splitting.leaks import leaks
from pipeline.splitting.section import SplitSection
from pipeline.splitting.strategies import share_out
from tests.world import PARAMS

SIDE = 32
"""Pixels of a chip."""


def section(**changes: Any) -> SplitSection:
    return SplitSection.model_validate(PARAMS["split"] | changes)


def grid(scene: str = "s", rows: int = 1, columns: int = 1, **pixels: int) -> pd.DataFrame:
    """Chips of 32 px side by side in one scene, with `pixels` of each class; ids are SCENE_ROW_COLUMN."""
    places = [(row, column) for row in range(rows) for column in range(columns)]
    return pd.DataFrame(
        [
            {
                "id": f"{scene}_{row}_{column}",
                "scene": scene,
                "unit": scene,
                "row": SIDE * row,
                "column": SIDE * column,
                "height": SIDE,
                "width": SIDE,
                "x": np.nan,
                "y": np.nan,
                "crs": "",
                "pixel_size": np.nan,
                "date": "",
                "official": "",
                "pixels_1": 10,
                "pixels_ignored": 0,
                **pixels,
            }
            for row, column in places
        ]
    )


def placed(chips: pd.DataFrame, x: float, y: float, crs: str = "EPSG:2180", pixel: float = 0.5) -> pd.DataFrame:
    """The chips of one scene whose top left corner lies `x` pixels to the right of a point and `y` below it."""
    left, top = 500000 + pixel * (x + chips["column"]), 400000 - pixel * (y + chips["row"])
    return chips.assign(x=left, y=top, crs=crs, pixel_size=pixel)


def together(*scenes: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(scenes, ignore_index=True)


def split_up(chips: pd.DataFrame, how: SplitSection) -> pd.DataFrame:
    """The chips with their group and part."""
    ground = Ground.of(chips)
    chips = chips.assign(group=groups(chips, ground))
    return chips.assign(part=share_out(chips, ground, how))


def leak(chips: pd.DataFrame) -> float | None:
    share: float | None = leaks(chips, Ground.of(chips))["leak_share"]
    return share


def boxes(chips: pd.DataFrame) -> np.ndarray:
    """(chips, 4): left, bottom, right, top in pixels, from one point for those with a georeference of 0.5 m."""
    left, top = chips["x"] / 0.5, chips["y"] / 0.5
    return np.stack([left, top - chips["height"], left + chips["width"], top], axis=1)
