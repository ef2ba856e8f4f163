"""The samples of the Sentinel-2 archives with their near infrared, through the stages to chips."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.params import load_params
from pipeline.formats.chips import read_chips
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.formats.png import read_chip_image
from pipeline.tif_to_png import TifToPngParams, tif_to_png
from tests.world import archive as with_classes

PARAMS = Path(__file__).parents[3] / "params.yaml"
RGB = BandsSection(landcovernet=("B04", "B03", "B02"), ghana=(3, 2, 1))
NEAR_INFRARED = BandsSection(landcovernet=("B04", "B03", "B02", "B08"), ghana=(3, 2, 1, 7))


def convert(dataset: DatasetName, raw: Path, folder: Path, bands: BandsSection) -> Path:
    folder.mkdir()
    clear, failures = folder / "clear.csv", folder / "failures.csv"
    change = {"bands": bands}
    cloud_filter(dataset, raw, clear, failures, load_params(CloudFilterParams, PARAMS).model_copy(update=change))
    how = load_params(TifToPngParams, PARAMS).model_copy(update=change)
    tif_to_png(dataset, raw, clear, folder / "chips", failures, how)
    return folder / "chips"


@pytest.mark.parametrize("dataset", ["landcovernet", "ghana"])
def test_near_infrared_is_added_to_the_chips_of_three_bands(
    dataset: DatasetName, archive: Callable[..., tuple[Path, list[str]]], tmp_path: Path
) -> None:
    shutil.copytree(archive(dataset)[0], tmp_path / "raw", copy_function=os.link)
    raw = with_classes(tmp_path / "raw", dataset)
    rgb, many = (convert(dataset, raw, tmp_path / str(len(b.ghana)), b) for b in (RGB, NEAR_INFRARED))
    names = read_chips(rgb)["id"].tolist()
    for path in ("chips.csv", *(f"{kind}/{name}.png" for kind in ("images", "masks") for name in names)):
        assert (many / path).read_bytes() == (rgb / path).read_bytes()
    pixels_NC = np.concatenate([read_chip_image(many, name, 4).reshape(-1, 4) for name in names]).astype(float)
    red, _, _, near_infrared = pixels_NC.mean(axis=0)
    assert near_infrared > 2 * red  # most of the ground has plants
