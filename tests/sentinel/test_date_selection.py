from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cloud_filter import CloudFilterParams
from pipeline.raster.geotiff import write_geotiff
from pipeline.sentinel.date_selection import KINDS, CloudFilterSection, DateSelection, judge, look, measure
from tests.world import at, ghana_item, params, thresholds


def seen(
    chip: str, day: int, cloud: float = 0.0, shadow: float = 0.0, haze: float = 0.0, hole: float = 0.0
) -> DateSelection:
    return DateSelection(f"{chip}_202001{day:02}", chip, f"2020-01-{day:02}", cloud, shadow, haze, hole)


def reasons(looked: list[DateSelection], **changes: float) -> dict[str, str]:
    return {one.id: one.reason or one.verdict for one in judge(looked, thresholds(**changes))}


def test_a_share_at_its_threshold_is_kept_and_above_it_is_dropped() -> None:
    assert reasons([seen("a", 1, cloud=0.05), seen("b", 1, cloud=0.0501)]) == {
        "a_20200101": "keep",
        "b_20200101": "cloud",
    }


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (seen("a", 1, cloud=0.2, shadow=0.2), "cloud"),
        (seen("a", 1, shadow=0.2), "shadow"),
        (seen("a", 1, haze=0.2, hole=0.9), "haze"),
        (seen("a", 1, hole=0.2), "no_data"),
    ],
)
def test_the_reason_is_the_first_kind_over_its_threshold(one: DateSelection, reason: str) -> None:
    [judged] = judge([one], thresholds())
    assert (judged.verdict, judged.reason) == ("drop", reason)


def test_the_clearest_dates_of_each_chip_are_kept_the_earlier_on_a_tie() -> None:
    looked = [seen("a", 1, cloud=0.04), seen("a", 2), seen("a", 4, haze=0.01), seen("a", 3, cloud=0.01), seen("b", 9)]
    assert reasons(looked, dates=2) == {
        "a_20200101": "clearer dates",
        "a_20200102": "keep",
        "a_20200103": "keep",
        "a_20200104": "clearer dates",
        "b_20200109": "keep",
    }


def test_a_rejected_date_takes_no_place_of_a_kept_one() -> None:
    assert reasons([seen("a", 1, hole=0.03), seen("a", 2, cloud=0.04)], dates=1) == {
        "a_20200101": "no_data",
        "a_20200102": "keep",
    }


share = st.sampled_from([0.0, 0.01, 0.05, 0.06, 0.2])
dates = st.builds(seen, st.sampled_from("ab"), st.integers(1, 28), share, share, share, share)


@given(st.lists(dates, unique_by=lambda one: one.id), st.integers(1, 3), st.randoms())
def test_the_rule_holds_for_any_chips(looked: list[DateSelection], most: int, random) -> None:  # type: ignore[no-untyped-def]
    limits = thresholds(dates=most)
    judged = judge(looked, limits)
    shuffled = random.sample(looked, len(looked))
    assert judge(shuffled, limits) == judged
    assert [one.id for one in judged] == sorted(one.id for one in looked)
    fine: dict[str, list[DateSelection]] = defaultdict(list)
    for one in looked:
        if all(getattr(one, kind) <= getattr(limits, f"max_{kind}") for kind in KINDS):
            fine[one.chip].append(one)
    expected = {one.id for some in fine.values() for one in sorted(some, key=lambda v: (v.hidden, v.date))[:most]}
    assert {one.id for one in judged if one.verdict == "keep"} == expected
    assert all(bool(one.reason) == (one.verdict == "drop") for one in judged)


def test_the_reading_follows_the_params() -> None:
    section: CloudFilterSection = params(CloudFilterParams, **{"cloud_filter.landcovernet.clouds": "cld"}).cloud_filter
    reading = section.reading("landcovernet", params(CloudFilterParams).bands)
    assert (reading.dataset, reading.clouds, reading.cld_threshold) == ("landcovernet", "cld", 50)
    assert reading.bands.landcovernet == ("B04", "B03", "B02")
    assert section.reading("ghana", reading.bands).cloud_assets == ("cloudmask",)


def test_without_clouds_nothing_is_said_of_a_date_before_its_bands_are_read(tmp_path: Path) -> None:
    used = params(CloudFilterParams, **{"cloud_filter.ghana.clouds": "none"})
    reading = used.cloud_filter.reading("ghana", used.bands)
    item = ghana_item(tmp_path, "000001", date(2020, 1, 1), code=1, hidden=64)
    bands_CHW = np.full((10, 16, 16), 7, np.uint16)
    bands_CHW[2, :4] = 0
    write_geotiff(item.folder / "source.tif", bands_CHW, at())
    assert measure(item, reading, with_bands=False).hidden == 0
    assert measure(item, reading, with_bands=True) == look(item, reading)
    assert (look(item, reading).cloud, look(item, reading).no_data) == (0, 0.25)
