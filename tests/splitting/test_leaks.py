from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.splitting import leaks
from pipeline.splitting.locations import Locations
from tests.splitting.world import at_cells
from tests.world import LOCAL_CRS


def measure_leak(chips: pd.DataFrame) -> dict[str, Any]:
    return leaks.measure_leak(chips, Locations.from_chips(chips))


def shares(chips: pd.DataFrame) -> tuple[float | None, float]:
    leak = measure_leak(chips)
    return leak["leak_share"], leak["leak_share_at_least"]


def test_the_share_of_leaking_test_chips_and_the_number_of_shared_scenes() -> None:
    chips = at_cells((0, 0), (1, 0), (9, 9), (5, 5)).assign(part=["train", "test", "test", ""], scene=list("aabc"))
    assert measure_leak(chips) == {"leak_share": 0.5, "leak_share_at_least": 0.5, "scenes_shared": 1}


def bare(*cells: tuple[float, float], scene: str) -> pd.DataFrame:
    """Chips of a scene without a georeference."""
    return at_cells(*cells, crs="", scene=scene).assign(x=np.nan, y=np.nan, pixel_size=np.nan)


def test_without_a_georeference_only_neighbours_within_an_image_are_known() -> None:
    image = bare((0, 0), (1, 0), (3, 0), (5, 0), scene="a").assign(part=["train", "test", "test", "test"])
    assert shares(image) == (round(1 / 3, 6), round(1 / 3, 6))  # a single image: nothing else could leak
    both = pd.concat([image, bare((0, 0), scene="b").assign(part="train")])
    assert shares(both) == (None, round(1 / 3, 6))
    assert shares(pd.concat([image[:2], both[4:]])) == (1.0, 1.0)  # all leak: the other image cannot add any


def test_an_image_without_training_chips_leaves_the_leak_known() -> None:
    image = bare((0, 0), (3, 0), scene="a").assign(part=["train", "test"])
    assert shares(pd.concat([image, bare((0, 0), scene="b").assign(part="val")])) == (0.0, 0.0)


def test_the_leak_between_whole_images_without_a_georeference_is_unknown() -> None:
    chips = pd.concat([bare((0, 0), scene=name).assign(part=part) for name, part in (("a", "train"), ("b", "test"))])
    assert shares(chips) == (None, 0.0)


def test_the_leak_is_known_within_a_site_grid_but_not_beyond_it() -> None:
    site = at_cells((0, 0), (1, 0), (5, 5), crs=LOCAL_CRS).assign(part=["train", "test", "test"])
    assert shares(site) == (0.5, 0.5)
    assert shares(pd.concat([site, at_cells((0, 0), scene="b").assign(part="train")])) == (None, 0.5)


def test_overlapping_files_leak_though_each_is_in_one_part() -> None:
    chips = pd.concat(
        [at_cells((0, 0), scene=name).assign(part=part) for name, part in (("a", "train"), ("b", "test"))]
    )
    assert measure_leak(chips) == {"leak_share": 1.0, "leak_share_at_least": 1.0, "scenes_shared": 0}


COLUMNS = {306: 18, 324: 19, 288: 17, 72: 9}
"""Of LandCover.ai's scenes: number of tiles listed, and windows in a row, including a partial one at the end."""


def test_almost_all_chips_of_the_official_lists_leak(shared: Path) -> None:
    folder = shared / "data/landcoverai-official"
    lists = {part: (folder / f"{part}.txt").read_text().split() for part in ("train", "val", "test")}
    listed = Counter(chip.rpartition("_")[0] for ids in lists.values() for chip in ids)
    scenes = []
    for part, ids in lists.items():
        for scene, chips in groupby(ids, key=lambda chip: chip.rpartition("_")[0]):
            numbers = [int(chip.rpartition("_")[2]) for chip in chips]
            cells = [divmod(number, COLUMNS[listed[scene]])[::-1] for number in numbers]
            offset = 1000 * sorted(listed).index(scene)  # scenes do not touch
            scenes.append(at_cells(*((x + offset, y) for x, y in cells)).assign(part=part, scene=scene))
    tiles = pd.concat(scenes, ignore_index=True)
    assert tiles["part"].value_counts().to_dict() == {"train": 7470, "val": 1602, "test": 1602}
    assert measure_leak(tiles)["leak_share"] == round(1600 / 1602, 6)
