"""A selection of tiles, places, days and chips takes the labelled chips that match, with their dates."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.sources.remote import RemoteItem, select_items
from pipeline.sources.settings import Selection
from tests.world import SELECT

DAYS = [date(2018, 1, 1), date(2018, 6, 1)]
CHIPS = {"31PGS_01": (0.0, 0.0, 1.0, 1.0), "31PGS_02": (1.5, 0.0, 2.0, 1.0), "28QDE_07": (-20.0, 10.0, -19.0, 11.0)}


def label(chip: str) -> RemoteItem:
    return RemoteItem(chip, None, Path("labels", chip), {}, CHIPS.get(chip))


def image(chip: str, day: date) -> RemoteItem:
    return RemoteItem(chip, day, Path("source", f"{chip}_{day}"), {}, CHIPS.get(chip))


ITEMS = [*map(label, CHIPS), *(image(chip, day) for chip in CHIPS for day in DAYS)]


def chips(**changes: Any) -> list[str]:
    select = Selection.model_validate(SELECT | changes)
    return sorted({item.chip for item in select_items(ITEMS, select, "landcovernet")})


def test_without_a_selection_all_items_are_selected_sorted_by_folder() -> None:
    selected = select_items(reversed(ITEMS), Selection.model_validate(SELECT), "landcovernet")
    assert selected == sorted(ITEMS, key=lambda item: item.folder)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tiles": ["31PGS"]}, ["31PGS_01", "31PGS_02"]),
        ({"tiles": ["31PGS", "28QDE"]}, ["28QDE_07", "31PGS_01", "31PGS_02"]),
        ({"chips": 2}, ["28QDE_07", "31PGS_01"]),
        ({"chips": 9}, ["28QDE_07", "31PGS_01", "31PGS_02"]),
        ({"bbox": [0.5, 0.5, 1.2, 0.6]}, ["31PGS_01"]),
        ({"bbox": [-180, -90, 180, 90]}, ["28QDE_07", "31PGS_01", "31PGS_02"]),
        ({"tiles": ["31PGS"], "chips": 1}, ["31PGS_01"]),
    ],
)
def test_chips_are_selected_by_tile_bbox_and_number(changes: dict[str, Any], expected: list[str]) -> None:
    assert chips(**changes) == expected


def test_dates_are_selected_and_labels_are_kept() -> None:
    select = Selection.model_validate(SELECT | {"dates": ["2018-05-01", "2018-06-01"], "chips": 1})
    selected = select_items(ITEMS, select, "landcovernet")
    assert [(item.chip, item.date) for item in selected] == [("28QDE_07", None), ("28QDE_07", DAYS[1])]


def test_a_chip_without_a_label_or_without_a_date_is_not_fetched() -> None:
    items = [label("31PGS_01"), image("31PGS_02", DAYS[0]), label("28QDE_07"), image("28QDE_07", DAYS[0])]
    selected = select_items(items, Selection.model_validate(SELECT), "landcovernet")
    assert {item.chip for item in selected} == {"28QDE_07"}


@pytest.mark.parametrize("changes", [{"tiles": ["99XXX"]}, {"bbox": [50, 50, 51, 51]}, {"dates": ["2020-01-01"] * 2}])
def test_a_selection_that_matches_nothing_is_refused_with_counts(changes: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match=r"download.landcovernet.select matches none of 3 labelled chips: "):
        chips(**changes)
