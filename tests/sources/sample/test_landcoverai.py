"""The sample of LandCover.ai looks to the pipeline as the real archive does: its scenes, classes, colours and split."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipeline.raster.geotiff import open_geotiff
from pipeline.sources.sample.landcoverai import TILE, generate_pair
from pipeline.sources.sample.scene_layout import class_map, lay_out_scene
from pipeline.sources.sample.scene_spec import random_scene_spec
from tests.sources.sample.pixels import max_distance_to_class, pixels


def scenes(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "images").iterdir())


@cache
def read(folder: Path, kind: str, scene: str) -> np.ndarray:
    return pixels(folder / kind / f"{scene}.tif")


def test_files_are_laid_out_as_in_the_archive(landcoverai: Path) -> None:
    names = ["images", "masks", "test.txt", "train.txt", "val.txt"]
    assert sorted(path.name for path in landcoverai.iterdir()) == names
    assert len(scenes(landcoverai)) >= 12
    assert scenes(landcoverai) == sorted(path.stem for path in (landcoverai / "masks").iterdir())


def test_images_and_masks_are_on_one_grid_of_two_pixel_sizes_in_a_crs_without_a_code(landcoverai: Path) -> None:
    georeferences = []
    for scene in scenes(landcoverai):
        with (
            open_geotiff(landcoverai / f"images/{scene}.tif") as image,
            open_geotiff(landcoverai / f"masks/{scene}.tif") as mask,
        ):
            assert (image.count, image.dtypes[0], mask.count, mask.dtypes[0]) == (3, "uint8", 1, "uint8")
            assert (image.width, image.height, image.georeference) == (mask.width, mask.height, mask.georeference)
            georeferences.append(image.georeference)
    assert {georeference.transform.a for georeference in georeferences} == {0.25, 0.5}
    assert all(str(georeference.crs).startswith("PROJCS[") for georeference in georeferences)


def test_class_shares_are_near_those_of_the_real_archive(landcoverai: Path) -> None:
    masks = np.concatenate([read(landcoverai, "masks", scene).ravel() for scene in scenes(landcoverai)])
    percent = 100 * np.bincount(masks) / masks.size
    assert percent == pytest.approx([57, 1.5, 33, 6, 2], abs=4)
    assert percent[[1, 4]] == pytest.approx([1.5, 2.5], abs=1)


def test_the_official_split_has_every_full_tile_once(landcoverai: Path) -> None:
    lists = {name: (landcoverai / f"{name}.txt").read_text().split() for name in ("train", "val", "test")}
    ids = []
    for scene in scenes(landcoverai):
        _, height, width = read(landcoverai, "masks", scene).shape
        columns = -(-width // TILE)
        ids += [f"{scene}_{r * columns + c}" for r in range(height // TILE) for c in range(width // TILE)]
    assert sorted(sum(lists.values(), [])) == sorted(ids)
    assert all(tiles == sorted(tiles) for tiles in lists.values())
    assert len(lists["train"]) > 3 * len(lists["val"]) == 3 * len(lists["test"]) > 0


def test_borders_of_masks_are_off_by_at_most_3_pixels() -> None:
    spec = random_scene_spec((700, 640), 4, 1)
    true_HW = class_map(lay_out_scene(spec))
    _, mask_HW = generate_pair(spec)
    assert 0.001 < (mask_HW != true_HW).mean() < 0.1
    assert 1 <= max_distance_to_class(mask_HW, true_HW) <= 3


def test_light_and_season_vary_by_scene(landcoverai: Path) -> None:
    means = [read(landcoverai, "images", scene).mean(axis=(1, 2)) for scene in scenes(landcoverai)]
    assert np.ptp([mean.mean() for mean in means]) > 15
    assert np.ptp([mean[1] / mean[0] for mean in means]) > 0.08


def test_soil_is_coloured_like_roads_and_dark_fields_like_water(landcoverai: Path) -> None:
    def shared(colours: np.ndarray, ground: np.ndarray) -> float:
        """Share of `colours` that also occur on the ground, at 16 levels per channel."""
        codes = [(values >> 4).astype(int) @ [256, 16, 1] for values in (colours, ground)]
        return float(np.isin(codes[0], np.unique(codes[1])).mean())

    by_class: dict[int, list[np.ndarray]] = {value: [] for value in (0, 3, 4)}
    for scene in scenes(landcoverai):
        image_NC = read(landcoverai, "images", scene).reshape(3, -1).T
        mask_N = read(landcoverai, "masks", scene).ravel()
        for value, colours in by_class.items():
            colours.append(image_NC[mask_N == value][::31])
    road, water, ground = (np.concatenate(by_class[value]) for value in (4, 3, 0))
    assert shared(road, ground) > 0.9
    assert shared(water, ground) > 0.9
