"""The command `python -m pipeline.predict`: each option does what it says, each mistake is one line."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil
import torch
from rasterio.transform import Affine
from scipy import ndimage

from pipeline.formats.chips import Imagery
from pipeline.inference import jobs
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from tests.maps import MEMORY, TABLE, Command, noise, outputs, read, write_model, write_scene
from tests.polygons.world import read_features
from tests.scenes.test_tile_index import write_index
from tests.small_disk import NAMESPACE, can_mount
from tests.sources.faulty import Server, served
from tests.world import CRS_NO_CODE, at

ROOT = Path(__file__).parents[1]
TILES = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate", "interleave": "pixel"}
SENTINEL_2 = Imagery(("B04", "B03", "B02"), 0.0001, 0.0, (0.0, 0.3))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes and other inputs; read-only."""
    folder = tmp_path_factory.mktemp("files")
    write_scene(folder / "scene.tif")
    image_CHW = noise(96, 128)
    for number, name in enumerate(("red", "green", "blue")):
        write_geotiff(folder / f"{name}.tif", image_CHW[number : number + 1], at())
    write_geotiff(folder / "16bit.tif", image_CHW.astype(np.uint16) * 100, at())
    write_geotiff(folder / "complex.tif", image_CHW.astype(np.complex64), at())
    rasterio.shutil.copy(folder / "scene.tif", folder / "mosaic.vrt", driver="VRT")
    write_geotiff(folder / "small.tif", np.zeros((1, 50, 50), np.uint8), at())
    write_geotiff(folder / "clouds.tif", np.pad(np.full((1, 96, 28), 1, np.uint8), ((0, 0), (0, 0), (100, 0))), at())
    truth_HW = np.array(TABLE.ids, np.uint8)[np.arange(96 * 128).reshape(96, 128) // 4096]
    write_geotiff(folder / "truth.tif", truth_HW[None], at())
    (folder / "text.tif").write_text("hello")
    (folder / "empty.tif").touch()
    (folder / "folder").mkdir()
    (folder / "folder.png").mkdir()
    (folder / "other").mkdir()
    shutil.copy(folder / "scene.tif", folder / "other")
    (folder / "far.geojson").write_text(polygon(50, 50, 51, 51))
    (folder / "near.geojson").write_text(polygon(-2.997, 9.04, -2.993, 9.044))
    return folder


def polygon(west: float, south: float, east: float, north: float) -> str:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: Path) -> Command:
    return Command(monkeypatch, capsys, model)


