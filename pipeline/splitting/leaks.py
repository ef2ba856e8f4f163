"""Leak of training data into the test part: test chips that touch a training chip on the ground."""

from typing import Any

import pandas as pd

from pipeline.splitting.locations import Locations


def measure_leak(chips: pd.DataFrame, locations: Locations) -> dict[str, Any]:
    """Measure how much the test part shares with the training part.

    Args:
        chips: rows of `chips.csv` with their `part`.
        locations: their locations.

    Returns:
        `leak_share`: share of test chips with an overlap or 8-neighbour in train; None if a test chip without one
        cannot be compared with all training chips. `leak_share_at_least`: its known lower bound. `scenes_shared`:
        number of scenes with chips in both test and train.
    """
    test_N, train_N = (chips["part"].to_numpy() == part for part in ("test", "train"))
    location_N = locations.location_N
    leaks_T, reference_N = locations.touching().near_any(train_N)[test_N], locations.reference_L[location_N]
    share = round(float(leaks_T.mean()), 6)
    is_known = leaks_T.all() or len({*reference_N[train_N], *reference_N[test_N][~leaks_T]}) == 1
    scenes = chips["scene"]
    return {
        "leak_share": share if is_known else None,
        "leak_share_at_least": share,
        "scenes_shared": len(set(scenes[test_N]) & set(scenes[train_N])),
    }
