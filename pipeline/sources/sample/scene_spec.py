"""Size, scale, season and sun of one aerial scene."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng, Seeded, Shape, derive_seed, fractal_noise
from pipeline.sources.sample.shapes import TURN, Point, direction

SEASONS = ("spring", "summer", "autumn")


@dataclass(frozen=True)
class SceneSpec(Seeded):
    """What a scene is generated from."""

    shape: Shape
    pixels_per_metre: int
    seed: int
    season: str
    sun: int
    """Heading of the sun, in 64ths of a turn: in the south, which is down."""
    shadow_permille: int
    """Length of a shadow per height, in thousandths."""

    def pixels(self, metres: int) -> int:
        """Convert metres to pixels."""
        return metres * self.pixels_per_metre

    def pixels_dm(self, decimetres: int) -> int:
        """Convert decimetres to pixels, at least 1."""
        return max(1, decimetres * self.pixels_per_metre // 10)

    def noise(self, metres: int, octaves: int, purpose: str) -> np.ndarray:
        """Return fractal noise with cells of `metres`: (height, width) of int32, 0 to 1023."""
        return fractal_noise(self.shape, self.pixels(metres), octaves, self.noise_seed(purpose))

    @property
    def sun_direction(self) -> Point:
        """Direction vector towards the sun."""
        return direction(self.sun)

    @property
    def shadow_direction(self) -> Point:
        """Direction vector away from the sun."""
        return direction(self.sun + TURN // 2)

    def shadow_length(self, height: int) -> int:
        """Return the length in pixels of the shadow of an object `height` metres tall."""
        return self.pixels(height) * self.shadow_permille // 1000


def random_scene_spec(shape: Shape, pixels_per_metre: int, seed: int) -> SceneSpec:
    """Draw the season and the sun's position."""
    rng = Rng(derive_seed(seed, "setting"))
    return SceneSpec(
        shape=shape,
        pixels_per_metre=pixels_per_metre,
        seed=seed,
        season=rng.choice(SEASONS),
        sun=rng.between(6, 26),
        shadow_permille=rng.between(600, 1100),
    )
