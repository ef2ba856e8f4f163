"""The tables of a chips folder are written and read back exactly."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import (
    Chip,
    Imagery,
    Origin,
    class_columns,
    dropped_summary,
    read_chips,
    read_imagery,
    read_origin,
    unmatched_entry,
    write_tables,
)
from pipeline.formats.classes import ClassTable, read_classes
from tests.world import TWO_CLASSES

IMAGERY = Imagery(("B04", "B03", "B02"), scale=0.0001, offset=-0.1, stretch=(0.0, 0.3), synthetic=True)
ORIGIN = Origin("local", {"partial": 2, "without a label": 0})
PIXELS = {"pixels_1": 3, "pixels_2": 2, "pixels_ignored": 1}
PLACED = Chip(
    "b_10", "b", 0, 512, 512, 512, 424876.99999917625, 0.1 + 0.2, "EPSG:2180", 0.25, "2018-01-31", "tile", "val"
)
UNPLACED = Chip("007", "NA", 0, 0, 64, 64)


def write(folder: Path, table: ClassTable = TWO_CLASSES) -> None:
    write_tables(folder, [asdict(chip) | PIXELS for chip in (PLACED, UNPLACED)], table, IMAGERY, ORIGIN)


def test_the_list_of_bands() -> None:
    assert IMAGERY.band_list == "B04, B03, B02 as red, green, blue"
    assert Imagery(("4", "3", "2", "8", "1")).band_list == "4, 3, 2 as red, green, blue, then 8, 1"


def test_the_table_is_sorted_by_id_and_empty_where_unknown(tmp_path: Path) -> None:
    write(tmp_path)
    assert (tmp_path / "chips.csv").read_text().splitlines() == [
        "id,scene,unit,row,column,height,width,x,y,crs,pixel_size,date,official,pixels_1,pixels_2,pixels_ignored",
        "007,NA,NA,0,0,64,64,,,,,,,3,2,1",
        "b_10,b,tile,0,512,512,512,424876.99999917625,0.30000000000000004,EPSG:2180,0.25,2018-01-31,val,3,2,1",
    ]


def test_the_table_round_trips_with_text_as_text_and_exact_numbers(tmp_path: Path) -> None:
    write(tmp_path)
    frame = read_chips(tmp_path)
    assert frame[["id", "scene", "unit", "crs", "date", "official"]].to_numpy().tolist() == [
        ["007", "NA", "NA", "", "", ""],  # the unit is the scene where none is given
        ["b_10", "b", "tile", "EPSG:2180", "2018-01-31", "val"],
    ]
    assert class_columns(frame) == ["pixels_1", "pixels_2"]
    assert frame["x"].isna().tolist() == [True, False]
    assert (frame["x"][1], frame["y"][1]) == (PLACED.x, PLACED.y)
    assert frame["pixels_ignored"].tolist() == [1, 1]


def test_classes_of_chips_are_written_without_the_remap(tmp_path: Path) -> None:
    write(tmp_path, ClassTable(classes=TWO_CLASSES.classes, remap={3: 1, 0: "ignore"}))
    assert read_classes(tmp_path / "classes.json") == TWO_CLASSES
    assert json.loads((tmp_path / "classes.json").read_text()) == {
        "classes": [
            {"id": 1, "name": "field", "colour": [0, 255, 127]},
            {"id": 2, "name": "wood", "colour": [10, 20, 30]},
        ]
    }


@pytest.mark.parametrize("imagery", [IMAGERY, Imagery(("3", "2", "1"), stretch="minmax")])
def test_imagery_round_trips(tmp_path: Path, imagery: Imagery) -> None:
    write_tables(tmp_path, [], TWO_CLASSES, imagery, ORIGIN)
    assert read_imagery(tmp_path) == imagery


def test_a_folder_without_chips_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"chips.csv does not exist; the stages tile and tif_to_png write it"):
        read_chips(tmp_path)


def test_the_origin_round_trips(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_origin(tmp_path) == ORIGIN
    assert dropped_summary(ORIGIN.dropped) == "dropped: 2 partial, 0 without a label"


def test_list_entries_without_a_chip_are_counted() -> None:
    reason = "entries of train.txt, val.txt, test.txt that match no chip"
    assert unmatched_entry(["a", "c"]) == {f"{reason} (a, c)": 2}
    assert unmatched_entry(["a", "b", "c", "d"]) == {f"{reason} (a, b, c, …)": 4}
    assert unmatched_entry([]) == {}
