"""The clearest dates within the thresholds are kept, whatever the order; a measurement sent elsewhere is cached."""

import pickle
from collections import defaultdict
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cloud_filter import CloudFilterParams
from pipeline.core.files import sha256
from pipeline.core.stage_cache import StageCache
from pipeline.raster.geotiff import write_geotiff
from pipeline.sentinel.date_selection import (
    KINDS,
    DateSelection,
    MeasureTask,
    judge,
    judge_with_bands,
    measure,
)
from tests.world import LIMITS, at, ghana_item, landcovernet_item, params, thresholds


def measured(
    chip: str, day: int, cloud: float = 0.0, shadow: float = 0.0, haze: float = 0.0, no_data: float = 0.0
) -> DateSelection:
    return DateSelection(f"{chip}_202001{day:02}", chip, f"2020-01-{day:02}", cloud, shadow, haze, no_data)


def reasons(measured_dates: list[DateSelection], **changes: float) -> dict[str, str]:
    return {date.id: date.reason or date.verdict for date in judge(measured_dates, thresholds(**changes))}


def kept(dates: list[DateSelection]) -> set[str]:
    return {date.id for date in dates if date.verdict == "keep"}


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ({"cloud": 0.2, "shadow": 0.2}, "cloud"),
        ({"shadow": 0.2}, "shadow"),
        ({"haze": 0.2, "no_data": 0.9}, "haze"),
        ({"no_data": 0.2}, "no_data"),
    ],
)
def test_the_reason_is_the_first_kind_over_its_threshold(shares: dict[str, float], reason: str) -> None:
    assert reasons([measured("a", 1, **shares)]) == {"a_20200101": reason}


def test_of_equally_clear_dates_the_earlier_is_kept() -> None:
    dates = [measured("a", 2), measured("a", 1)]
    assert reasons(dates, dates=1) == {"a_20200101": "keep", "a_20200102": "clearer dates"}


share = st.sampled_from([0.0, 0.01, 0.05, 0.06, 0.2])
one_date = st.builds(measured, st.sampled_from("ab"), st.integers(1, 28), share, share, share, share)
many_dates = st.lists(one_date, unique_by=lambda date: date.id)


@given(many_dates, st.integers(1, 3), st.randoms())
def test_judge_agrees_with_a_direct_definition(dates: list[DateSelection], count: int, random) -> None:  # type: ignore[no-untyped-def]
    limits = thresholds(dates=count)
    judged = judge(dates, limits)
    assert judge(random.sample(dates, len(dates)), limits) == judged
    assert [date.id for date in judged] == sorted(date.id for date in dates)
    clear: dict[str, list[DateSelection]] = defaultdict(list)
    for date_ in dates:
        if all(getattr(date_, kind) <= getattr(limits, f"max_{kind}") for kind in KINDS):
            clear[date_.chip].append(date_)
    clearest = [sorted(of_chip, key=lambda date: (date.hidden, date.date))[:count] for of_chip in clear.values()]
    assert kept(judged) == {date.id for of_chip in clearest for date in of_chip}
    assert all(bool(date.reason) == (date.verdict == "drop") for date in judged)


@given(many_dates, st.integers(1, 3), st.tuples(share, share, share, share), st.integers(1, 3))
def test_for_stricter_keeps_what_any_stricter_thresholds_keep(
    dates: list[DateSelection], count: int, limits: tuple[float, ...], fewer: int
) -> None:
    loose = thresholds(dates=count)
    stricter = {f"max_{kind}": min(limit, LIMITS[f"max_{kind}"]) for kind, limit in zip(KINDS, limits, strict=True)}
    strict = thresholds(**stricter, dates=min(fewer, count))
    assert kept(judge(dates, strict)) <= kept(judge(dates, loose, for_stricter=True))


def test_for_stricter_keeps_no_more_than_the_clearest_where_these_hide_nothing() -> None:
    dates = [measured("a", 1), measured("a", 2), measured("a", 3, haze=0.01), measured("a", 4, cloud=0.01)]
    assert kept(judge(dates, thresholds(dates=2), for_stricter=True)) == {"a_20200101", "a_20200102"}


def test_a_date_without_bands_leaves_its_place_and_bands_may_show_no_data() -> None:
    dates = [measured("a", day, cloud=day / 100) for day in (1, 2, 3, 4)]
    bands = {"a_20200101": None, "a_20200102": measured("a", 2, no_data=0.9)}
    rounds: list[set[str]] = []

    def provide(wanted: list[DateSelection]) -> dict[str, DateSelection | None]:
        rounds.append(kept(wanted))
        return {date.id: bands.pop(date.id) for date in wanted if date.id in bands}

    judged = judge_with_bands(dates, partial(judge, thresholds=thresholds(dates=1)), provide)
    assert rounds == [{"a_20200101"}, {"a_20200102"}, {"a_20200103"}]
    assert [(date.id, date.reason) for date in judged] == [
        ("a_20200102", "no_data"),
        ("a_20200103", ""),
        ("a_20200104", "clearer dates"),
    ]


def test_without_masks_and_bands_a_date_counts_as_clear(tmp_path: Path) -> None:
    used = params(CloudFilterParams, **{"cloud_filter.ghana.clouds": "none"})
    options = used.cloud_filter.read_options("ghana", used.bands)
    item = ghana_item(tmp_path, "000001", date(2020, 1, 1), code=1, hidden=64)
    bands_CHW = np.full((10, 16, 16), 7, np.uint16)
    bands_CHW[2, :4] = 0
    write_geotiff(item.folder / "source.tif", bands_CHW, at())
    assert measure(item, options, with_bands=False).hidden == 0
    with_bands = measure(item, options, with_bands=True)
    assert (with_bands.cloud, with_bands.no_data) == (0, 0.25)


def test_a_task_that_was_sent_finds_the_shares_in_the_cache(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path / "raw", "31PGS_01", date(2020, 3, 5), scl=9, hidden=64)
    (tmp_path / "cache").mkdir()
    used = params(CloudFilterParams)
    options = used.cloud_filter.read_options("landcovernet", used.bands)
    task = MeasureTask(tmp_path / "raw", StageCache(tmp_path / "cache", sha256), options)
    assert task.file(item) == str(item.folder.relative_to(tmp_path / "raw"))
    measured = DateSelection("31PGS_01_20200305", "31PGS_01", "2020-03-05", 0.25, 0, 0, 0)  # 64 of 256 pixels
    assert task(item) == pickle.loads(pickle.dumps(task))(item) == measured
    assert len(list((tmp_path / "cache").iterdir())) == 1
