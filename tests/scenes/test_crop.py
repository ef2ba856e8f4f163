"""A part of a scene, pixel by pixel."""

import numpy as np
import pytest
from rasterio.windows import Window

from pipeline.raster.georeference import Georeference
from pipeline.scenes.crop import CroppedScene
from tests.inference.world import random_scene
from tests.scenes.array_scene import ArrayScene
from tests.world import at

BOUNDS = Window(30, 20, 50, 40)


def test_pixels_are_those_of_the_part() -> None:
    scene = random_scene(100, 120)
    scene.valid_HW[25] = False
    image_HWC, valid_HW = CroppedScene(scene, BOUNDS).read(Window(5, 4, 3, 2))
    assert (image_HWC == scene.image_HWC[24:26, 35:38]).all()
    assert valid_HW.tolist() == [[True] * 3, [False] * 3]


def test_size_and_corner_are_those_of_the_part() -> None:
    part = CroppedScene(random_scene(100, 120), BOUNDS)
    assert (part.height, part.width) == (40, 50)
    assert part.georeference.corner(0, 0) == (500000 + 300, 1000000 - 200)
    assert part.georeference.transform.a == 10


def test_a_part_of_a_rotated_scene_is_rotated() -> None:
    transform = at().transform @ at().transform.rotation(30)
    scene = ArrayScene(np.zeros((100, 120, 3), np.uint8), Georeference("EPSG:32630", transform))
    part = CroppedScene(scene, BOUNDS)
    assert part.georeference.corner(0, 0) == scene.georeference.corner(20, 30)
    assert part.georeference.corner(7, 9) == pytest.approx(scene.georeference.corner(27, 39), abs=1e-6)


def test_a_part_of_a_scene_without_georeference_has_none() -> None:
    nothing = Georeference(None, at().transform.identity())
    part = CroppedScene(ArrayScene(np.zeros((100, 120, 3), np.uint8), nothing), BOUNDS)
    assert not part.georeference.is_known


def test_the_identity_changes_with_the_part() -> None:
    scene = random_scene(100, 120)
    identities = [CroppedScene(scene, bounds).identity for bounds in (BOUNDS, Window(30, 20, 50, 41))]
    assert len({str(identity) for identity in [*identities, scene.identity]}) == 3


def test_damage_found_later_is_that_of_the_scene() -> None:
    scene = random_scene(100, 120)
    part = CroppedScene(scene, BOUNDS)
    scene.damaged.append("block 3")
    assert part.damaged == ["block 3"]
