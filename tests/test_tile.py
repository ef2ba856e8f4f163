"""`tile` cuts a raw folder into a chips folder, whole or not at all, with a summary of what was dropped."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.params import load_params, validate
from pipeline.download import DownloadParams, download
from pipeline.formats.chips import Imagery, Origin, read_chips, read_imagery, read_origin
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.png import read_mask
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.layout import write_source
from pipeline.tile import TileParams, tile
from tests.world import TWO_CLASSES, UTM, archive, at, changed, gradient, halves, orthophoto, params, write_params


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return archive(tmp_path / "raw", "landcoverai", TWO_CLASSES)


def cut(raw: Path, **changes: Any) -> str:
    return tile(raw, raw.parent / "chips", raw.parent / "failures.csv", params(TileParams, **changes))


def refusal(raw: Path, **changes: Any) -> str:
    """The error; checks that nothing was atomic_path."""
    with pytest.raises(PipelineError) as error:
        cut(raw, **changes)
    assert names(raw.parent) == ["raw"]
    return str(error.value).replace(f"{raw}/", "")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "failures.csv")


def test_every_scene_is_cut_into_a_chips_folder(raw: Path) -> None:
    orthophoto(raw, "b", gradient(40, 70))
    orthophoto(raw, "a")
    assert cut(raw) == "2 scenes in, 8 chips kept, dropped: 4 partial, 0 without a label"
    chips = raw.parent / "chips"
    expected = [f"a_{number}" for number in range(6)] + ["b_0", "b_1"]
    assert names(chips) == ["chips.csv", "classes.json", "imagery.json", "images", "masks", "origin.json"]
    assert names(chips / "images") == names(chips / "masks") == [f"{name}.png" for name in expected]
    assert read_chips(chips)["id"].tolist() == expected
    assert read_imagery(chips) == Imagery(("1", "2", "3"))
    assert read_classes(chips / "classes.json") == TWO_CLASSES


def test_lists_of_an_archive_count_only_for_chips_of_512_px(raw: Path) -> None:
    orthophoto(raw, "a", gradient(512, 1024), halves(512, 1024))
    (raw / "train.txt").write_text("a_1\na_7\n")
    assert ", 1 entries of train.txt, val.txt, test.txt that match no chip (a_7)" in cut(raw, **{"tile.size": 512})
    frame = read_chips(raw.parent / "chips")
    assert (frame["unit"].tolist(), frame["official"].tolist()) == (["a", "a"], ["", "train"])
    write_source(raw, "archive")
    cut(raw, **{"tile.size": 256})  # same ids, but other ground
    assert set(read_chips(raw.parent / "chips")["official"]) == {""}


def test_own_lists_name_chips_or_images_at_any_size(raw: Path) -> None:
    for scene in "ab":
        orthophoto(raw, scene, gradient(64, 128), halves(64, 128))
    (raw / "train.txt").write_text("a_0\n")
    (raw / "test.txt").write_text("images/b.png\nc.tif\n")
    assert ", 1 entries of train.txt, val.txt, test.txt that match no chip (c)" in cut(raw, **{"tile.size": 64})
    assert read_chips(raw.parent / "chips")["official"].tolist() == ["train", "", "test", "test"]


def test_an_entry_that_may_be_an_image_or_a_chip_is_refused(raw: Path) -> None:
    for scene in ("a", "a_1"):
        orthophoto(raw, scene, gradient(64, 128), halves(64, 128))
    (raw / "train.txt").write_text("a\n")
    (raw / "test.txt").write_text("a_1\n")
    with pytest.raises(PipelineError, match="test.txt lists a_1, which is an image, and a chip of another image"):
        cut(raw, **{"tile.size": 64})


def test_the_summary_reports_pixels_hidden_by_alpha(raw: Path) -> None:
    image = orthophoto(raw, "a").image
    bands_CHW = np.concatenate([gradient(64, 96), np.full((1, 64, 96), 255, np.uint8)])
    bands_CHW[3, :16] = 0
    write_geotiff(image, bands_CHW, at(pixel=0.5), photometric="RGB", alpha="YES")
    assert cut(raw).endswith(", 0 without a label, 25 % of the pixels ignored by alpha (see tile.alpha)")
    assert cut(raw, **{"tile.alpha": "none"}).endswith(", 0 without a label")
    assert cut(raw, **{"tile.bands": [4, 1, 2]}).endswith(", 0 without a label")
    bands_CHW[3, 16:32] = 128
    write_geotiff(image, bands_CHW, at(pixel=0.5), photometric="RGB", alpha="YES")
    assert ", 0 without a label, alpha of 1 scenes unused: " in cut(raw)


def test_own_classes_are_merged_and_dropped(raw: Path) -> None:
    archive(raw, "landcoverai", ClassTable(classes=TWO_CLASSES.classes, remap={3: 1, 4: "ignore"}))
    orthophoto(raw, "a", gradient(32, 64), halves(32, 64, left=3, right=2))
    orthophoto(raw, "b", gradient(32, 64), halves(32, 64, left=4, right=1))
    assert cut(raw) == "2 scenes in, 3 chips kept, dropped: 0 partial, 1 without a label"
    chips = raw.parent / "chips"
    assert (read_mask(chips / "masks/a_0.png") == 1).all()
    assert names(chips / "masks") == ["a_0.png", "a_1.png", "b_1.png"]
    assert read_classes(chips / "classes.json") == TWO_CLASSES


def test_output_is_reproducible_and_replaces_the_previous_one(raw: Path) -> None:
    for scene in "abc":
        orthophoto(raw, scene)
    written = []
    for _ in range(2):
        cut(raw)
        written.append({path: path.read_bytes() for path in (raw.parent / "chips").rglob("*.*")})
    assert len(written[0]) == 3 * 6 * 2 + 4
    assert written[0] == written[1]
    cut(raw, **{"tile.size": 64})
    assert names(raw.parent / "chips/images") == ["a_0.png", "b_0.png", "c_0.png"]


@pytest.mark.parametrize("partial", ["drop", "pad"])
def test_a_size_larger_than_every_scene_is_refused_unless_padded(raw: Path, partial: str) -> None:
    orthophoto(raw, "a")
    orthophoto(raw, "b")
    if partial == "pad":
        assert cut(raw, **{"tile.size": 128, "tile.partial": partial}).startswith("2 scenes in, 2 chips kept")
    else:
        message = refusal(raw, **{"tile.size": 128})
        assert message.startswith("no chips of 128 px from 2 scenes in ")
        assert message.endswith(
            ": 0 failed; in the others, 2 windows extend beyond the scene and 0 have no labelled pixel; "
            "set a smaller tile.size, or tile.partial to pad"
        )


def test_failed_scenes_and_unlabelled_windows_are_counted_apart(raw: Path) -> None:
    archive(raw, "landcoverai", ClassTable(classes=TWO_CLASSES.classes, remap={0: "ignore"}))
    orthophoto(raw, "a", gradient(32, 32), np.zeros((32, 32), np.uint8))
    orthophoto(raw, "b").image.write_bytes(b"")
    with pytest.raises(PipelineError) as error:
        cut(raw, on_error="skip")
    assert str(error.value).endswith(
        "from 2 scenes in " + str(raw) + ": 1 failed; in the others, 0 windows extend beyond the scene and "
        "1 have no labelled pixel; fix the 1 that failed; label some pixels, or name their values in classes.yaml"
    )


def test_scenes_entirely_hidden_by_alpha_are_refused_with_advice(raw: Path) -> None:
    bands_CHW = np.concatenate([gradient(32, 32), np.zeros((1, 32, 32), np.uint8)])
    write_geotiff(orthophoto(raw, "a", gradient(32, 32)).image, bands_CHW, at(pixel=0.5))
    assert refusal(raw).endswith("; set tile.alpha to none if alpha hides too much")


def test_origin_json_counts_dropped_windows_and_failed_scenes(raw: Path) -> None:
    orthophoto(raw, "a", gradient(40, 70))
    orthophoto(raw, "b").image.write_bytes(b"")
    cut(raw, on_error="skip")
    dropped = {"partial": 4, "without a label": 0, "scenes that failed (on_error: skip)": 1}
    assert read_origin(raw.parent / "chips") == Origin("local", dropped)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", 500, "tile.size is 500; input should be a multiple of 32"),
        ("size", 0, "tile.size is 0; input should be greater than 0"),
        ("partial", "crop", "tile.partial is 'crop'; did you mean 'drop'? allowed: drop, pad"),
        ("bands", [1, 2], "tile.bands: [1, 2]: need three or more bands, red, green and blue first; "),
        ("bands", [0, 1, 2], "tile.bands.0 is 0; input should be greater than or equal to 1"),
        ("alpha", "yes", "tile.alpha is 'yes'; allowed: auto, none"),
        ("stretch", "minmax", "tile.stretch is 'minmax'; allowed: none"),
        ("stretch", [9, 9], "tile.stretch is [9, 9]; allowed: none; else [9.0, 9.0]: need low < high; "),
    ],
)
def test_an_invalid_param_is_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        validate(TileParams, {"on_error": "stop", "tile": changed()["tile"] | {key: value}}, Path("params.yaml"))
    assert str(error.value).startswith(f"params.yaml: {message}")


def test_a_class_declared_as_no_data_is_kept_and_reported(raw: Path) -> None:
    archive(raw, "landcoverai")
    for scene in "ab":
        write_geotiff(orthophoto(raw, scene).mask, halves(64, 96, 1, 0)[None], at(pixel=0.5), nodata=0)
    assert cut(raw) == (
        "2 scenes in, 12 chips kept, dropped: 0 partial, 0 without a label, "
        "6144 px of class 0 kept although their files declare it as no-data"
    )
    assert read_chips(raw.parent / "chips")["pixels_0"].sum() == 6144


def test_a_changed_sidecar_invalidates_the_stage_cache(raw: Path) -> None:
    image = orthophoto(raw, "a", np.where(gradient(64, 96) < 17, 0, gradient(64, 96))).image
    orthophoto(raw, "b").image.write_bytes(b"")  # so the result of a stays in the stage cache
    for text in (
        "<PAMDataset/>",
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>40</NoDataValue></PAMRasterBand></PAMDataset>',
    ):
        image.with_name("a.tif.aux.xml").write_text(text)
        with pytest.raises(PipelineError, match=r"images/b.tif is empty"):
            cut(raw)
    orthophoto(raw, "b")
    cut(raw)
    assert read_chips(raw.parent / "chips")["pixels_ignored"].sum() == 96


def test_chips_that_would_fill_the_disk_are_refused_before_writing(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sparse files of some KB that claim 300,000 x 300,000 px."""
    shape = {"driver": "GTiff", "width": 300_000, "height": 300_000, "dtype": "uint8", "sparse_ok": True}
    tiles = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "compress": "deflate"}
    place = {"crs": UTM, "transform": at(pixel=0.5).transform}
    for folder, count in (("images", 3), ("masks", 1)):
        (raw / folder).mkdir()
        with rasterio.open(raw / folder / "a.tif", "w", count=count, **shape, **tiles, **place):
            pass
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert refusal(raw, **{"tile.size": 512}).startswith(
        "images/a.tif has 300000 x 300000 px: its 342225 chips may need up to 358.8 GB, and 1.0 GB are free on the disk"
    )


def test_the_real_figures_make_52_chips_from_a_local_folder(shared: Path, tmp_path: Path) -> None:
    figures = shared / "data/landcoverai-figures"
    write_params(tmp_path, **{"download.landcoverai.path": str(figures), "tile.size": 256})
    file, raw, chips = tmp_path / "params.yaml", tmp_path / "raw", tmp_path / "chips"
    assert yaml.safe_load(file.read_text())["tile"]["size"] == 256
    assert download("landcoverai", raw, raw.parent / "failures.csv", load_params(DownloadParams, file)).startswith(
        "104 files, "
    )
    summary = tile(raw, chips, raw.parent / "failures.csv", load_params(TileParams, file))
    assert summary == "52 scenes in, 52 chips kept, dropped: 0 partial, 0 without a label"
    frame = read_chips(chips)
    assert frame["id"].tolist() == sorted(f"{path.stem}_0" for path in (figures / "images").glob("*.tif"))
    pixels = [round(float(frame[f"pixels_{number}"].sum()) / (52 * 256 * 256), 3) for number in range(5)]
    assert pixels == [0.576, 0.011, 0.352, 0.04, 0.021]
