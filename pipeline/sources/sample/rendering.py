"""An aerial photograph of a scenery: ground, water, roads, houses, trees, their shadows, then light and camera."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.houses import House
from pipeline.sources.sample.noise import Dice, derive, fractal_noise, signed, softened, value_noise, white_noise
from pipeline.sources.sample.palette import CROP_TEXTURES, Palette, choose_palette
from pipeline.sources.sample.parcels import SUB, Parcels
from pipeline.sources.sample.roads import Road
from pipeline.sources.sample.scenery import Scenery, tree_chance
from pipeline.sources.sample.setting import Setting
from pipeline.sources.sample.shapes import direction, shadow_of, stroke
from pipeline.sources.sample.trees import Canopy, grow

NEUTRAL = 1024
"""Light that leaves a colour as it is."""
SHADE = 430
"""Light in a shadow."""
GRAIN = 300
"""Sensor noise, in sixteenths of a step of 8 bits: a pixel's own colour tells less than its surroundings do."""


@dataclass
class Canvas:
    """A photograph in the making."""

    setting: Setting
    palette: Palette
    colour_HW: np.ndarray
    """int32: row of the palette's table."""
    light_HW: np.ndarray
    """int32, 1024 is neutral."""


def photograph(scenery: Scenery) -> np.ndarray:
    """Render a scene.

    Returns:
        (3, height, width) of uint8: red, green, blue.
    """
    setting = scenery.setting
    canvas = _farmland(setting, scenery.parcels)
    _paint_yards(canvas, scenery.yard_HW)
    _paint_water(canvas, scenery.water_HW)
    for road in reversed(scenery.roads):  # the main road lies over its side roads' ends
        _paint_road(canvas, road)
    roofs_HW = _paint_houses(canvas, scenery.houses)
    canopy = grow(tree_chance(scenery), setting.pixels_of(52), setting.towards_sun, setting.noise_seed("trees"))
    _paint_shadows(canvas, roofs_HW, canopy)
    _paint_trees(canvas, canopy)
    return _develop(canvas)


def _farmland(setting: Setting, parcels: Parcels) -> Canvas:
    """Fields, each in its crop's colour, with blotches of soil, drill rows, wheel tracks and grass between."""
    palette = choose_palette(setting, parcels.count)
    texture = CROP_TEXTURES[palette.crops]
    blotch, rows, streak = (texture[:, column][parcels.field_HW] for column in range(3))
    blotch_HW = fractal_noise(setting.shape, setting.pixels(22), 4, setting.noise_seed("blotches"))
    light_HW = NEUTRAL + (signed(blotch_HW, 512) * blotch >> 9)
    light_HW += _streaks(setting, parcels.across_HW) * streak >> 9
    light_HW += _drill_rows(setting, parcels) * rows >> 9
    light_HW += signed(value_noise(setting.shape, 3, setting.noise_seed("tufts")), 60)
    colour_HW = parcels.field_HW.copy()
    colour_HW[parcels.border_HW < setting.pixels_of(6)] = palette.verge
    return Canvas(setting, palette, colour_HW, light_HW)


