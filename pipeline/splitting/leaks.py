"""Test chips that a network has as good as seen: those that touch a training chip on the ground."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.splitting.ground import Ground


def leaks(chips: pd.DataFrame, ground: Ground) -> dict[str, Any]:
    """What the test part shares with the training part.

    Args:
        chips: rows of `chips.csv` with their `part`.
        ground: where they lie.

    Returns:
        `leak_share`: share of the test chips with an overlap or an 8-neighbour in train; None where a test chip that
        has none cannot be compared with all training chips. `leak_share_at_least`: that of which it is known.
        `scenes_shared`: scenes with chips in test and in train.
    """
    test, train = (chips["part"].to_numpy() == part for part in ("test", "train"))
    ones, others = ground.touching()
    trained_P, leaks_P = np.zeros((2, len(ground.left_P)), bool)
    trained_P[ground.place_N[train]] = True
    leaks_P[ones[trained_P[others]]] = True
    found, world = leaks_P[ground.place_N[test]], ground.world_P[ground.place_N]
    share = round(float(found.mean()), 6)
    compared = found.all() or len({*world[train], *world[test][~found]}) == 1
    scenes = chips["scene"]
    return {
        "leak_share": share if compared else None,
        "leak_share_at_least": share,
        "scenes_shared": len(set(scenes[test]) & set(scenes[train])),
    }
