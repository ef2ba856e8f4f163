"""A part of a scene has its pixels, position and damage, and an identity of its own."""

import numpy as np
import pytest
from rasterio.windows import Window

from pipeline.raster.georeference import Georeference
from pipeline.scenes.crop import CroppedScene
from tests.inference.world import random_scene
from tests.scenes.array_scene import blank
from tests.world import at

BOUNDS = Window(30, 20, 50, 40)


def test_pixels_and_damage_are_those_of_the_part() -> None:
    scene = random_scene(100, 120)
    scene.valid_HW[25] = False
    part = CroppedScene(scene, BOUNDS)
    scene.damaged.append("block 3")
    image_HWC, valid_HW = part.read(Window(5, 4, 3, 2))
    assert np.array_equal(image_HWC, scene.image_HWC[24:26, 35:38])
    assert valid_HW.tolist() == [[True] * 3, [False] * 3]
    assert (part.height, part.width, part.damaged) == (40, 50, ["block 3"])


@pytest.mark.parametrize("angle", [0, 30])
def test_a_part_stays_in_place(angle: int) -> None:
    scene = blank(100, 120, Georeference("EPSG:32630", at().transform @ at().transform.rotation(angle)))
    part = CroppedScene(scene, BOUNDS)
    assert part.georeference.corner(7, 9) == pytest.approx(scene.georeference.corner(27, 39), abs=1e-6)


def test_a_part_of_a_scene_without_georeference_has_none() -> None:
    nothing = Georeference(None, at().transform.identity())
    assert not CroppedScene(blank(100, 120, nothing), BOUNDS).georeference.is_known


def test_the_identity_changes_with_the_part() -> None:
    scene = random_scene(100, 120)
    identities = [CroppedScene(scene, bounds).identity for bounds in (BOUNDS, Window(30, 20, 50, 41))]
    assert len({str(identity) for identity in [*identities, scene.identity]}) == 3
