"""Colours of a scene by season: crops, water, surfaces, roofs, tree crowns, and the tint of its light."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Dice
from pipeline.sources.sample.setting import Setting

Colour = tuple[int, int, int]

CROPS = ("cereal", "meadow", "fallow", "ripe", "soil", "dark", "ploughed")
CROP_TEXTURES = np.array(  # contrast of blotches, rows, streaks
    [(90, 60, 90), (150, 0, 40), (260, 0, 60), (70, 60, 110), (120, 40, 80), (70, 70, 100), (130, 70, 90)], np.int32
)
CROP_COLOURS: dict[str, tuple[Colour, ...]] = {
    "spring": (
        (92, 122, 62),
        (116, 132, 78),
        (132, 130, 92),
        (184, 174, 74),
        (170, 152, 122),
        (48, 70, 70),
        (122, 98, 80),
    ),
    "summer": (
        (82, 112, 58),
        (124, 134, 84),
        (142, 138, 98),
        (196, 172, 112),
        (178, 160, 128),
        (46, 68, 68),
        (130, 106, 86),
    ),
    "autumn": (
        (100, 126, 70),
        (126, 124, 84),
        (134, 122, 90),
        (170, 152, 114),
        (158, 140, 112),
        (52, 66, 66),
        (112, 90, 74),
    ),
}
CROP_WEIGHTS: dict[str, tuple[int, ...]] = {
    "spring": (5, 4, 2, 1, 2, 1, 2),
    "summer": (3, 4, 2, 4, 2, 1, 1),
    "autumn": (3, 4, 2, 2, 2, 1, 3),
}
CROWNS: dict[str, tuple[Colour, Colour]] = {
    "spring": ((62, 84, 52), (124, 142, 76)),
    "summer": ((56, 78, 48), (104, 124, 66)),
    "autumn": ((64, 80, 50), (142, 124, 66)),
}
ROOF_COLOURS: tuple[Colour, ...] = (
    (176, 84, 60),
    (158, 74, 58),
    (188, 102, 72),
    (146, 82, 66),
    (118, 118, 122),
    (196, 192, 188),
)
CROWN_KINDS = 16


@dataclass(frozen=True)
class Palette:
    """A table of colours, and where in it which begins."""

    table: np.ndarray
    """(colours, 3) of int32; the first ones are the fields', by number."""
    crops: np.ndarray
    """For each field the number of its crop, int64."""
    verge: int
    yard: int
    reed: int
    water: int
    asphalt: int
    gravel: int
    roofs: int
    crowns: int
    crown_kinds: int
    gain: Colour
    """Of the light by channel; 1024 is neutral."""
    haze: Colour
    """Added to each channel."""


def choose_palette(setting: Setting, fields: int) -> Palette:
    """Draw a scene's colours: fields vary about their crops', bare soil is like gravel, a dark field like the water."""
    dice = setting.dice("palette")
    colours = CROP_COLOURS[setting.season]
    weighted = [crop for crop, weight in enumerate(CROP_WEIGHTS[setting.season]) for _ in range(weight)]
    crops = [dice.pick(weighted) for _ in range(fields)]
    lake = _varied(colours[CROPS.index("dark")], 8, dice)
    surfaces = [
        _varied(colours[CROPS.index("meadow")], 8, dice),  # verge
        _varied(colours[CROPS.index("meadow")], 12, dice),  # yard
        _varied(colours[CROPS.index("cereal")], 10, dice),  # reed
        lake,
        _varied((146, 143, 139), 10, dice),  # asphalt
        _varied(colours[CROPS.index("soil")], 8, dice),  # gravel
    ]
    verge, yard, reed, water, asphalt, gravel = range(fields, fields + len(surfaces))
    roofs = fields + len(surfaces)
    table = [_varied(colours[crop], 14, dice) for crop in crops] + surfaces + list(ROOF_COLOURS) + _crowns(setting)
    brightness = dice.between(900, 1120)
    return Palette(
        np.array(table, np.int32),
        np.array(crops),
        verge=verge,
        yard=yard,
        reed=reed,
        water=water,
        asphalt=asphalt,
        gravel=gravel,
        roofs=roofs,
        crowns=roofs + len(ROOF_COLOURS),
        crown_kinds=CROWN_KINDS,
        gain=_varied((brightness, brightness, brightness), 40, dice),
        haze=_varied((4, 6, 12), 4, dice),
    )


def _crowns(setting: Setting) -> list[Colour]:
    """From conifers to broad-leaved trees."""
    dark, bright = CROWNS[setting.season]
    last = CROWN_KINDS - 1
    return [
        (
            (dark[0] * (last - kind) + bright[0] * kind) // last,
            (dark[1] * (last - kind) + bright[1] * kind) // last,
            (dark[2] * (last - kind) + bright[2] * kind) // last,
        )
        for kind in range(CROWN_KINDS)
    ]


def _varied(colour: Colour, amount: int, dice: Dice) -> Colour:
    """Lighter or darker by up to `amount`, and each channel by a third of that on its own."""
    shade = dice.between(-amount, amount)
    red, green, blue = (max(0, value + shade + dice.between(-amount // 3, amount // 3)) for value in colour)
    return red, green, blue
