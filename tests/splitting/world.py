from typing import Any

import pandas as pd

from pipeline.splitting.section import SplitSection
from tests.world import PARAMS


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
                "row": 32 * row,
                "column": 32 * column,
                "height": 32,
                "width": 32,
                "official": "",
                "pixels_1": 10,
                "pixels_ignored": 0,
                **pixels,
            }
            for row, column in places
        ]
    )
