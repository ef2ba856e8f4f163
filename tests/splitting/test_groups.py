"""Images that overlap, directly or through others, are one group, on real files too."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitting.groups import find_groups, large_group_summary
from pipeline.splitting.locations import Locations
from pipeline.splitting.section import PARTS
from tests.splitting.world import grid, leak_share, placed, section, split_up, together, touching

pytestmark = pytest.mark.usefixtures("few_moves")


def group_by_scene(chips: pd.DataFrame) -> dict[str, str]:
    """The group of each scene, which all its chips share."""
    groups = find_groups(chips, Locations.from_chips(chips)).groupby(chips["scene"])
    assert (groups.nunique() == 1).all()
    return {str(scene): str(group) for scene, group in groups.first().items()}


def test_without_a_georeference_groups_are_the_units() -> None:
    chips = together(grid("a", 2, 2), grid("b", 2, 2).assign(unit="tile"), grid("b").assign(unit="tile", date="x"))
    assert group_by_scene(chips) == {"a": "a", "b": "tile"}


def test_files_of_two_utm_zones_that_overlap_are_one_group() -> None:
    west = placed(grid("a"), 0, 0, "EPSG:32630", 10.0).assign(x=720000.0, y=5500000.0)
    ((x,), (y,)) = rasterio.warp.transform("EPSG:32630", "EPSG:32631", [720200.0], [5500000.0])
    east = placed(grid("b"), 0, 0, "EPSG:32631", 10.0).assign(x=x, y=y)
    assert group_by_scene(together(west, east)) == {"a": "a", "b": "a"}
    assert group_by_scene(together(west, east.assign(x=x + 400))) == {"a": "a", "b": "b"}


scenes = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9)),
    min_size=1,
    max_size=12,
)
"""Left, top, rows, columns, unit."""


@given(scenes)
def test_groups_equal_those_of_a_brute_force_comparison(layout: list[tuple[int, int, int, int, int]]) -> None:
    chips = together(
        *(
            placed(grid(f"s{number}", rows, columns), left, top).assign(unit=f"u{unit}")
            for number, (left, top, rows, columns, unit) in enumerate(layout)
        )
    )
    unit_N = chips["unit"].to_numpy(str)
    connected_NN = touching(chips, overlap=0.5) | (unit_N[:, None] == unit_N)
    for _ in layout:  # as often as a chain can be long
        connected_NN = connected_NN @ connected_NN
    expected = [min(unit_N[connected_N].tolist()) for connected_N in connected_NN]
    assert find_groups(chips, Locations.from_chips(chips)).tolist() == expected


def korea(shared: Path, side: int) -> pd.DataFrame:
    """The real files cut into chips of `side` px."""
    chips = []
    for path in sorted((shared / "data/korea-sentinel2/images").glob("*.tif")):
        with rasterio.open(path) as image:
            count, crs, left, top = image.width // side, str(image.crs), image.transform.c, image.transform.f
        rows = grid(path.stem, count, count)
        for name in ("row", "column", "height", "width"):
            rows[name] = rows[name] // 32 * side
        chips.append(rows.assign(x=left + 10 * rows["column"], y=top - 10 * rows["row"], crs=crs, pixel_size=10.0))
    return together(*chips)


@pytest.mark.parametrize("side", [256, 512])
def test_the_forty_overlapping_real_files_are_twelve_groups(shared: Path, side: int) -> None:
    chips = korea(shared, side)
    assert chips["scene"].nunique() == 40
    sizes = pd.Series(group_by_scene(chips)).value_counts().sort_values(ascending=False).tolist()
    assert sizes == [17, 7, 5, 3] + [1] * 8


@pytest.mark.parametrize("strategy", ["scene", "block"])
def test_the_real_files_leak_nothing(shared: Path, strategy: str) -> None:
    chips = split_up(korea(shared, 256), section(strategy=strategy))
    assert set(PARTS) <= set(chips["part"])
    assert leak_share(chips) == 0
    by_file = pd.factorize(chips["scene"])[0] % 10
    assert leak_share(chips.assign(part=np.where(by_file == 0, "test", "train"))) > 0.4  # as if files were independent


def test_a_place_with_many_dates_is_not_reported_since_blocks_cannot_divide_it() -> None:
    chips = together(*[grid("a")] * 18, grid("b"), grid("c"))
    params = section(strategy="scene")
    chips = split_up(chips, params)
    assert chips["part"].value_counts().max() == 18
    assert large_group_summary(chips, params) == ""
