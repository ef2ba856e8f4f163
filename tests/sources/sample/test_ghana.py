"""The sample of Ghana looks to the pipeline as the real archive does: its bands, labels and rare, visible fields."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.files import read_json
from pipeline.formats.datasets import CLASSES
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.labels import to_mask
from pipeline.raster.layout import RawFolder
from pipeline.sources.sample.ghana import MAX_LABELLED, survey_cell
from tests.sources.sample.pixels import pixels


def labels(folder: Path) -> np.ndarray:
    return np.stack([pixels(item / "labels.tif")[0] for item in RawFolder("ghana", folder).labels.values()])


def test_sources_have_ten_bands_on_a_grid_of_10_m_in_zone_30(ghana: Path) -> None:
    for item in RawFolder("ghana", ghana).items[::9]:
        for name, count, dtype in (("source", 10, "uint16"), ("cloudmask", 1, "uint8")):
            with open_geotiff(item.folder / f"{name}.tif") as file:
                assert (file.count, file.height, file.width, file.dtypes[0]) == (count, 64, 64, dtype)
                assert (file.georeference.crs, file.georeference.transform.a) == ("EPSG:32630", 10)


def test_labels_have_the_format_of_the_real_one_and_list_their_crops(ghana: Path, shared: Path) -> None:
    with open_geotiff(shared / "data/ghana/labels.tif") as real:
        expected = (real.count, real.height, real.width, real.dtypes, real.nodata, real.georeference)
    for folder in RawFolder("ghana", ghana).labels.values():
        with open_geotiff(folder / "labels.tif") as ours:
            assert (ours.count, ours.height, ours.width, ours.dtypes, ours.nodata, ours.georeference) == expected
            label_HW = ours.read()[0]
            to_mask(label_HW, CLASSES["ghana"], ours.path)
        (classes,) = read_json(folder / "stac.json")["properties"]["label:classes"]
        crops = {CLASSES["ghana"].names[int(value) - 1] for value in np.unique(label_HW) if value}
        assert set(classes["classes"]) == crops


def test_few_pixels_are_labelled_and_the_common_crops_occur_in_several_cells(ghana: Path) -> None:
    labels_NHW = labels(ghana)
    assert 0.95 <= (labels_NHW == 0).mean() <= 0.985
    assert (labels_NHW > 0).sum(axis=(1, 2)).max() <= MAX_LABELLED
    assert (labels_NHW > 0).any(axis=(1, 2)).all()
    for crop in range(1, 8):
        assert (labels_NHW == crop).any(axis=(1, 2)).sum() >= 4, CLASSES["ghana"].names[crop - 1]


def test_reflectance_rises_along_the_red_edge_to_the_seventh_band(ghana: Path) -> None:
    item = next(item for item in RawFolder("ghana", ghana).items if not pixels(item.folder / "cloudmask.tif").any())
    medians = np.median(pixels(item.folder / "source.tif").reshape(10, -1), axis=1)
    assert medians.argmax() in (6, 7, 8)
    assert (np.diff(medians[2:7]) > 0).all()


def test_labelled_fields_are_visible_in_the_image(ghana: Path) -> None:
    """Rice is wet: its short-wave infrared is darker than that of the unlabelled surroundings."""
    folders, rice, others = RawFolder("ghana", ghana).labels, [], []
    for item in RawFolder("ghana", ghana).items:
        clear_HW = pixels(item.folder / "cloudmask.tif")[0] == 0
        label_HW, short_HW = pixels(folders[item.chip] / "labels.tif")[0], pixels(item.folder / "source.tif")[8]
        rice += short_HW[clear_HW & (label_HW == 3)].tolist()
        others += short_HW[clear_HW & (label_HW == 0) & (short_HW > 0)].tolist()
    assert np.median(rice) < 0.85 * np.median(others)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_labelled_fields_are_on_open_land_and_match_the_cover(seed: int) -> None:
    cell = survey_cell(0, seed)
    assert set(np.unique(cell.ground.class_HW[cell.label_HW > 0])) <= {6, 7}
    assert (cell.ground.cover_HW[cell.label_HW > 0] == cell.label_HW[cell.label_HW > 0] + 9).all()