# Refusals: one line, code 1, nothing written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give one or more scenes, or --bands with the model's bands in separate files"),
        ("scene.tif --bands red.tif green.tif blue.tif", "give one or more scenes, or --bands with .*"),
        ("--bands red.tif green.tif blue.tif --merge", "--merge joins scenes, and --bands is one scene; omit .*"),
        ("--bands red.tif green.tif", "--bands has 2 files; it takes three, of red, green and blue"),
        ("--bands scene.tif scene.tif scene.tif", ".*scene.tif has 3 bands; in separate files there is one band .*"),
        ("missing.tif", ".*missing.tif does not exist"),
        ("text.tif", ".*text.tif is not a .*GeoTIFF.*"),
        ("empty.tif", r".*empty.tif is empty \(0 bytes\); copy or download it again"),
        (
            "red.tif",
            ".*red.tif has 1 band, and the model reads 1, 2, 3 as red, green, blue, counted from 1; .*--bands.*",
        ),
        ("16bit.tif", ".*16bit.tif is uint16, but chips have 8 bits; convert .* gdal_translate -ot Byte -scale .*"),
        ("complex.tif", ".*complex.tif has samples of type complex64; supported are uint8, .*"),
        ("scene.tif --rev no-such-revision", "--rev no-such-revision: cannot get its model .*--model"),
        ("scene.tif --memory 0.01", r"0\.01 GB are too little for .* at least 576 px a side: --memory 0\.\d+$"),
        ("scene.tif --device mps", "--device is 'mps', which this machine does not have; available: auto, cpu.*"),
        ("scene.tif --mmu 1e9", r"--mmu 1e\+09 is more than the whole scene: give at most its 123 ha"),
        ("scene.tif --aoi far.geojson", ".*far.geojson covers .* and .*scene.tif .*: they do not overlap"),
        ("scene.tif --aoi missing.gpkg", ".*missing.gpkg does not exist"),
        ("scene.tif --aoi truth.tif", ".*truth.tif is not a known vector file .*ogr2ogr.*"),
        ("scene.tif --bbox 50 50 51 51", "--bbox 50 50 51 51 covers .*: they do not overlap"),
        ("scene.tif --bbox 3 50 2 51", "--bbox 3 50 2 51 .*west and east swapped; swap them back.*"),
        ("scene.tif --mask scene.tif", ".*scene.tif has 3 bands; a --mask has one: gdal_translate -b 1 .*"),
        ("scene.tif --mask small.tif", r".*small.tif differ in size: \(128, 96\) and \(50, 50\) px; .*gdalwarp.*"),
        ("scene.tif --truth truth.tif", "--truth is shown in the preview; add --preview, or omit it"),
        ("scene.tif --credit me", "--credit is shown in the preview; add --preview, or omit it"),
        ("scene.tif --preview OUT/p.jpg", "--preview .*p.jpg: give a name that ends in .png"),
        ("scene.tif --preview folder.png", ".*folder.png is a folder, and the map needs a file of this name; .*"),
        ("scene.tif --preview OUT/p.png --truth small.tif", r".*small.tif differ in size: .*"),
        ("scene.tif -o OUT/map.png", "-o .*map.png: a map is a GeoTIFF; give it a name that ends in .tif"),
        ("scene.tif -o text.tif/map.tif", ".*map.tif cannot be written: .*text.tif is not a folder that you may .*"),
        (
            "scene.tif --preview OUT/p.png --truth 16bit.tif",
            ".*16bit.tif is uint16 with 3 bands; a --truth has one band of class ids, uint8: gdal_translate .*",
        ),
        ("scene.tif --vector OUT/p.shp", "--vector .*p.shp: give a name that ends in .gpkg"),
        ("scene.tif -o scene.tif --overwrite", ".*scene.tif would be overwritten, but it is an input; choose .*"),
        ("mosaic.vrt -o scene.tif --overwrite", ".*scene.tif would be overwritten, but it is an input; choose .*"),
        ("scene.tif --mask clouds.tif -o clouds.tif --overwrite", ".*clouds.tif would be overwritten, but .*"),
        ("scene.tif --preview OUT/p.png --truth truth.tif -o truth.tif --overwrite", ".*truth.tif would be over.*"),
        ("scene.tif red.tif -o OUT/new.tif", "-o .*new.tif: 2 scenes need a folder for their maps; .*--merge"),
        ("scene.tif other/scene.tif -o OUT/", ".*scene.tif and .*other/scene.tif would both become .*scene.tif; .*"),
        ("scene.tif red.tif -o OUT/ --preview OUT/p.png", "--preview .*p.png: give a folder, as for OUT"),
        ("scene.tif -o OUT/ --preview OUT/p --truth truth.tif", "--truth is the mask of one scene; map it by itself"),
        ("scene.tif red.tif --merge -o folder", "-o .*folder: a map is a GeoTIFF; give it a name that ends in .tif"),
    ],
)
def test_mistakes_are_one_line(arguments: str, message: str, predict: Command, files: Path, tmp_path: Path) -> None:
    before = outputs(files)
    words = [word.replace("OUT", str(tmp_path)) for word in arguments.split()]
    words = [str(files / word) if re.match(r"\w*[a-z]\w*[./]|folder", word) else word for word in words]
    outcome = predict(*words, *([] if "-o" in words else ["-o", tmp_path / "map.tif"]))
    assert re.fullmatch(f"predict: error: {message}", outcome.error)
    assert (outcome.code, outcome.out) == (1, "")
    assert outputs(tmp_path) == {}
    assert outputs(files) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--undecided 101", "--undecided: 101 is not between 0 and 100"),
        ("--mmu -1", "--mmu: -1 is not above 0"),
        ("--mmu nan", "--mmu: 'nan' is not a number"),
        ("--memory 0", "--memory: 0 is not above 0"),
        ("--bbox 1 2 3", "--bbox: expected 4 arguments"),
        ("--bbox 1 2 3 inf", "--bbox: 'inf' is not a number"),
        ("--bands", "--bands: expected at least one argument"),
        ("--device gpu", r"--device: invalid choice: 'gpu' \(choose from .*\)"),
        ("--rev x --model y", "--model: not allowed with argument --rev"),
    ],
)
def test_mistakes_in_options(arguments: str, message: str, predict: Command, tmp_path: Path) -> None:
    outcome = predict(*arguments.split(), "-o", tmp_path / "map.tif")
    assert re.fullmatch(f"python -m pipeline.predict: error: argument {message}", outcome.err.splitlines()[-1])
    assert outcome.code == 2


