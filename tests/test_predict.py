"""The command `python -m pipeline.predict` as its users meet it: what it writes, and what it says to mistakes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from scipy import ndimage

import pipeline.predict
from pipeline.formats.chips import Imagery
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from tests.inference.test_tile_index import write_index
from tests.maps import MEMORY, RGB, TABLE, Command, noise, outputs, write_model, write_scene
from tests.sources.bucket import bucket_server, put
from tests.sources.faulty import Server, served
from tests.world import at

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
    write_geotiff(folder / "float.tif", image_CHW.astype(np.float32) / 255, at())
    write_geotiff(folder / "complex.tif", image_CHW.astype(np.complex64), at())
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


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


# Refusals: one line, code 1, nothing written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give one or more scenes, or --bands with red, green and blue in files of their own"),
        ("scene.tif --bands red.tif green.tif blue.tif", "give one or more scenes, or --bands with .*"),
        ("--merge", "give one or more scenes, or --bands with .*"),
        ("--bands red.tif green.tif blue.tif --merge", "--merge joins scenes, and --bands is one scene; omit .*"),
        ("--bands scene.tif scene.tif scene.tif", ".*scene.tif has 3 bands; in separate files there is one band .*"),
        ("missing.tif", ".*missing.tif does not exist"),
        ("text.tif", ".*text.tif is not a .*GeoTIFF.*"),
        ("empty.tif", r".*empty.tif is empty \(0 bytes\); copy or download it again"),
        (
            "red.tif",
            ".*red.tif has 1 band, and the model reads 1, 2, 3 as red, green, blue, counted from 1; .*--bands.*",
        ),
        ("16bit.tif", ".*16bit.tif is uint16, but chips have 8 bits; convert .* gdal_translate -ot Byte -scale .*"),
        ("float.tif", ".*float.tif is float32, but chips have 8 bits; convert .* gdal_translate -ot Byte -scale .*"),
        ("complex.tif", ".*complex.tif has samples of type complex64; supported are uint8, .*"),
        ("scene.tif --rev no-such-revision", "--rev no-such-revision: cannot get its model .*--model"),
        ("scene.tif --memory 0.01", "windows of 128 px are too small for this network, .* 448 px; raise --memory"),
        ("scene.tif --device mps", "--device is 'mps', which this machine does not have; available: auto, cpu.*"),
        ("scene.tif --mmu 1e9", r"--mmu 1e\+09 is more than the whole scene: give at most its 123 ha"),
        ("scene.tif --aoi far.geojson", ".*far.geojson covers .* and .*scene.tif .*: they do not overlap"),
        ("scene.tif --aoi missing.gpkg", ".*missing.gpkg does not exist"),
        ("scene.tif --aoi truth.tif", ".*truth.tif is not a known vector file .*ogr2ogr.*"),
        ("scene.tif --bbox 50 50 51 51", "--bbox 50 50 51 51 covers .*: they do not overlap"),
        ("scene.tif --bbox 3 50 2 51", "--bbox 3 50 2 51 .*west must be less than east.*"),
        ("scene.tif --mask scene.tif", ".*scene.tif has 3 bands; a --mask has one: gdal_translate -b 1 .*"),
        ("scene.tif --mask small.tif", r".*small.tif differ in size: \(128, 96\) and \(50, 50\) px; .*gdalwarp.*"),
        ("scene.tif --mask missing.tif", ".*missing.tif does not exist"),
        ("scene.tif --truth truth.tif", "--truth is shown in the preview; add --preview, or omit it"),
        ("scene.tif --credit me", "--credit is shown in the preview; add --preview, or omit it"),
        ("scene.tif --preview OUT/p.jpg", "--preview .*p.jpg: give a name that ends in .png"),
        ("scene.tif --preview folder", "--preview .*folder: give a name that ends in .png"),
        ("scene.tif --preview folder.png", ".*folder.png is a folder, and the map needs a file of this name; .*"),
        ("scene.tif --preview OUT/p.png --truth small.tif", r".*small.tif differ in size: .*"),
        ("scene.tif --preview OUT/p.png --truth missing.tif", ".*missing.tif does not exist"),
        ("scene.tif -o OUT/map.png", "-o .*map.png: a map is a GeoTIFF; give it a name that ends in .tif"),
        ("scene.tif -o OUT/map", "-o .*map: a map is a GeoTIFF; give it a name that ends in .tif"),
        ("scene.tif -o text.tif/map.tif", ".*map.tif cannot be written: .*text.tif is not a folder that you may .*"),
        ("scene.tif -o scene.tif --overwrite", ".*scene.tif would be overwritten, but it is an input; choose .*"),
        ("scene.tif --mask clouds.tif -o clouds.tif --overwrite", ".*clouds.tif would be overwritten, but .*"),
        ("scene.tif --preview OUT/p.png --truth truth.tif -o truth.tif --overwrite", ".*truth.tif would be over.*"),
        ("scene.tif -o clouds.tif", ".*clouds.tif exists; --overwrite replaces it"),
        ("scene.tif red.tif -o OUT/new.tif", "-o .*new.tif: 2 scenes need a folder for their maps; .*--merge"),
        ("scene.tif red.tif -o clouds.tif", "-o .*clouds.tif: 2 scenes need a folder for their maps; .*--merge"),
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(predict: Command, files: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "is not a folder that you may write to" in predict(files / "scene.tif", "-o", tmp_path / "map.tif").error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--undecided 101", "--undecided: 101 is not between 0 and 100"),
        ("--undecided x", "--undecided: 'x' is not a number"),
        ("--undecided nan", "--undecided: 'nan' is not a number"),
        ("--mmu -1", "--mmu: -1 is not above 0"),
        ("--mmu nan", "--mmu: 'nan' is not a number"),
        ("--memory 0", "--memory: 0 is not above 0"),
        ("--offset x", "--offset: 'x' is not a number"),
        ("--bbox 1 2 3", "--bbox: expected 4 arguments"),
        ("--bbox 1 2 3 inf", "--bbox: 'inf' is not a number"),
        ("--bands a.tif b.tif", "--bands: expected 3 arguments"),
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


def edit(folder: Path, **changes: Any) -> None:
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | changes))


def other_class_count(folder: Path) -> None:
    edit(folder, classes=json.loads((folder / "model.json").read_text())["classes"][:2])


def class_id(number: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        classes = json.loads((folder / "model.json").read_text())["classes"]
        classes[0]["id"] = number
        edit(folder, classes=classes)

    return change


def swapped_weights(folder: Path) -> None:
    other = write_model(folder.parent / "other", seed=2)
    shutil.copy(other / "model.safetensors", folder)


def truncated_weights(folder: Path) -> None:
    edit(folder, weights_sha256=None)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])


def hugging_face(folder: Path) -> None:
    (folder / "model.json").unlink()
    (folder / "config.json").write_text('{"model_type": "segformer"}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, ".* has no model.json; the stage train writes it: run `dvc repro`"),
        (hugging_face, ".* has no model.json; the stage train writes it: run `dvc repro`"),
        (lambda folder: (folder / "model.json").write_text('{"a": 1}'), r".*model.json is damaged, or of another .*"),
        (
            lambda folder: (folder / "model.json").write_text("[1,"),
            r".*model.json is damaged, or of another program .*",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), ".*model.safetensors.* does not exist.*"),
        (lambda folder: edit(folder, encoder="resnet18"), ".*model.safetensors does not fit the network .*"),
        (lambda folder: edit(folder, encoder="nonsense"), "encoder is 'nonsense'; the closest of .*"),
        (other_class_count, ".*model.safetensors does not fit the network .*"),
        (class_id(255), ".*model.json is damaged, or of another program .*255.*"),
        (swapped_weights, r".*model.safetensors is not the file that model.json describes \(sha256 .*"),
        (truncated_weights, ".*model.safetensors is not a valid .safetensors file: .*"),
        (
            lambda folder: edit(folder, imagery={"bands": [1, 2, 3], "scale": 1, "offset": 0, "stretch": "minmax"}),
            "the model was trained with stretch minmax, between the extremes of each chip, .* train again",
        ),
    ],
)
def test_unusable_models(
    change: Callable[[Path], Any], message: str, predict: Command, files: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "model")
    change(tmp_path / "model")
    outcome = predict(files / "scene.tif", "-o", tmp_path / "map.tif", model=tmp_path / "model")
    assert re.fullmatch(f"predict: error: {message}", outcome.error)
    assert len(outcome.error) < 700
    assert outcome.code == 1
    assert not (tmp_path / "map.tif").exists()
