"""Own images and labels become a raw folder: whole pairs, copied sidecars, and notes about what was found."""

import traceback
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.raster.gdal import WARNINGS_LOCK
from pipeline.raster.geotiff import open_geotiff
from tests.importing.world import MASK_HW, SIDE, run_import, write_picture, write_rules, write_tif, write_vector
from tests.world import at, gradient, write_geotiff


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    write_rules(tmp_path / "mine")
    return tmp_path / "mine"


def write_images(mine: Path, scenes: str) -> None:
    for scene in scenes:
        write_tif(mine / f"images/{scene}.tif")


def mask_of(target: Path, scene: str = "a") -> np.ndarray:
    """Class ids, 255 where ignored."""
    with open_geotiff(target / f"masks/{scene}.tif") as file:
        values_HW = file.read()[0]
        return np.where(file.valid_mask(), values_HW, 255)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
def test_one_vector_file_labels_all_images_and_is_copied(mine: Path, tmp_path: Path, suffix: str) -> None:
    write_images(mine, "ab")
    write_vector(mine / f"labels.{suffix}", kind=["building"])
    imported, failures, notes = run_import(mine, tmp_path / "raw")
    assert failures == []
    parts = sorted(path.name for path in mine.glob("labels.*"))
    assert len(parts) == (5 if suffix == "shp" else 1)
    copied = [str(file.path) for file in imported]
    assert copied[: 1 + len(parts)] == ["classes.yaml", *parts]
    label = f"labels.{suffix}"
    assert [str(file.origin) for file in imported[-4:]] == ["images/a.tif", label, "images/b.tif", label]
    for scene in "ab":
        assert (mask_of(tmp_path / "raw", scene) == np.where(MASK_HW == 1, 1, 255)).all()
    assert notes == [f"{mine}/labels.{suffix}: 1 polygons, class by attribute 'kind', which was found: 1 building"]


def test_each_image_may_have_its_own_label_of_any_kind(mine: Path, tmp_path: Path) -> None:
    write_rules(mine, polygons={"background": "other"})
    write_picture(mine / "images/b.png")
    write_picture(mine / "labels/b.png", MASK_HW)
    for scene in "acd":
        write_tif(mine / f"images/{scene}.tif")
        write_vector(mine / f"labels/{scene}.gpkg", kind=["building"])
    imported, failures, notes = run_import(mine, tmp_path / "raw")
    assert failures == []
    assert "labels/a.gpkg" in [str(file.path) for file in imported]
    assert (mask_of(tmp_path / "raw", "a") == MASK_HW).all()
    assert (mask_of(tmp_path / "raw", "b") == MASK_HW).all()
    assert notes == [
        f"{mine}/labels/a.gpkg: 1 polygons, class by attribute 'kind', which was found: 1 building "
        "(and 2 more such notes)"
    ]


def test_the_annotated_areas_are_read_and_copied(mine: Path, tmp_path: Path) -> None:
    write_rules(mine, polygons={"background": "other", "annotated": "areas.gpkg"})
    write_tif(mine / "images/a.tif")
    write_vector(mine / "labels.gpkg", kind=["building"])
    write_vector(mine / "areas.gpkg")
    imported, _, _ = run_import(mine, tmp_path / "raw")
    assert "areas.gpkg" in [str(file.path) for file in imported]
    assert (mask_of(tmp_path / "raw") == np.where(MASK_HW == 1, 1, 255)).all()


def test_labels_far_from_every_image_are_refused(mine: Path, tmp_path: Path) -> None:
    write_images(mine, "ab")
    write_vector(mine / "labels.gpkg", crs="EPSG:32631", kind=["building"])
    with pytest.raises(PipelineError, match=r"labels.gpkg covers .*: they do not overlap, nor do the") as error:
        run_import(mine, tmp_path / "raw")
    assert f" and {mine}/images/a.tif " in str(error.value)


def test_an_image_without_polygons_is_named_by_its_own_path(mine: Path, tmp_path: Path) -> None:
    write_tif(mine / "images/a.tif")
    for scene in "bc":
        write_geotiff(mine / f"images/{scene}.tif", gradient(SIDE, SIDE), at(x=800000))
    write_vector(mine / "labels.gpkg", kind=["building"])
    _, _, notes = run_import(mine, tmp_path / "raw")
    assert notes[1] == (
        f"{mine}/images/b.tif: no polygon of {mine}/labels.gpkg covers a pixel; its mask is ignore only "
        "(and 1 more such note)"
    )