def _streaks(setting: Setting, across_HW: np.ndarray) -> np.ndarray:
    """Unevenness that follows the rows, -512 to 511."""
    line = fractal_noise((1, int(across_HW.max()) // SUB + 1), setting.pixels(6), 4, setting.noise_seed("streaks"))
    return np.asarray(signed(line, 512)[0][across_HW // SUB])


def _drill_rows(setting: Setting, parcels: Parcels) -> np.ndarray:
    """Rows of plants as a triangle wave, and a pair of wheel tracks every 18 m; -512 to 512."""
    period = setting.pixels(1) * SUB * 5 // 4
    wave_HW = abs(parcels.across_HW % period * 2 - period) * 1024 // period - 512
    wheel_HW = parcels.across_HW % setting.pixels(18 * SUB)
    gauge, tyre = setting.pixels(2 * SUB), setting.pixels(SUB) // 2
    wave_HW[(wheel_HW < tyre) | ((wheel_HW >= gauge) & (wheel_HW < gauge + tyre))] = -512
    return np.asarray(wave_HW)


def _paint_yards(canvas: Canvas, yard_HW: np.ndarray) -> None:
    noise_HW = fractal_noise(canvas.setting.shape, canvas.setting.pixels(4), 3, canvas.setting.noise_seed("yards"))
    canvas.colour_HW[yard_HW] = canvas.palette.yard
    canvas.colour_HW[yard_HW & (noise_HW > 640)] = canvas.palette.gravel
    canvas.light_HW[yard_HW] = NEUTRAL + signed(noise_HW[yard_HW], 260)


def _paint_water(canvas: Canvas, water_HW: np.ndarray) -> None:
    """A reedy bank, then water that is smooth but for slow changes of depth."""
    setting = canvas.setting
    bank_HW = np.zeros_like(water_HW)
    for step in range(0, 64, 8):
        bank_HW |= shadow_of(water_HW, direction(step), setting.pixels(2))
    bank_HW &= white_noise(setting.shape, setting.noise_seed("reeds")) > 200
    canvas.colour_HW[bank_HW] = canvas.palette.reed
    depth_HW = fractal_noise(setting.shape, setting.pixels(40), 3, setting.noise_seed("depth"))
    canvas.colour_HW[water_HW] = canvas.palette.water
    canvas.light_HW[water_HW] = NEUTRAL + signed(depth_HW[water_HW], 200)


def _paint_road(canvas: Canvas, road: Road) -> None:
    setting, palette = canvas.setting, canvas.palette
    grain_HW = value_noise(setting.shape, 4, setting.noise_seed("grain"))
    verge_HW = road.covered(setting, margin=setting.pixels_of(12))
    canvas.colour_HW[verge_HW] = palette.verge
    road_HW = road.covered(setting)
    canvas.light_HW[road_HW] = NEUTRAL + signed(grain_HW[road_HW], 90)
    canvas.colour_HW[road_HW] = palette.asphalt if road.surface == "asphalt" else palette.gravel
    middle_HW = stroke(setting.shape, road.points, road.half_width // 4)
    if road.surface == "asphalt":
        canvas.light_HW[middle_HW] += 70
    else:
        canvas.colour_HW[middle_HW & (grain_HW > 300)] = palette.verge


def _paint_houses(canvas: Canvas, houses: list[House]) -> np.ndarray:
    """Two-sided roofs, the side towards the sun brighter; gives back where roofs are, bool."""
    roofs_HW = np.zeros(canvas.setting.shape, bool)
    for number, house in enumerate(houses):
        window = house.box.window(canvas.setting.shape)
        inside = house.box.inside(window)
        _, across = house.box.axes(window)
        roofs_HW[window] |= inside
        canvas.colour_HW[window][inside] = canvas.palette.roofs + house.roof
        canvas.light_HW[window][inside] = _roof_light(canvas.setting, house, across, number)[inside]
    return roofs_HW


def _roof_light(setting: Setting, house: House, across: np.ndarray, number: int) -> np.ndarray:
    sine, cosine = direction(house.box.heading + 16)
    sun_sine, sun_cosine = setting.towards_sun
    slope = (sine * sun_sine + cosine * sun_cosine >> 10) * 300 >> 10
    light = NEUTRAL + np.where(across > 0, slope, -slope) + Dice(derive(setting.seed, "roof", number)).between(-80, 80)
    light[abs(across) <= setting.per_metre // 4] += 120  # the ridge
    return np.asarray(light)


def _paint_shadows(canvas: Canvas, roofs_HW: np.ndarray, canopy: Canopy) -> None:
    setting = canvas.setting
    shaded_HW = shadow_of(roofs_HW, setting.from_sun, setting.shadow(6))
    shaded_HW |= shadow_of(canopy.tree_HW, setting.from_sun, setting.shadow(9))
    shaded_HW &= ~roofs_HW
    canvas.light_HW[shaded_HW] = canvas.light_HW[shaded_HW] * SHADE >> 10


def _paint_trees(canvas: Canvas, canopy: Canopy) -> None:
    setting = canvas.setting
    stand_HW = fractal_noise(setting.shape, setting.pixels(50), 3, setting.noise_seed("stands"))
    kind_HW = np.clip(signed(stand_HW, 900) + 512 + (canopy.kind_HW - 512 >> 1), 0, 1023)
    tree_HW = canopy.tree_HW
    leaves_HW = value_noise(setting.shape, 2, setting.noise_seed("leaves"))
    canvas.colour_HW[tree_HW] = canvas.palette.crowns + kind_HW[tree_HW] * canvas.palette.crown_kinds // 1024
    canvas.light_HW[tree_HW] = canopy.light_HW[tree_HW] + signed(leaves_HW[tree_HW], 150)


def _develop(canvas: Canvas) -> np.ndarray:
    """Colour times light, the scene's own tint and haze, the lens's softness and the sensor's noise."""
    setting, palette = canvas.setting, canvas.palette
    warmth_HW = signed(fractal_noise(setting.shape, setting.pixels(30), 3, setting.noise_seed("warmth")), 16)
    light_HW = np.clip(canvas.light_HW, 120, 1900)
    image_CHW = np.empty((3, *setting.shape), np.uint8)
    for channel in range(3):
        value_HW = palette.table[canvas.colour_HW, channel] * light_HW >> 6  # 16 times the final value
        value_HW += warmth_HW * (16, 4, -12)[channel]
        value_HW = softened(value_HW * palette.gain[channel] >> 10)
        value_HW += signed(white_noise(setting.shape, setting.noise_seed(f"sensor {channel}")), GRAIN)
        image_CHW[channel] = np.clip((value_HW >> 4) + palette.haze[channel], 0, 255)
    return image_CHW
