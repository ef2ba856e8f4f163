"""What an aerial scene is drawn with: its size, scale, season, sun and colours."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng, Seeded, Shape, derive_seed, fractal_noise
from pipeline.sources.sample.shapes import TURN, Point, direction

SEASONS = ("spring", "summer", "autumn")
Colour = tuple[int, int, int]

CROPS = ("cereal", "meadow", "fallow", "ripe", "soil", "dark", "ploughed")
CROP_TEXTURES = np.array(
    [(90, 60, 90), (150, 0, 40), (260, 0, 60), (70, 60, 110), (120, 40, 80), (70, 70, 100), (130, 70, 90)], np.int32
)
"""Contrast of blotches, drill rows and streaks, crop by crop."""
CROP_COLOURS: dict[str, tuple[Colour, ...]] = {
    "spring": ((92, 122, 62), (116, 132, 78), (132, 130, 92), (184, 174, 74), (170, 152, 122), (48, 70, 70),
               (122, 98, 80)),
    "summer": ((82, 112, 58), (124, 134, 84), (142, 138, 98), (196, 172, 112), (178, 160, 128), (46, 68, 68),
               (130, 106, 86)),
    "autumn": ((100, 126, 70), (126, 124, 84), (134, 122, 90), (170, 152, 114), (158, 140, 112), (52, 66, 66),
               (112, 90, 74)),
}  # fmt: skip
CROP_WEIGHTS: dict[str, tuple[int, ...]] = {
    "spring": (5, 4, 2, 1, 2, 1, 2),
    "summer": (3, 4, 2, 4, 2, 1, 1),
    "autumn": (3, 4, 2, 2, 2, 1, 3),
}
"""How often each crop is grown."""
CROWNS: dict[str, tuple[Colour, Colour]] = {
    "spring": ((62, 84, 52), (124, 142, 76)),
    "summer": ((56, 78, 48), (104, 124, 66)),
    "autumn": ((64, 80, 50), (142, 124, 66)),
}
"""Conifers and broad-leaved trees."""
ROOF_COLOURS: tuple[Colour, ...] = (
    (176, 84, 60), (158, 74, 58), (188, 102, 72), (146, 82, 66), (118, 118, 122), (196, 192, 188),
)  # fmt: skip
CROWN_SPECIES = 16


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


@dataclass(frozen=True)
class Palette:
    """Colour table; the integers are rows of it."""

    table: np.ndarray
    """(colours, 3) of int32; starts with one row for each field."""
    crops: np.ndarray
    """Index of each field's crop, int64."""
    surfaces: dict[str, int]
    """Of water, verge, yard, reed, asphalt and gravel."""
    roofs: int
    """First of the roof colours."""
    crowns: int
    """First of the crown colours."""
    gain: Colour
    """Of each channel; 1024 is neutral."""
    haze: Colour
    """Added to each channel."""


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


def random_palette(spec: SceneSpec, fields: int) -> Palette:
    """Draw a scene's colours. By design gravel is like bare soil, and water like a dark field."""
    rng = spec.rng("palette")
    colours = CROP_COLOURS[spec.season]
    weighted = [crop for crop, weight in enumerate(CROP_WEIGHTS[spec.season]) for _ in range(weight)]
    crops = [rng.choice(weighted) for _ in range(fields)]
    surfaces = {
        "water": _varied(colours[CROPS.index("dark")], 8, rng),
        "verge": _varied(colours[CROPS.index("meadow")], 8, rng),
        "yard": _varied(colours[CROPS.index("meadow")], 12, rng),
        "reed": _varied(colours[CROPS.index("cereal")], 10, rng),
        "asphalt": _varied((146, 143, 139), 10, rng),
        "gravel": _varied(colours[CROPS.index("soil")], 8, rng),
    }
    table = [_varied(colours[crop], 14, rng) for crop in crops]
    table += [*surfaces.values(), *ROOF_COLOURS, *_crown_colours(spec.season)]
    roofs = fields + len(surfaces)
    brightness = rng.between(900, 1120)
    return Palette(
        np.array(table, np.int32),
        np.array(crops),
        surfaces={name: row for row, name in enumerate(surfaces, start=fields)},
        roofs=roofs,
        crowns=roofs + len(ROOF_COLOURS),
        gain=_varied((brightness, brightness, brightness), 40, rng),
        haze=_varied((4, 6, 12), 4, rng),
    )


def _crown_colours(season: str) -> list[Colour]:
    """Interpolate from conifers to broad-leaved trees."""
    last = CROWN_SPECIES - 1
    dark, bright = (np.array(colour) for colour in CROWNS[season])
    return [tuple((dark * (last - species) + bright * species) // last) for species in range(CROWN_SPECIES)]


def _varied(colour: Colour, amount: int, rng: Rng) -> Colour:
    """Vary the lightness by up to `amount`, and each channel by up to a third of that."""
    shade = rng.between(-amount, amount)
    red, green, blue = (max(0, value + shade + rng.between(-amount // 3, amount // 3)) for value in colour)
    return red, green, blue