def test_help_fits_100_columns(predict: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    outcome = predict("--help")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert "python -m pipeline.predict scene.tif -o map.tif" in outcome.out


# Models


def minmax(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text())
    description["imagery"] = {"bands": [1, 2, 3], "scale": 1, "offset": 0, "stretch": "minmax"}
    (folder / "model.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, ".* has no model.json; the stage train writes it: run `dvc repro`"),
        (lambda folder: (folder / "model.safetensors").unlink(), ".*model has no model.safetensors; .*"),
        (minmax, "the model was trained with stretch minmax, between the extremes of each chip, .* train again"),
    ],
)
def test_unusable_models(
    change: Callable[[Path], Any], message: str, predict: Command, files: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "model")
    change(tmp_path / "model")
    outcome = predict(files / "scene.tif", "-o", tmp_path / "map.tif", model=tmp_path / "model")
    assert re.fullmatch(f"predict: error: {message}", outcome.error)
    assert outcome.code == 1
    assert not (tmp_path / "map.tif").exists()


# Unusual scenes

SIZE_NOTE = r"note: a pixel is {} on the ground; the model was trained at 10 \(units .*\): .*--resample .*"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("size", "place", "note"),
    [
        ((96, 1), at(crs=CRS_NO_CODE), ""),
        ((1, 1), at(), ""),
        ((448, 448), Georeference(None, Affine.identity()), "note: .* has no georeference, and so its map has none"),
        ((96, 128), at(pixel=0.5), SIZE_NOTE.format("0.5 x 0.5 m")),
        (
            (96, 128),
            Georeference("EPSG:32630", Affine(7.07, 7.07, 500000, 7.07, -7.07, 1000000)),
            "note: .* is rotated against its CRS, and so is its map",
        ),
        (
            (96, 128),
            Georeference("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 50)),
            SIZE_NOTE.format("7.17 x 11.1 m"),
        ),
    ],
)
def test_a_map_has_the_grid_of_its_scene(
    size: tuple[int, int], place: Georeference, note: str, predict: Command, tmp_path: Path
) -> None:
    scene = write_scene(tmp_path / "scene.tif", *size, place)
    outcome = predict(scene, "-o", tmp_path / "map.tif", "--preview", tmp_path / "map.png", "--confidence")
    assert outcome.code == 0
    *notes, estimate = outcome.err.splitlines()
    assert re.fullmatch(note, "".join(notes))
    assert re.fullmatch(
        r".*scene.tif: [\d,.]+( million)? px in 1 window of [\d,]+ x [\d,]+ px, .* MB of disk", estimate
    )
    assert re.fullmatch(
        rf"predict: .*map.tif, {size[1]} x {size[0]} px in (less than 1|\d+) s, .* million px/s\n", outcome.out
    )
    with rasterio.open(scene) as before, rasterio.open(tmp_path / "map.tif") as after:
        assert (after.shape, after.crs, after.transform) == (before.shape, before.crs, before.transform)
        assert set(np.unique(after.read())) <= set(TABLE.ids)
    names = {"scene.tif", "map.tif", "map.confidence.tif", "map.png", "map.qml", "map.tif.aux.xml"}
    assert outputs(tmp_path).keys() == names


