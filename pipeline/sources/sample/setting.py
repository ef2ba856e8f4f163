"""What is particular to one aerial scene: its size, scale, season and light."""

from dataclasses import dataclass

from pipeline.sources.sample.noise import Dice, Shape, derive
from pipeline.sources.sample.shapes import TURN, Point, direction

SEASONS = ("spring", "summer", "autumn")


@dataclass(frozen=True)
class Setting:
    """One scene before anything is in it."""

    shape: Shape
    per_metre: int
    """Pixels in a metre."""
    seed: int
    season: str
    sun: int
    """Direction towards the sun, in 64ths of a turn: from the south, which is down."""
    shadow_permille: int
    """Length of a shadow in thousandths of the height of what casts it."""

    def pixels(self, metres: int) -> int:
        """Metres in pixels."""
        return metres * self.per_metre

    def pixels_of(self, decimetres: int) -> int:
        """Tenths of a metre in pixels, at least one."""
        return max(1, decimetres * self.per_metre // 10)

    def dice(self, purpose: str) -> Dice:
        """Chance for one purpose."""
        return Dice(derive(self.seed, purpose))

    def noise_seed(self, purpose: str) -> int:
        """Seed of a noise for one purpose."""
        return derive(self.seed, "noise", purpose)

    @property
    def towards_sun(self) -> Point:
        """Direction vector."""
        return direction(self.sun)

    @property
    def from_sun(self) -> Point:
        """Direction vector of the shadows."""
        return direction(self.sun + TURN // 2)

    def shadow(self, metres: int) -> int:
        """Length in pixels of the shadow of a thing so high."""
        return self.pixels(metres) * self.shadow_permille // 1000


def choose_setting(shape: Shape, per_metre: int, seed: int) -> Setting:
    """Draw season and light."""
    dice = Dice(derive(seed, "setting"))
    return Setting(
        shape=shape,
        per_metre=per_metre,
        seed=seed,
        season=dice.pick(SEASONS),
        sun=dice.between(6, 26),
        shadow_permille=dice.between(600, 1100),
    )
