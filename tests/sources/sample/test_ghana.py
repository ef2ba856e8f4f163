from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.files import read_json
from pipeline.core.params import load_params
from pipeline.formats.datasets import CLASSES
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.labels import to_mask
from pipeline.raster.layout import RawFolder
from pipeline.sources.sample.ghana import MAX_LABELLED, survey_cell

PARAMS = Path(__file__).parents[3] / "params.yaml"


def pixels(path: Path) -> np.ndarray:
    with open_geotiff(path) as file:
        return file.read()


@pytest.fixture(scope="module")
def verdicts(archive: Callable[..., tuple[Path, list[str]]], tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    table = tmp_path_factory.mktemp("clear") / "ghana.csv"
    cloud_filter(
        "ghana", archive("ghana")[0], table, table.with_name("failures.csv"), load_params(CloudFilterParams, PARAMS)
    )
    return pd.read_csv(table, keep_default_na=False)


def labels(folder: Path) -> np.ndarray:
    return np.stack([pixels(item / "labels.tif")[0] for item in RawFolder("ghana", folder).labels.values()])


def test_items_and_files_are_named_as_in_the_archive(ghana: Path) -> None:
    items = RawFolder("ghana", ghana).items
    assert len(items) == 3 * len(RawFolder("ghana", ghana).labels) == 120
    for item in items:
        assert item.folder.name == f"su_african_crops_ghana_source_s2_{item.chip}_{item.date:%Y_%m_%d}"
        assert sorted(path.name for path in item.folder.iterdir()) == ["cloudmask.tif", "source.tif", "stac.json"]
    for cell, folder in RawFolder("ghana", ghana).labels.items():
        assert folder.name == f"su_african_crops_ghana_labels_{cell}"
        assert len(cell) == 6
        assert sorted(path.name for path in folder.iterdir()) == ["labels.tif", "stac.json"]


def test_sources_have_ten_bands_on_a_grid_of_10_m_in_zone_30(ghana: Path) -> None:
    for item in RawFolder("ghana", ghana).items[::9]:
        for name, count, dtype in (("source", 10, "uint16"), ("cloudmask", 1, "uint8")):
            with open_geotiff(item.folder / f"{name}.tif") as file:
                assert (file.count, file.height, file.width, file.dtypes[0]) == (count, 64, 64, dtype)
                assert (file.georeference.crs, file.georeference.transform.a) == ("EPSG:32630", 10)


def test_labels_have_the_format_of_the_real_one(ghana: Path, shared: Path) -> None:
    with open_geotiff(shared / "data/ghana/labels.tif") as real:
        expected = (real.count, real.height, real.width, real.dtypes, real.nodata, real.georeference)
    for folder in RawFolder("ghana", ghana).labels.values():
        with open_geotiff(folder / "labels.tif") as ours:
            assert (ours.count, ours.height, ours.width, ours.dtypes, ours.nodata, ours.georeference) == expected
            to_mask(ours.read()[0], CLASSES["ghana"], ours.path)


def test_at_least_95_percent_of_the_pixels_are_unlabelled(ghana: Path) -> None:
    all_labels = labels(ghana)
    assert 0.95 <= (all_labels == 0).mean() <= 0.985
    assert (all_labels > 0).sum(axis=(1, 2)).max() <= MAX_LABELLED
    assert (all_labels > 0).any(axis=(1, 2)).all()


def test_the_common_crops_occur_in_several_cells(ghana: Path) -> None:
    cells = [set(np.unique(label)) - {0} for label in labels(ghana)]
    for crop in range(1, 8):
        assert sum(crop in cell for cell in cells) >= 4, CLASSES["ghana"].names[crop - 1]


def test_each_cell_has_a_clear_date_and_others_are_dropped_for_every_reason(verdicts: pd.DataFrame) -> None:
    kept = verdicts[verdicts["verdict"] == "keep"].groupby("chip").size()
    assert set(kept.index) == set(verdicts["chip"])
    assert 45 <= kept.sum() <= 75
    assert {"cloud", "haze", "no_data"} <= set(verdicts.loc[verdicts["verdict"] == "drop", "reason"])


def test_cloud_masks_have_all_four_codes(ghana: Path) -> None:
    codes = np.concatenate([pixels(item.folder / "cloudmask.tif").ravel() for item in RawFolder("ghana", ghana).items])
    assert set(np.unique(codes)) == {0, 1, 2, 3}


def test_reflectance_rises_along_the_red_edge_to_the_seventh_band(ghana: Path) -> None:
    item = next(item for item in RawFolder("ghana", ghana).items if not pixels(item.folder / "cloudmask.tif").any())
    medians = np.median(pixels(item.folder / "source.tif").reshape(10, -1), axis=1)
    assert medians.argmax() in (6, 7, 8)
    assert medians[2] < medians[3] < medians[4] < medians[5] < medians[6]


def test_labelled_fields_are_visible_in_the_image(ghana: Path) -> None:
    """Rice is wet: its short-wave infrared is darker than that of the unlabelled surroundings."""
    folders, rice, others = RawFolder("ghana", ghana).labels, [], []
    for item in RawFolder("ghana", ghana).items:
        clear_HW = pixels(item.folder / "cloudmask.tif")[0] == 0
        label_HW, short_HW = pixels(folders[item.chip] / "labels.tif")[0], pixels(item.folder / "source.tif")[8]
        rice += short_HW[clear_HW & (label_HW == 3)].tolist()
        others += short_HW[clear_HW & (label_HW == 0) & (short_HW > 0)].tolist()
    assert np.median(rice) < 0.85 * np.median(others)


def test_items_list_their_crops(ghana: Path) -> None:
    for folder in RawFolder("ghana", ghana).labels.values():
        crops = {CLASSES["ghana"].names[int(value) - 1] for value in np.unique(pixels(folder / "labels.tif")) if value}
        (classes,) = read_json(folder / "stac.json")["properties"]["label:classes"]
        assert set(classes["classes"]) == crops


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_labelled_fields_are_on_open_land_and_match_the_cover(seed: int) -> None:
    cell = survey_cell(0, seed)
    assert set(np.unique(cell.ground.class_HW[cell.label_HW > 0])) <= {6, 7}
    assert (cell.ground.cover_HW[cell.label_HW > 0] == cell.label_HW[cell.label_HW > 0] + 9).all()


def test_the_official_split_has_every_cell_once(ghana: Path) -> None:
    assert sorted(RawFolder("landcoverai", ghana).official_parts) == sorted(RawFolder("ghana", ghana).labels)