def test_a_damaged_block_is_named_or_no_data(predict: Command, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 512, 512, **TILES)
    with rasterio.open(scene) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_2", "TIFF", bidx=1))
    content = bytearray(scene.read_bytes())
    content[offset : offset + 50] = b"\xff" * 50
    scene.write_bytes(content)
    block = r"block column 1, row 2 \(pixel columns 128 to 255, rows 256 to 383\)"
    outcome = predict(scene, "-o", tmp_path / "map.tif")
    assert re.fullmatch(
        rf"predict: error: .*scene.tif cannot be read, the file is damaged: {block}: .*; restore the file, or write no "
        "data there: --on-error skip",
        outcome.error,
    )
    assert outcome.code == 1
    assert list(outputs(tmp_path)) == ["scene.tif"]
    outcome = predict(scene, "-o", tmp_path / "map.tif", "--on-error", "skip")
    assert re.search(rf"; no data in 1 damaged block: .*{block}", outcome.out)
    expected_HW = np.zeros((512, 512), bool)
    expected_HW[256:384, 128:256] = True
    assert np.array_equal(read(tmp_path / "map.tif")[0] == 255, expected_HW)


def test_a_truncated_file_is_named_or_the_rest_no_data(predict: Command, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 512, 512, **TILES)
    scene.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])
    refused = predict(scene, "-o", tmp_path / "map.tif")
    assert re.fullmatch(r"predict: error: .*scene.tif is truncated: \d+ bytes, .* byte \d+; copy or .*", refused.error)
    skipped = predict(scene, "-o", tmp_path / "map.tif", "--on-error", "skip")
    assert re.search(r"; no data in \d damaged blocks: .* and \d more\n", skipped.out)
    assert 0.3 < (read(tmp_path / "map.tif") == 255).mean() < 0.7


# Every option once


def test_layers_agree(predict: Command, files: Path, tmp_path: Path) -> None:
    given = ("--confidence", "--probabilities", "--undecided", "60", "--truth", files / "truth.tif", "--credit", "Me")
    classes_HW = predict.ids(tmp_path / "m.tif", files / "scene.tif", "--preview", tmp_path / "p.png", *given)
    (confidence_HW,), probabilities_KHW = read(tmp_path / "m.confidence.tif"), read(tmp_path / "m.probabilities.tif")
    assert np.array_equal(confidence_HW, probabilities_KHW.max(0))
    assert abs(probabilities_KHW.astype(int).sum(0) - 100).max() <= 2
    undecided = 254
    assert (confidence_HW[classes_HW == undecided] <= 60).all()
    assert (confidence_HW[classes_HW != undecided] >= 60).all()
    decided_HW = np.array(TABLE.ids)[probabilities_KHW.argmax(0)]
    assert np.array_equal(decided_HW[classes_HW != undecided], classes_HW[classes_HW != undecided])
    assert set(np.unique(classes_HW)) == {*TABLE.ids, undecided}
    for text in ("undecided", "forest &amp; scrub"):
        assert text in (tmp_path / "m.qml").read_text()
        assert text in (tmp_path / "m.tif.aux.xml").read_text()
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_small_patches_are_merged(predict: Command, files: Path, tmp_path: Path) -> None:
    smallest = []
    for name, given in (("plain", ()), ("merged", ("--mmu", "0.5"))):  # 50 px
        ids_HW = predict.ids(tmp_path / f"{name}.tif", files / "scene.tif", *given)
        smallest.append(
            min(np.bincount(ndimage.label(ids_HW == value)[0].ravel())[1:].min() for value in set(ids_HW.flat))
        )
    assert smallest[0] < 50 <= smallest[1]


