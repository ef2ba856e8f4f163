"""A network learns from bands beyond red, green and blue, from an orthophoto to scores and a map."""

from pathlib import Path

import numpy as np

from pipeline.formats.classes import ClassTable
from pipeline.inference.network import load_model
from pipeline.inference.options import MapOptions
from pipeline.inference.scene_map import predict_scene
from pipeline.inference.windows import Tiling
from pipeline.tile import TileParams, tile
from tests.learning.world import BRIGHTNESS, World, bright_chip, lists_folder
from tests.maps import read
from tests.world import archive, orthophoto, params

SIDE, BANDS = 64, 5


def test_the_network_learns_from_the_further_bands(tmp_path: Path) -> None:
    """The first three are noise, from which nothing can be learned."""
    chips = [bright_chip(number, SIDE, BANDS) for number in range(16)]
    image_HWC, mask_HW = (
        np.vstack([np.hstack([chip[part] for chip in chips[row : row + 4]]) for row in range(0, 16, 4)])
        for part in (0, 1)
    )
    image_HWC[..., :3] = np.random.default_rng(0).integers(1, 256, (4 * SIDE, 4 * SIDE, 3))
    raw = archive(tmp_path / "raw", "landcoverai", ClassTable(classes=BRIGHTNESS.classes, remap={255: "ignore"}))
    photo = orthophoto(raw, "photo", image_HWC.transpose(2, 0, 1), mask_HW)
    how = params(TileParams, **{"tile.size": SIDE, "tile.bands": list(range(1, BANDS + 1))})
    tile(raw, tmp_path / "chips", tmp_path / "failures.csv", how)
    lists_folder(tmp_path / "split", "photo_{}", train=9, val=3, test=4)
    world = World(tmp_path)
    world.train(epochs=4, batch_size=1)
    assert world.evaluate("scores")["mean_iou"] > 0.6
    assert (tmp_path / "plots/examples.png").is_file()
    preview = MapOptions(tiling=Tiling(SIDE, 0, 32), preview=tmp_path / "map.png")
    predict_scene(load_model(world.model, "cpu"), photo.image, tmp_path / "map.tif", preview)
    test = np.s_[3 * SIDE :]  # rows of the test chips
    assert (read(tmp_path / "map.tif")[0, test] == mask_HW[test]).mean() > 0.7
    assert (tmp_path / "map.png").is_file()
