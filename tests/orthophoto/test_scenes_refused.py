"""Scenes that hold what no chip can be made of, although it could be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.orthophoto.scenes import Cutting
from pipeline.raster.geotiff import write_geotiff
from tests.orthophoto.test_scenes import DROP, cut
from tests.world import at, gradient, halves, orthophoto

STRETCHED = Cutting(32, False, (1, 2, 3), (0.0, 4000.0))


@pytest.mark.parametrize(
    ("bands", "profile", "message"),
    [
        (3, {}, r"masks/a.tif has 3 bands; a mask has one, of class ids"),
        (1, {"compress": "jpeg"}, r"masks/a.tif is JPEG-compressed, which invents class ids along edges"),
    ],
)
def test_a_mask_of_colours_or_with_loss_is_refused(
    tmp_path: Path, bands: int, profile: dict[str, Any], message: str
) -> None:
    scene = orthophoto(tmp_path, "a")
    write_geotiff(scene.mask, np.stack([halves(64, 96)] * bands), at(pixel=0.5), **profile)
    with pytest.raises(PipelineError, match=message):
        cut(tmp_path, scene)


@pytest.mark.parametrize(
    ("dtype", "cutting", "message"),
    [
        ("complex64", STRETCHED, r"images/a.tif holds complex64, which is no number that is read; allowed are uint8, "),
        ("uint8", STRETCHED, r"images/a.tif holds 8 bits, 0 to 255, and tile.stretch is \[0, 4000\]"),
        ("int16", DROP, r"images/a.tif holds int16; set tile.stretch"),
    ],
)
def test_an_image_that_would_not_show_is_refused(tmp_path: Path, dtype: str, cutting: Cutting, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        cut(tmp_path, orthophoto(tmp_path, "a", gradient(64, 96, dtype=dtype)), cutting)