def test_parts_of_a_scene(predict: Command, files: Path, tmp_path: Path) -> None:
    whole_HW = predict.ids(tmp_path / "whole.tif", files / "scene.tif")
    area = ("--aoi", files / "near.geojson", "--mask", files / "clouds.tif")
    for name, given in (("area", area), ("bbox", ("--bbox", "-2.997", "9.04", "-2.993", "9.044"))):
        part_HW = predict.ids(tmp_path / f"{name}.tif", files / "scene.tif", *given)
        with rasterio.open(tmp_path / f"{name}.tif") as part, rasterio.open(tmp_path / "whole.tif") as dataset:
            column, row = (round(value) for value in ~dataset.transform @ (part.bounds.left, part.bounds.top))
        height, width = part_HW.shape
        assert height < 96
        assert width < 128
        there_HW = whole_HW[row : row + height, column : column + width]
        assert np.array_equal(part_HW[part_HW != 255], there_HW[part_HW != 255])
        assert (part_HW == 255).any() == (name == "area")
        assert (part_HW != 255).mean() > 0.9


def test_resample(predict: Command, tmp_path: Path) -> None:
    write_geotiff(tmp_path / "coarse.tif", noise(48, 64), at())
    write_geotiff(tmp_path / "fine.tif", noise(48, 64).repeat(2, 1).repeat(2, 2), at(pixel=5))
    coarse_HW = predict.ids(tmp_path / "a.tif", tmp_path / "coarse.tif")
    outcome = predict(tmp_path / "fine.tif", "-o", tmp_path / "b.tif", "--resample")
    assert "on the ground" not in outcome.err
    fine_HW = read(tmp_path / "b.tif")[0]
    assert fine_HW.shape == (96, 128)
    assert (fine_HW == coarse_HW.repeat(2, 0).repeat(2, 1)).mean() > 0.8


