"""Kept dates become chips with their labels; what is left out is counted; without a chip nothing is written."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Imagery, Origin, read_chips, read_imagery, read_origin
from pipeline.formats.classes import read_classes
from pipeline.formats.datasets import CLASSES
from pipeline.formats.png import read_chip_image, read_image, read_mask
from pipeline.raster.geotiff import write_geotiff
from pipeline.tif_to_png import TifToPngParams, tif_to_png
from tests.world import (
    archive,
    at,
    ghana_item,
    ghana_label,
    halves,
    landcovernet_item,
    landcovernet_label,
    params,
)

DAY, LATER = date(2020, 1, 1), date(2020, 1, 2)
CHIP = "31PGS_01"


def convert(tmp_path: Path, dataset: Any = "landcovernet", **changes: Any) -> str:
    """Run both stages, from `raw` to `chips`."""
    raw, clear = archive(tmp_path / "raw", dataset), tmp_path / "clear.csv"
    cloud_filter(dataset, raw, clear, tmp_path / "failures.csv", params(CloudFilterParams, **changes))
    return tif_to_png(
        dataset, raw, clear, tmp_path / "chips", tmp_path / "failures.csv", params(TifToPngParams, **changes)
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "failures.csv")


def test_each_kept_date_becomes_a_chip_with_the_label_of_its_place(tmp_path: Path) -> None:
    for day in (DAY, LATER):
        landcovernet_item(tmp_path / "raw", CHIP, day)
    landcovernet_label(tmp_path / "raw", CHIP)
    summary = convert(tmp_path)
    assert summary == ("2 clear dates in, 2 chips kept, dropped: 0 without a label item, 0 without a labelled pixel")
    chips = tmp_path / "chips"
    assert names(chips) == ["chips.csv", "classes.json", "imagery.json", "images", "masks", "origin.json"]
    assert names(chips / "images") == names(chips / "masks") == [f"{CHIP}_20200101.png", f"{CHIP}_20200102.png"]
    assert (read_image(chips / f"images/{CHIP}_20200101.png") == [102, 51, 20]).all()  # 255 * 0.12, 0.06, 0.024 / 0.3
    assert np.array_equal(read_mask(chips / f"masks/{CHIP}_20200102.png"), halves(16, 16, 1, 6))
    frame = read_chips(chips)
    assert frame["scene"].tolist() == [CHIP, CHIP]
    assert frame["unit"].tolist() == ["31PGS", "31PGS"]  # the Sentinel tile
    assert frame["date"].tolist() == ["2020-01-01", "2020-01-02"]
    places = frame[["crs", "x", "y", "pixel_size"]].drop_duplicates().to_numpy().tolist()
    assert places == [["EPSG:32630", 500000.0, 1000000.0, 10.0]]
    assert frame["pixels_6"].tolist() == [128, 128]
    assert read_imagery(chips) == Imagery(("B04", "B03", "B02"), 0.0001, 0.0, (0.0, 0.3), synthetic=False)
    assert read_classes(chips / "classes.json") == CLASSES["landcovernet"].without_remap()


def test_without_clouds_dates_need_no_mask_and_only_no_data_hides(tmp_path: Path) -> None:
    for chip, day in (("000001", DAY), ("000001", LATER), ("000002", DAY), ("000003", DAY)):
        item = ghana_item(tmp_path / "raw", chip, day)
        (item.folder / "cloudmask.tif").unlink()
    write_geotiff(item.folder / "source.tif", np.zeros((10, 16, 16), np.uint16))
    ghana_item(tmp_path / "raw", "000002", LATER, code=1, hidden=256)  # a mask that is not read
    for chip in ("000001", "000002", "000003"):
        ghana_label(tmp_path / "raw", chip, halves(16, 16))
    with pytest.raises(PipelineError, match="4 files failed"):
        convert(tmp_path, "ghana")
    convert(tmp_path, "ghana", **{"cloud_filter.ghana.clouds": "none"})
    expected = [f"{chip}_2020010{n}.png" for chip in ("000001", "000002") for n in (1, 2)]
    assert names(tmp_path / "chips/images") == expected
    assert read_origin(tmp_path / "chips").dropped["dates: no-data"] == 1
    for name in expected:
        assert np.array_equal(read_mask(tmp_path / "chips/masks" / name), halves(16, 16))


def test_clouds_cannot_be_ignored_where_none_are_found() -> None:
    changes = {"cloud_filter.ghana.clouds": "none", "tif_to_png.ghana.ignore_clouds": True}
    with pytest.raises(ValueError, match=r"tif_to_png\.ghana\.ignore_clouds is true, but cloud_filter\.ghana\.clouds"):
        params(TifToPngParams, **changes)


def test_dropped_dates_and_dates_without_a_label_are_left_out(tmp_path: Path) -> None:
    landcovernet_item(tmp_path / "raw", CHIP, DAY)
    landcovernet_item(tmp_path / "raw", CHIP, LATER, scl=9, hidden=200)
    landcovernet_item(tmp_path / "raw", "31PGS_02", DAY)
    landcovernet_item(tmp_path / "raw", "31PGS_03", DAY)
    landcovernet_label(tmp_path / "raw", CHIP)
    landcovernet_label(tmp_path / "raw", "31PGS_03", np.zeros((16, 16)))
    summary = convert(tmp_path)
    assert summary == ("3 clear dates in, 1 chips kept, dropped: 1 without a label item, 1 without a labelled pixel")
    assert names(tmp_path / "chips/masks") == [f"{CHIP}_20200101.png"]
    assert read_origin(tmp_path / "chips") == Origin(
        "local", {"dates: cloud": 1, "without a label item": 1, "without a labelled pixel": 1}
    )


def test_official_lists_name_places_and_all_their_dates_stay_together(tmp_path: Path) -> None:
    for chip in ("000001", "000002"):
        ghana_label(tmp_path / "raw", chip)
        for day in (DAY, LATER):
            ghana_item(tmp_path / "raw", chip, day)
    (tmp_path / "raw/test.txt").write_text("000002\n000003\n")
    summary = convert(tmp_path, "ghana")
    unmatched = "entries of train.txt, val.txt, test.txt that match no chip (000003)"
    assert f", 1 {unmatched}" in summary
    assert read_origin(tmp_path / "chips").dropped[unmatched] == 1
    frame = read_chips(tmp_path / "chips")
    assert frame["official"].tolist() == ["", "", "test", "test"]
    assert frame["unit"].tolist() == ["000001", "000001", "000002", "000002"]


def test_pixels_without_data_are_black_and_ignored(tmp_path: Path) -> None:
    landcovernet_item(tmp_path / "raw", CHIP, DAY, scl=0, hidden=4)
    landcovernet_label(tmp_path / "raw", CHIP)
    convert(tmp_path)
    assert read_image(tmp_path / f"chips/images/{CHIP}_20200101.png")[0, 3:5].tolist() == [[0, 0, 0], [102, 51, 20]]
    assert read_mask(tmp_path / f"chips/masks/{CHIP}_20200101.png")[0, 3:5].tolist() == [255, 1]


@pytest.mark.parametrize(("ignored", "value"), [(False, 1), (True, 255)])
@pytest.mark.parametrize("scl", [3, 8, 9, 10])
def test_hidden_pixels_of_kept_dates_are_ignored_if_set(tmp_path: Path, scl: int, ignored: bool, value: int) -> None:
    landcovernet_item(tmp_path / "raw", CHIP, DAY, scl=scl, hidden=4)
    landcovernet_label(tmp_path / "raw", CHIP)
    convert(tmp_path, **{"tif_to_png.landcovernet.ignore_clouds": ignored})
    mask_HW = read_mask(tmp_path / f"chips/masks/{CHIP}_20200101.png")
    assert mask_HW[0, :5].tolist() == [value] * 4 + [1]


def test_minmax_stretches_each_image(tmp_path: Path) -> None:
    ghana_item(tmp_path / "raw", "000001", DAY)
    ghana_label(tmp_path / "raw", "000001")
    convert(tmp_path, "ghana", **{"tif_to_png.ghana.stretch": "minmax"})
    assert not read_image(tmp_path / "chips/images/000001_20200101.png").any()  # one value a band
    assert read_imagery(tmp_path / "chips").stretch == "minmax"


def test_no_chip_at_all_is_refused_with_the_reasons_and_nothing_published(tmp_path: Path) -> None:
    for chip in ("000001", "000002", "000003"):
        ghana_item(tmp_path / "raw", chip, DAY)
    ghana_label(tmp_path / "raw", "000001", np.zeros((16, 16)))
    (ghana_label(tmp_path / "raw", "000002") / "labels.tif").write_bytes(b"")
    with pytest.raises(PipelineError) as error:
        convert(tmp_path, "ghana", on_error="skip")
    assert str(error.value) == (
        f"no chips from 3 clear dates in {tmp_path / 'raw'}: 1 failed, 1 have no label item and 1 no labelled pixel; "
        "check the labels"
    )
    assert not (tmp_path / "chips").exists()


def test_failed_dates_are_counted_in_the_origin_of_the_chips(tmp_path: Path) -> None:
    for chip in ("000001", "000002"):
        ghana_item(tmp_path / "raw", chip, DAY)
        ghana_label(tmp_path / "raw", chip)
    (ghana_label(tmp_path / "raw", "000002") / "labels.tif").write_bytes(b"")
    convert(tmp_path, "ghana", on_error="skip")
    assert read_origin(tmp_path / "chips").dropped["dates that failed (on_error: skip)"] == 1


def test_a_lower_consensus_is_advised_for_landcovernet(tmp_path: Path) -> None:
    landcovernet_item(tmp_path / "raw", CHIP, DAY)
    landcovernet_label(tmp_path / "raw", CHIP, consensus=50)
    with pytest.raises(
        PipelineError, match=r"1 no labelled pixel; .*, or lower tif_to_png.landcovernet.min_consensus$"
    ):
        convert(tmp_path, **{"tif_to_png.landcovernet.min_consensus": 51})


def test_a_wrong_label_is_refused_and_nothing_published(tmp_path: Path) -> None:
    ghana_item(tmp_path / "raw", "000001", DAY)
    ghana_label(tmp_path / "raw", "000001", halves(8, 16))
    with pytest.raises(PipelineError, match=r"source.tif and .*labels.tif differ in size"):
        convert(tmp_path, "ghana")
    assert names(tmp_path) == ["clear.csv", "raw"]


def test_the_same_archive_gives_the_same_bytes(tmp_path: Path) -> None:
    for chip in ("000001", "000002", "000003"):
        ghana_item(tmp_path / "raw", chip, DAY)
        ghana_label(tmp_path / "raw", chip)
    written = []
    for _ in range(2):
        convert(tmp_path, "ghana")
        written.append({path.name: path.read_bytes() for path in (tmp_path / "chips").rglob("*.*")})
    assert len(written[0]) == 3 + 4
    assert written[0] == written[1]


def test_near_infrared_of_both_archives_is_added_to_the_chips_of_three_bands(tmp_path: Path) -> None:
    bands = {
        "bands.landcovernet": ["B04", "B03", "B02", "B08"],
        "bands.ghana": [3, 2, 1, 7],
        "tif_to_png.ghana.stretch": [0.0, 0.255],
    }
    item = landcovernet_item(tmp_path / "landcovernet/raw", CHIP, DAY)
    write_geotiff(item.folder / "B08.tif", np.full((1, 16, 16), 1800, np.uint16), at(), nodata=0)
    landcovernet_label(tmp_path / "landcovernet/raw", CHIP)
    ghana_item(tmp_path / "ghana/raw", "000001", DAY)
    ghana_label(tmp_path / "ghana/raw", "000001")
    for dataset, chip, expected in (
        ("landcovernet", CHIP, [102, 51, 20, 153]),  # 255 * 0.12, 0.06, 0.024, 0.18 / 0.3
        ("ghana", "000001", [30, 20, 10, 70]),
    ):
        chips = tmp_path / dataset / "chips"
        kept = ("chips.csv", f"images/{chip}_20200101.png", f"masks/{chip}_20200101.png")
        convert(tmp_path / dataset, dataset, **{"tif_to_png.ghana.stretch": [0.0, 0.255]})
        rgb = [(chips / name).read_bytes() for name in kept]
        convert(tmp_path / dataset, dataset, **bands)
        assert [(chips / name).read_bytes() for name in kept] == rgb
        assert names(chips / "more_bands") == names(chips / "images") == [f"{chip}_20200101.png"]
        assert (read_chip_image(chips, f"{chip}_20200101", 4) == expected).all()
        assert read_imagery(chips).bands == tuple(map(str, bands[f"bands.{dataset}"]))
