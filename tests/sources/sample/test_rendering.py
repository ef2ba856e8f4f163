import numpy as np
import pytest

from pipeline.sources.sample.rendering import photograph
from pipeline.sources.sample.scenery import Cover, Scenery, classify, plan_scenery
from pipeline.sources.sample.setting import choose_setting


def scene(seed: int = 3) -> Scenery:
    return plan_scenery(choose_setting((512, 512), 2, seed))


@pytest.fixture(scope="module")
def photo() -> tuple[np.ndarray, np.ndarray]:
    scenery = scene()
    return photograph(scenery), classify(scenery)


def test_a_photograph_has_three_channels_of_bytes(photo: tuple[np.ndarray, np.ndarray]) -> None:
    image_CHW, _ = photo
    assert (image_CHW.shape, image_CHW.dtype) == ((3, 512, 512), np.uint8)
    assert image_CHW.std() > 20
    assert (image_CHW == 255).mean() < 0.02


def test_woods_are_darker_and_rougher_than_fields_and_water_is_smooth(photo: tuple[np.ndarray, np.ndarray]) -> None:
    image_CHW, class_HW = photo
    grey_HW = image_CHW.mean(axis=0)
    even_HW = grey_HW.reshape(128, 4, 128, 4).mean(axis=(1, 3)).repeat(4, axis=0).repeat(4, axis=1)  # without grain
    rough_HW = np.abs(even_HW - np.roll(even_HW, 4, axis=1))

    def of(values_HW: np.ndarray, cover: Cover) -> float:
        return float(values_HW[class_HW[:, : values_HW.shape[1]] == cover].mean())

    assert of(grey_HW, Cover.WOODLAND) < of(grey_HW, Cover.BACKGROUND)
    assert of(rough_HW, Cover.WOODLAND) > 1.5 * of(rough_HW, Cover.BACKGROUND)
    assert of(rough_HW, Cover.WATER) < of(rough_HW, Cover.BACKGROUND)


def test_the_same_scene_is_photographed_the_same(photo: tuple[np.ndarray, np.ndarray]) -> None:
    assert (photograph(scene()) == photo[0]).all()
    assert (photograph(scene(seed=4)) != photo[0]).mean() > 0.5
