"""The sample of LandCoverNet looks to the pipeline as the real archive does: its bands, clouds, labels and places."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.files import read_json
from pipeline.formats.datasets import CLASSES, DatasetName
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.labels import to_mask
from pipeline.raster.layout import RawFolder, asset
from pipeline.sources.sample.ground import Landscape, Site, generate_ground
from pipeline.sources.sample.landcovernet import TILES, MgrsTile, annotate
from tests.sources.sample.pixels import max_distance_to_class
from tests.sources.sample.pixels import pixels as read

ASSETS = ("B02", "B03", "B04", "B08", "CLD", "SCL")
EASTINGS = {0: "STUVWXYZ", 1: "ABCDEFGH", 2: "JKLMNPQR"}
NORTHINGS = "ABCDEFGHJKLMNPQRSTUV"
GROUND = generate_ground(Site((256, 256), 2, Landscape(wood=300, farmed=250, lake=120, villages=2)))


def pixels(folder: Path, key: str) -> np.ndarray:
    return read(asset("landcovernet", folder, key))


def labels(folder: Path) -> np.ndarray:
    return np.stack([pixels(item, "labels") for item in RawFolder("landcovernet", folder).labels.values()])


def test_bands_are_uint16_and_sen2cor_products_uint8_on_one_grid_of_10_m(landcovernet: Path) -> None:
    for item in RawFolder("landcovernet", landcovernet).items[::7]:
        for key in ASSETS:
            with open_geotiff(item.folder / f"{key}.tif") as file:
                assert (file.count, file.height, file.width) == (1, 256, 256)
                assert file.dtypes == (("uint8",) if key in ("CLD", "SCL") else ("uint16",))
                assert file.nodata == (255 if key == "CLD" else 0,)
                assert file.georeference.transform.a == 10
                zone = {"29PKL": "EPSG:32629", "36MXE": "EPSG:32736", "37MCS": "EPSG:32737"}[item.chip[:5]]
                assert file.georeference.crs == zone


def test_labels_have_the_format_of_the_real_ones(landcovernet: Path, shared: Path) -> None:
    (real,) = (RawFolder("landcovernet", shared / "data/landcovernet").labels.get("28QDE_00"),)
    ours = RawFolder("landcovernet", landcovernet).labels
    with open_geotiff(asset("landcovernet", real, "labels")) as file:
        expected = file.count, file.dtypes, file.nodata, file.height, file.width
    for folder in ours.values():
        with open_geotiff(folder / "labels.tif") as file:
            assert (file.count, file.dtypes, file.nodata, file.height, file.width) == expected
    theirs = read_json(real / "stac.json")
    item = read_json(next(iter(ours.values())) / "stac.json")
    assert theirs.keys() <= item.keys()
    assert theirs["properties"].keys() <= item["properties"].keys()
    assert theirs["assets"]["labels"]["file:values"] == item["assets"]["labels"]["file:values"]
    assert (real / "source_dates.csv").read_text().splitlines()[1].split(",")[0] == "0"


def test_labels_are_classes_and_consensus_on_the_grid_of_their_sources(landcovernet: Path) -> None:
    folders = RawFolder("landcovernet", landcovernet).labels
    for item in RawFolder("landcovernet", landcovernet).items[::4]:
        label = folders[item.chip] / "labels.tif"
        with open_geotiff(label) as file, open_geotiff(item.folder / "B04.tif") as band:
            class_HW, consensus_HW = file.read()
            assert file.georeference == band.georeference
        to_mask(class_HW, CLASSES["landcovernet"], label, nodata=0)
        assert 30 < consensus_HW.min() < 70 < consensus_HW.max() == 100


def test_all_seven_classes_occur_and_three_of_them_dominate(landcovernet: Path) -> None:
    counts = np.bincount(labels(landcovernet)[:, 0].ravel(), minlength=8)
    shares = dict(zip(range(8), 100 * counts / counts.sum(), strict=True))
    assert 0 < shares[0] < 0.5
    assert 1 < shares[4] < 4
    assert 1 < shares[2] < 5
    assert all(3 < shares[value] < 12 for value in (1, 3))
    assert all(15 < shares[value] < 45 for value in (5, 6, 7))


def test_cloudy_dates_have_shadows(verdicts: Callable[[DatasetName], pd.DataFrame]) -> None:
    table = verdicts("landcovernet")
    cloudy = table[table["cloud"].between(0.1, 0.5)]
    assert len(cloudy) > 5
    assert (cloudy["shadow"] > 0.02).all()
    assert (table.loc[table["cloud"] == 0, "shadow"] < 0.05).all()


def test_no_data_is_0_in_all_bands_and_in_scl_and_nowhere_else(landcovernet: Path) -> None:
    items_with_missing = 0
    for item in RawFolder("landcovernet", landcovernet).items:
        bands_CHW = np.concatenate([pixels(item.folder, key) for key in ASSETS[:4]])
        missing_HW = (bands_CHW == 0).any(axis=0)
        assert (missing_HW == (bands_CHW == 0).all(axis=0)).all()
        items_with_missing += int(missing_HW.any())
        borders = (missing_HW != (pixels(item.folder, "SCL")[0] == 0)).mean()  # SCL has pixels of 20 m
        assert borders < 0.01
        assert missing_HW.any() == (pixels(item.folder, "SCL") == 0).any()
    assert 3 <= items_with_missing < 40


def test_high_clouds_are_bright_and_probable(landcovernet: Path) -> None:
    cloudy_items = 0
    for item in RawFolder("landcovernet", landcovernet).items:
        high_HW = pixels(item.folder, "SCL")[0] == 9
        if high_HW.mean() > 0.05:
            cloudy_items += 1
            blue_HW, probability_HW = pixels(item.folder, "B02")[0], pixels(item.folder, "CLD")[0]
            assert np.median(blue_HW[high_HW]) > 3000
            assert np.median(probability_HW[high_HW]) > 80
    assert cloudy_items > 10


def test_water_is_dark_in_the_infrared_and_bare_ground_bright_in_the_red(landcovernet: Path) -> None:
    nir, red = {1: [], 5: [], 3: []}, {1: [], 5: [], 3: []}  # type: ignore[var-annotated]
    folders = RawFolder("landcovernet", landcovernet).labels
    for item in RawFolder("landcovernet", landcovernet).items[::3]:
        clear_HW = np.isin(pixels(item.folder, "SCL")[0], (4, 5, 6))
        class_HW = pixels(folders[item.chip], "labels")[0]
        for value in nir:
            nir[value] += pixels(item.folder, "B08")[0][clear_HW & (class_HW == value)][::9].tolist()
            red[value] += pixels(item.folder, "B04")[0][clear_HW & (class_HW == value)][::9].tolist()
    assert np.median(nir[1]) < 700 < 1800 < np.median(nir[5])
    assert np.median(red[5]) < 700 < 1200 < np.median(red[3])


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_a_tile_is_at_the_position_of_its_name(tile: MgrsTile) -> None:
    """MGRS: easting letters repeat every three zones; northing letters start at F in even zones."""
    zone, easting, northing = int(tile.name[:2]), tile.name[3], tile.name[4]
    left = (EASTINGS[zone % 3].index(easting) + 1) * 100_000
    top = (NORTHINGS.index(northing) - (5 if zone % 2 == 0 else 0)) % 20 * 100_000 + 100_000
    assert tile.left == pytest.approx(left, abs=60)
    assert tile.top % 2_000_000 == pytest.approx(top % 2_000_000, abs=60)


@pytest.mark.parametrize("with_unlabelled", [False, True])
def test_unlabelled_pixels_have_the_lowest_consensus(with_unlabelled: bool) -> None:
    class_HW, consensus_HW = annotate(GROUND, with_unlabelled)
    assert (class_HW == 0).any() == with_unlabelled
    assert ((consensus_HW < 60) == (class_HW == 0)).all()


def test_labels_are_off_by_at_most_a_pixel_and_disputed_at_borders() -> None:
    class_HW, consensus_HW = annotate(GROUND, with_unlabelled=False)
    assert 0 < (class_HW != GROUND.class_HW).mean() < 0.1
    assert max_distance_to_class(class_HW, GROUND.class_HW) == 1
    border_HW = class_HW[:, 1:] != class_HW[:, :-1]
    assert consensus_HW[:, 1:][border_HW].max() < 75
    assert 0.5 < (consensus_HW == 100).mean() < 0.95