def test_labels_far_from_their_own_image_fail_alone(mine: Path, tmp_path: Path) -> None:
    write_images(mine, "ab")
    write_vector(mine / "labels/a.gpkg", kind=["building"])
    write_vector(mine / "labels/b.gpkg", crs="EPSG:32631", kind=["building"])
    imported, (failure,), _ = run_import(mine, tmp_path / "raw")
    assert failure.file == "images/b.tif"
    assert "do not overlap" in failure.reason
    assert not (tmp_path / "raw/images/b.tif").exists()
    assert not (tmp_path / "raw/masks/b.tif").exists()
    assert "images/a.tif" in [str(file.path) for file in imported]


def test_folders_of_parts_become_lists(mine: Path, tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_picture(mine / part / "images/1.jpg")
        write_picture(mine / part / "masks/1.png", MASK_HW)
    imported, _, notes = run_import(mine, tmp_path / "raw")
    assert notes == ["folders of parts are the user's own split: follow them by split.strategy=official"]
    assert {str(file.path) for file in imported} >= {"train.txt", "val.txt", "images/train_1.tif", "masks/val_1.tif"}
    assert (tmp_path / "raw/val.txt").read_text() == "val_1\n"


def test_sidecars_follow_a_renamed_image(mine: Path, tmp_path: Path) -> None:
    write_tif(mine / "1_sat.tif").rename(mine / "1_sat.TIF")
    write_text(mine / "1_sat.tfw", "0.5\n0\n0\n-0.5\n500000\n1000000\n")
    write_text(mine / "1_sat.TIF.aux.xml", "<PAMDataset></PAMDataset>")
    write_tif(mine / "1_mask.tif", MASK_HW)
    run_import(mine, tmp_path / "raw")
    assert sorted(path.name for path in (tmp_path / "raw/images").iterdir()) == ["1.TIF", "1.TIF.aux.xml", "1.tfw"]


def test_a_label_that_does_not_fit_into_memory_takes_its_image_along(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(mine, "ab")
    write_picture(mine / "masks/a.png", MASK_HW)
    write_vector(mine / "masks/b.gpkg", kind=["building"])
    monkeypatch.setattr("pipeline.importing.importer.import_mask", Mock(side_effect=MemoryError))
    imported, (failure,), _ = run_import(mine, tmp_path / "raw")
    assert failure.reason == "images/a.tif needs more memory than is available"
    assert [str(file.path) for file in imported[-2:]] == ["images/b.tif", "masks/b.tif"]
    assert not (tmp_path / "raw/images/a.tif").exists()


def test_a_vector_file_that_all_depend_on_is_checked_first(mine: Path, tmp_path: Path) -> None:
    write_images(mine, "ab")
    write_vector(mine / "labels.gpkg", kind=["bilding"])
    with pytest.raises(
        PipelineError, match=r"'kind' has values that are no class: 'bilding' in 1 polygon \(nearest: b"
    ):
        run_import(mine, tmp_path / "raw")
    assert not (tmp_path / "raw/images").exists()


def test_warning_filters_are_changed_under_the_lock_only(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = []

    class Watched(warnings.catch_warnings):  # type: ignore[type-arg]
        def __enter__(self) -> Any:
            if not WARNINGS_LOCK.locked():
                unlocked.append("".join(traceback.format_stack()))
            return super().__enter__()

    write_rules(mine, polygons={"background": "other"})
    write_tif(mine / "images/a.tif")
    write_vector(mine / "labels/a.gpkg", kind=["building"])
    write_picture(mine / "images/b.jpg")
    write_picture(mine / "labels/b.png", np.dstack([MASK_HW * 255, MASK_HW * 0, MASK_HW * 0]).astype(np.uint8))
    monkeypatch.setattr(warnings, "catch_warnings", Watched)
    _, failures, _ = run_import(mine, tmp_path / "raw")
    assert (failures, unlocked) == ([], [])


def test_colours_without_a_classes_yaml_get_the_command_that_writes_one(mine: Path, tmp_path: Path) -> None:
    (mine / "classes.yaml").unlink()
    write_tif(mine / "images/a.tif")
    write_picture(mine / "masks/a.png", np.stack([0 * MASK_HW, 255 * MASK_HW, 0 * MASK_HW], axis=2))
    _, (failure,), _ = run_import(mine, tmp_path / "raw")
    assert failure.reason == (
        f"{mine}/masks/a.png contains colours of no class in 512 px; without a classes.yaml classes are "
        f"LandCover.ai's: write one, and edit its names: python -m pipeline.classes {mine} > {mine}/classes.yaml"
    )
