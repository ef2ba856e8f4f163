from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.splitting import leaks as module
from pipeline.splitting.ground import Ground
from tests.splitting.test_ground import chips
from tests.world import LOCAL_CRS


def leaks(frame: pd.DataFrame) -> dict[str, Any]:
    return module.leaks(frame, Ground.of(frame))


def shares(frame: pd.DataFrame) -> tuple[float | None, float]:
    found = leaks(frame)
    return found["leak_share"], found["leak_share_at_least"]


def test_the_share_of_leaking_test_chips_and_the_scenes_in_both_parts() -> None:
    frame = chips((0, 0), (1, 0), (9, 9), (5, 5)).assign(part=["train", "test", "test", ""], scene=list("aabc"))
    assert leaks(frame) == {"leak_share": 0.5, "leak_share_at_least": 0.5, "scenes_shared": 1}


def bare(*places: tuple[float, float], scene: str) -> pd.DataFrame:
    """Chips of a scene without a georeference."""
    return chips(*places, crs="", scene=scene).assign(x=np.nan, y=np.nan, pixel_size=np.nan)


def test_without_a_georeference_neighbours_within_an_image_are_known_and_others_are_not() -> None:
    one = bare((0, 0), (1, 0), (3, 0), (5, 0), scene="a").assign(part=["train", "test", "test", "test"])
    assert shares(one) == (round(1 / 3, 6), round(1 / 3, 6))  # a single image: nothing else could leak
    two = pd.concat([one, bare((0, 0), scene="b").assign(part="train")])
    assert shares(two) == (None, round(1 / 3, 6))
    assert shares(pd.concat([one[:2], two[4:]])) == (1.0, 1.0)  # more than all there is none


def test_what_no_training_chip_can_touch_makes_nothing_unknown() -> None:
    one = bare((0, 0), (3, 0), scene="a").assign(part=["train", "test"])
    assert shares(pd.concat([one, bare((0, 0), scene="b").assign(part="val")])) == (0.0, 0.0)


def test_whole_images_without_a_georeference_are_not_known_at_all() -> None:
    frame = pd.concat([bare((0, 0), scene=name).assign(part=part) for name, part in (("a", "train"), ("b", "test"))])
    assert shares(frame) == (None, 0.0)


def test_a_sites_own_grid_is_known_alone_and_not_beside_another() -> None:
    site = chips((0, 0), (1, 0), (5, 5), crs=LOCAL_CRS).assign(part=["train", "test", "test"])
    assert shares(site) == (0.5, 0.5)
    assert shares(pd.concat([site, chips((0, 0), scene="b").assign(part="train")])) == (None, 0.5)


def test_files_that_overlap_leak_though_each_is_on_one_side() -> None:
    frame = pd.concat([chips((0, 0), scene="a").assign(part="train"), chips((0, 0), scene="b").assign(part="test")])
    assert leaks(frame) == {"leak_share": 1.0, "leak_share_at_least": 1.0, "scenes_shared": 0}


COLUMNS = {306: 18, 324: 19, 288: 17, 72: 9}
"""Of LandCover.ai's scenes: tiles listed, and windows in a row, the partial one at its end included."""


def test_the_official_lists_leak_almost_wholly(shared: Path) -> None:
    folder = shared / "data/landcoverai-official"
    lists = {part: (folder / f"{part}.txt").read_text().split() for part in ("train", "val", "test")}
    listed = Counter(chip.rpartition("_")[0] for ids in lists.values() for chip in ids)
    frames = []
    for part, ids in lists.items():
        for scene, places in groupby(ids, key=lambda chip: chip.rpartition("_")[0]):
            numbers = [int(chip.rpartition("_")[2]) for chip in places]
            grid = [divmod(number, COLUMNS[listed[scene]])[::-1] for number in numbers]
            apart = 1000 * sorted(listed).index(scene)  # scenes do not touch
            frames.append(chips(*((x + apart, y) for x, y in grid)).assign(part=part, scene=scene))
    frame = pd.concat(frames, ignore_index=True)
    assert frame["part"].value_counts().to_dict() == {"train": 7470, "val": 1602, "test": 1602}
    assert leaks(frame)["leak_share"] == round(1600 / 1602, 6)
