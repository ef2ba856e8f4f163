"""Networks on more than three bands, from an orthophoto to scores and a map."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate import evaluate
from pipeline.evaluation.test_pass import count_predictions
from pipeline.formats.classes import ClassTable
from pipeline.inference.network import load_model
from pipeline.inference.options import MapOptions
from pipeline.inference.scene_map import predict_scene
from pipeline.inference.windows import Tiling
from pipeline.learning.data import Chips, scoring_loader
from pipeline.tile import TileParams, tile
from pipeline.train import train
from tests.learning.world import BRIGHTNESS, bright_chip, evaluate_params, lists_folder, train_params
from tests.world import archive, orthophoto, params

SIDE = 64
PARTS = {"train": 9, "val": 3, "test": 4}


def ids(count: int) -> list[str]:
    return [f"photo_{number}" for number in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One orthophoto of 16 chips, five bands of which three are noise, and what the stages make of it."""
    folder, bands = tmp_path_factory.mktemp("bands"), 5
    chips = [bright_chip(number, SIDE, bands) for number in range(16)]
    image_HWC, mask_HW = (
        np.vstack([np.hstack([chip[part] for chip in chips[row : row + 4]]) for row in range(0, 16, 4)])
        for part in (0, 1)
    )
    image_HWC[..., :3] = np.random.default_rng(0).integers(1, 256, (4 * SIDE, 4 * SIDE, 3))
    raw = archive(folder / "raw", "landcoverai", ClassTable(classes=BRIGHTNESS.classes, remap={255: "ignore"}))
    orthophoto(raw, "photo", image_HWC.transpose(2, 0, 1), mask_HW)
    how = params(TileParams, **{"tile.size": SIDE, "tile.bands": list(range(1, bands + 1))})
    tile(raw, folder / "chips", folder / "failures.csv", how)
    lists_folder(folder / "split", **PARTS)
    for part, start in (("train", 0), ("val", 9), ("test", 12)):
        names = ids(16)[start : start + PARTS[part]]
        (folder / f"split/{part}.txt").write_text("".join(f"{name}\n" for name in names))
    (folder / "split/groups.csv").write_text("id,group\n" + "".join(f"{name},{name}\n" for name in ids(16)))
    before = Path.cwd()
    os.chdir(folder)
    try:
        outs = ("model", "train.json", "cost.json", "plots")
        train(Path("chips"), Path("split"), *map(Path, outs), train_params(epochs=4, batch_size=1))
    finally:
        os.chdir(before)
    return folder


def test_the_network_learns_from_the_further_bands(folder: Path) -> None:
    outs = [folder / name for name in ("scores.json", "summary.json", "units.csv", "figures")]
    evaluate(folder / "model", folder / "chips", folder / "split", *outs, evaluate_params())
    assert json.loads(outs[0].read_text())["mean_iou"] > 0.6  # from the first three alone nothing can be learned
    assert (folder / "figures/examples.png").is_file()


def test_the_model_describes_its_bands(folder: Path) -> None:
    model = load_model(folder / "model", "cpu").model
    bands = model.segmenter.bands
    assert model.imagery.bands == tuple(str(band) for band in range(1, bands + 1))
    chips = Chips(folder / "chips", ids(9), BRIGHTNESS, bands)
    pixels_NC = np.concatenate([chips[index][0].reshape(bands, -1).numpy().T for index in range(9)]) / 255
    assert model.config.mean == pytest.approx(pixels_NC.mean(axis=0))
    assert model.config.std == pytest.approx(pixels_NC.std(axis=0))


def test_a_map_has_the_predictions_that_evaluate_scores(folder: Path, tmp_path: Path) -> None:
    import rasterio

    model = load_model(folder / "model", "cpu", "fp32")
    chips = Chips(folder / "chips", ids(16), BRIGHTNESS, model.model.segmenter.bands)
    counted = count_predictions(model.model, scoring_loader(chips, 1, 0), model.device)
    options = MapOptions(tiling=Tiling(SIDE, 0, 32), preview=tmp_path / "map.png")
    predict_scene(model, folder / "raw/images/photo.tif", tmp_path / "map.tif", options)
    with rasterio.open(tmp_path / "map.tif") as found, rasterio.open(folder / "raw/masks/photo.tif") as truth:
        found_HW, truth_HW = found.read(1), truth.read(1)
    matrix_KK = [
        [int(((truth_HW == row) & (found_HW == column)).sum()) for column in BRIGHTNESS.ids] for row in BRIGHTNESS.ids
    ]
    assert matrix_KK == counted.matrix_KK.tolist()
    assert (tmp_path / "map.png").is_file()
