"""Woods, fields and water look as in a photograph; trees grow where they may."""

import numpy as np
import pytest

from pipeline.sources.sample.rendering import grow_canopy, render
from pipeline.sources.sample.scene_layout import ClassId, class_map, lay_out_scene
from pipeline.sources.sample.scene_spec import random_scene_spec
from pipeline.sources.sample.shapes import direction

SUN = direction(16)


@pytest.fixture(scope="module")
def image_and_mask() -> tuple[np.ndarray, np.ndarray]:
    layout = lay_out_scene(random_scene_spec((512, 512), 2, 3))
    return render(layout), class_map(layout)


def test_woods_are_darker_and_rougher_than_fields_and_water_is_smooth(
    image_and_mask: tuple[np.ndarray, np.ndarray],
) -> None:
    image_CHW, class_HW = image_and_mask
    grey_HW = image_CHW.mean(axis=0)
    # averaging over blocks removes the sensor noise
    coarse_HW = grey_HW.reshape(128, 4, 128, 4).mean(axis=(1, 3)).repeat(4, axis=0).repeat(4, axis=1)
    contrast_HW = np.abs(coarse_HW - np.roll(coarse_HW, 4, axis=1))

    def mean(values_HW: np.ndarray, class_id: ClassId) -> float:
        return float(values_HW[class_HW[:, : values_HW.shape[1]] == class_id].mean())

    assert mean(grey_HW, ClassId.WOODLAND) < mean(grey_HW, ClassId.BACKGROUND)
    assert mean(contrast_HW, ClassId.WOODLAND) > 1.5 * mean(contrast_HW, ClassId.BACKGROUND)
    assert mean(contrast_HW, ClassId.WATER) < mean(contrast_HW, ClassId.BACKGROUND)


def uniform(value: int) -> np.ndarray:
    return np.full((90, 130), value, np.int32)


def test_trees_grow_where_the_trunk_may() -> None:
    half = uniform(0)
    half[:, :60] = 1024
    tree_HW = grow_canopy(half, 10, SUN, 3).tree_HW
    assert tree_HW[:, :50].mean() > 0.8
    assert not tree_HW[:, 75:].any()