def test_offset(predict: Command, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", SENTINEL_2)
    values_CHW = noise(96, 128).astype(np.uint16) * 10
    old, new = tmp_path / "old.tif", tmp_path / "new.tif"
    write_geotiff(old, values_CHW, at())
    write_geotiff(new, values_CHW + 1000, at())
    old_HW = predict.ids(tmp_path / "a.tif", old, model=model)
    corrected_HW = predict.ids(tmp_path / "b.tif", new, "--offset", "-0.1", model=model)
    assert (corrected_HW == old_HW).mean() > 0.99  # sums of floats are rounded
    assert (predict.ids(tmp_path / "c.tif", new, model=model) == old_HW).mean() < 0.95


def test_the_same_pixels_give_the_same_bytes_wherever_they_are_stored(predict: Command, tmp_path: Path) -> None:
    model, image_CHW = write_model(tmp_path / "model", Imagery(("1", "2", "3", "4"))), noise(96, 128, bands=5)
    write_geotiff(tmp_path / "file.tif", image_CHW, at())
    write_geotiff(tmp_path / "west.tif", image_CHW[:, :, :50], at())
    write_geotiff(tmp_path / "east.tif", image_CHW[:, :, 50:], at(x=500500))
    for number in range(4):
        write_geotiff(tmp_path / f"band{number}.tif", image_CHW[number, None], at())
    rasterio.shutil.copy(tmp_path / "file.tif", tmp_path / "mosaic.vrt", driver="VRT")
    sources: dict[str, tuple[object, ...]] = {
        "file": (tmp_path / "file.tif",),
        "bands": ("--bands", *(tmp_path / f"band{number}.tif" for number in range(4))),
        "merge": ("--merge", tmp_path / "west.tif", tmp_path / "east.tif"),
        "vrt": (tmp_path / "mosaic.vrt",),
        "index": (write_index(tmp_path / "index.gpkg", ["west.tif", "east.tif"]),),
    }
    for name, source in sources.items():
        ids_HW = predict.ids(tmp_path / f"{name}.out/map.tif", *source, "--confidence", model=model)
        assert len(np.unique(ids_HW)) == 3
    maps = {name: outputs(tmp_path / f"{name}.out") for name in sources}
    assert len(maps["file"]) == 4
    assert {name: written == maps["file"] for name, written in maps.items()} == dict.fromkeys(maps, True)


def test_overwrite(predict: Command, files: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out/map.TIFF", write_scene(tmp_path / "scene.tif", 30, 40)
    predict.ids(out, files / "scene.tif")
    first = outputs(out.parent)
    assert predict(other, "-o", out).error == f"predict: error: {out} exists; --overwrite replaces it"
    assert predict.ids(out, other, "--overwrite", "--confidence").shape == (30, 40)
    predict.ids(out, files / "scene.tif", "--overwrite")
    assert outputs(out.parent) == first


@pytest.mark.parametrize("name", ["map.qml", "map.confidence.tif", "map.probabilities.tif", "map.png", "map.gpkg"])
def test_what_belongs_to_a_map_is_not_replaced(name: str, predict: Command, files: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    given = ("--preview", tmp_path / "map.png", "--vector", tmp_path / "map.gpkg", "--probabilities")
    outcome = predict(files / "scene.tif", "-o", tmp_path / "map.tif", *given)
    assert outcome.error == f"predict: error: {tmp_path / name} exists; --overwrite replaces it"
    assert outputs(tmp_path) == {name: b"mine"}


def test_polygons_come_with_the_map(predict: Command, files: Path, tmp_path: Path) -> None:
    class_HW = predict.ids(tmp_path / "map.tif", files / "scene.tif", "--vector", tmp_path / "map.gpkg")
    _, fields = read_features(tmp_path / "map.gpkg")
    confidence_HW = read(tmp_path / "map.confidence.tif")[0]
    for class_id in TABLE.ids:
        is_own_N = fields["class_id"] == class_id
        assert fields["pixels"][is_own_N].sum() == (class_HW == class_id).sum() > 0
        total = (fields["pixels"] * fields["confidence"])[is_own_N].sum()
        assert total == pytest.approx(confidence_HW[class_HW == class_id].sum(), rel=1e-3)


# Several scenes


def test_one_scene_into_a_folder(predict: Command, files: Path, tmp_path: Path) -> None:
    assert predict(files / "scene.tif", "-o", f"{tmp_path}/new/").code == 0
    assert predict(files / "scene.tif", "-o", tmp_path).code == 0
    assert read(tmp_path / "scene.tif").shape == read(tmp_path / "new/scene.tif").shape == (1, 96, 128)
    again = predict(files / "scene.tif", "-o", tmp_path)
    assert (again.code, again.out) == (0, f"{files / 'scene.tif'}  skipped: already finished\n")


def test_a_bad_scene_does_not_end_the_others(predict: Command, files: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "in/a.b.tif")
    write_scene(tmp_path / "in/a.c.tif", seed=1)
    scenes = (tmp_path / "in/a.b.tif", files / "text.tif", tmp_path / "in/a.c.tif")
    outcome = predict(*scenes, "-o", tmp_path / "maps", "--preview", tmp_path / "maps/previews")
    rows = outcome.out.splitlines()
    assert [row.partition("  ")[0] for row in rows] == [str(scene) for scene in scenes]
    assert ["FAILED: " in row for row in rows] == [False, True, False]
    failed = "predict: error: 1 of 3 scenes failed, as listed above; run again: finished maps are skipped"
    assert (outcome.error, outcome.code) == (failed, 1)
    maps = {"a.b.tif", "a.b.qml", "a.b.tif.aux.xml", "a.c.tif", "a.c.qml", "a.c.tif.aux.xml"}
    written = outputs(tmp_path / "maps")
    assert written.keys() == maps | {"previews/a.b.png", "previews/a.c.png"}
    again = predict(*scenes, "-o", tmp_path / "maps")
    assert ["already finished" in row for row in again.out.splitlines()] == [True, False, True]
    assert outputs(tmp_path / "maps") == written


OTHER_MAP = r"  FAILED: .*maps/scene.tif exists, but is of another scene .*; --overwrite replaces it\n"


@pytest.mark.parametrize(
    "given",
    [
        "--confidence",
        "--mmu 0.2",
        "--undecided 40",
        "--resample",
        "--offset 0.5",
        "--bbox -2.997 9.04 -2.993 9.044",
        "model",
        "folder",
        "newer",
    ],
)
def test_a_map_made_otherwise_is_not_taken_as_finished(
    given: str, predict: Command, model: Path, tmp_path: Path
) -> None:
    scene, options = write_scene(tmp_path / "scene.tif"), given.split() if given.startswith("-") else []
    assert predict(scene, "-o", f"{tmp_path}/maps/").code == 0
    before = outputs(tmp_path / "maps")
    if given == "model":
        model = write_model(tmp_path / "model", seed=2)
    if given == "folder":
        scene = write_scene(tmp_path / "elsewhere/scene.tif")
        os.utime(scene, ns=(0, 0))
    if given == "newer":
        os.utime(scene)
    outcome = predict(scene, "-o", f"{tmp_path}/maps/", *options, model=model)
    assert re.search(OTHER_MAP, outcome.out)
    assert outcome.code == 1
    assert outputs(tmp_path / "maps") == before


@pytest.mark.parametrize("other", ["damaged", "file", "merged"])
def test_a_map_that_stays_or_comes_from_another_scene_is_not_taken_as_finished(
    other: str, predict: Command, tmp_path: Path
) -> None:
    """A scene whose map was not replaced, and maps of this name that were made by themselves."""
    first, second = write_scene(tmp_path / "scene.tif"), write_scene(tmp_path / "elsewhere/scene.tif")
    out = tmp_path / "maps/scene.tif"
    assert predict(first if other == "damaged" else second, "-o", f"{tmp_path}/maps/").code == 0
    if other == "damaged":
        second.write_text("no GeoTIFF")
        assert predict(second, "-o", f"{tmp_path}/maps/", "--overwrite").code == 1
    if other == "file":
        assert predict(first, "-o", out, "--overwrite").code == 0
    if other == "merged":
        assert predict(second, first, "--merge", "-o", out, "--overwrite").code == 0
    os.utime(second, ns=(0, 0))
    assert re.search(OTHER_MAP, predict(second, "-o", f"{tmp_path}/maps/").out)


def test_polygons_of_several_scenes_lie_in_a_folder(predict: Command, tmp_path: Path) -> None:
    scenes = [write_scene(tmp_path / f"{name}.tif") for name in ("a", "b")]
    arguments = (*scenes, "-o", f"{tmp_path}/maps/", "--vector", tmp_path / "polygons")
    assert predict(*arguments).code == 0
    assert sorted(path.name for path in (tmp_path / "polygons").iterdir()) == ["a.gpkg", "b.gpkg"]
    assert predict(*arguments).out.count("skipped: already finished") == 2
    older = (tmp_path / "maps/a.tif").stat().st_mtime_ns - 1
    os.utime(tmp_path / "polygons/a.gpkg", ns=(older, older))
    (tmp_path / "polygons/b.gpkg").unlink()
    again = predict(*arguments)
    assert again.out.count("FAILED") == 2
    assert again.code == 1
    assert "--overwrite replaces it" in again.out


def test_a_full_disk_ends_all_scenes(
    predict: Command, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = jobs.predict_scene

    def fill(model: Any, source: Any, out: Path, *rest: Any) -> Any:
        if out.stem == "b":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))
        return make(model, source, out, *rest)

    monkeypatch.setattr(jobs, "predict_scene", fill)
    scenes = [shutil.copy(files / "scene.tif", tmp_path / f"{name}.tif") for name in "abc"]
    outcome = predict(*scenes, "-o", tmp_path / "maps")
    assert len(outcome.out.splitlines()) == 1
    kept = "and run again; finished work is kept"
    assert re.fullmatch(f"predict: error: No space left on device: .*maps/b.tif; free .*, {kept}", outcome.error)
    assert outcome.code == 1


def test_a_lack_of_memory(predict: Command, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "predict_scene", lambda *_: torch.empty(2**50))
    outcome = predict(files / "scene.tif", "-o", tmp_path / "map.tif")
    line = "predict: error: the network: out of memory; lower --memory"
    assert (outcome.error, outcome.code) == (line, 1)


def test_a_url_gives_the_bytes_of_the_file(predict: Command, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "server/scene.tif", 800, 900, **TILES)  # 0.8 MB or more
    given = ("--confidence", "--memory", MEMORY)
    assert predict(scene, "-o", tmp_path / "file/map.tif", *given).code == 0
    with served(Server(scene.parent)) as server:
        url = f"{server.url}/scene.tif?signature=secret"
        outcome = predict(url, "-o", tmp_path / "url/map.tif", *given)
        whole = server.sent
        assert predict(url, "-o", f"{tmp_path}/folder/", "--bbox", "-2.9975", "9.03", "-2.9965", "9.031").code == 0
        part = server.sent - whole
    assert outcome.code == 0
    assert "secret" not in outcome.out + outcome.err
    assert outputs(tmp_path / "url") == outputs(tmp_path / "file")
    assert (tmp_path / "folder/scene.tif").exists()
    size = scene.stat().st_size
    print(f"{size:,} bytes: {whole:,} read for the whole scene, {part:,} for --bbox")
    assert whole <= 1.1 * size
    assert part <= 0.3 * size  # the window around a few pixels extends 256 px beyond these


# Processes


@pytest.mark.skipif(not can_mount(), reason="needs `unshare` and user namespaces, for a small disk")
def test_a_full_disk(predict: Command, model: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 1000, 900)
    given = ("--model", model, "--memory", MEMORY, "--probabilities")
    assert predict(scene, "-o", tmp_path / "expected/map.tif", *given).code == 0
    run = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.full_disk", tmp_path, scene, model],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stderr.splitlines() if not re.match(r"_tiff|.* of memory, at most ", line)]
    kept = "; free disk space, or set PIPELINE_CACHE to a folder on a larger disk, and run again; finished work is kept"
    full = "predict: error: No space left on device"
    names = "names: map.probabilities.tif map.qml map.tif map.tif.aux.xml"
    assert lines == [
        f"{full}{kept}",  # while rows of windows are written
        "names:",
        "note: 1 of 4 rows of windows were finished before",
        names,
        f"{full}: {tmp_path}/out/map.probabilities.tif{kept}",  # while GDAL writes
        "names:",
        "note: 4 of 4 rows of windows were finished before",
        names,
        f"{full}: {tmp_path}/out/map.probabilities.tif{kept}",  # GDAL does not notice, and the file is damaged
        "names:",
        "note: 4 of 4 rows of windows were finished before",
        names,
    ]
    for folder in (tmp_path / "kept").iterdir():
        assert outputs(folder) == outputs(tmp_path / "expected")


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "pipeline.predict", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


def test_a_closed_stdin_and_a_reader_that_ends(model: Path, files: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    given = (files / "scene.tif", "-o", tmp_path / "map.tif", "--model", model, "--preview", tmp_path / "map.png")
    with start(*given, stdout=writer, preexec_fn=lambda: os.close(0)) as run:
        os.close(writer)
        _, err = run.communicate()
    estimate, *lines = err.splitlines()
    assert " of memory, at most " in estimate
    assert lines == ["predict: error: the result could not be printed, since the program that reads it has ended"]
    assert run.returncode == 1
    assert read(tmp_path / "map.tif").shape == (1, 96, 128)


def test_ctrl_c(model: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 1500, 1500)
    given = (scene, "-o", tmp_path / "out/map.tif", "--model", model, "--memory", MEMORY)
    with start(*given, stdout=subprocess.PIPE) as run:
        assert run.stderr is not None
        assert " of memory, at most " in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        out, err = run.communicate()
    line = "predict: error: stopped by Ctrl-C; no partial output is left, run the same command again to continue\n"
    assert (run.returncode, out, err) == (130, "", line)
    assert not (tmp_path / "out").exists()
