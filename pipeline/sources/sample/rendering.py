"""Render a scene layout as an aerial photograph: ground, objects, shadows, then light and camera."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng, derive_seed, fractal_noise, signed, smooth, value_noise, white_noise
from pipeline.sources.sample.roads import House, Road
from pipeline.sources.sample.scene_layout import SceneLayout, tree_probability
from pipeline.sources.sample.scene_spec import CROP_TEXTURES, CROWN_SPECIES, Palette, SceneSpec, random_palette
from pipeline.sources.sample.shapes import SUBPIXELS, UNIT, Parcels, Point, cast_shadow, direction, stroke

NEUTRAL = 1024
"""Light that leaves a colour unchanged."""
SHADOW_LIGHT = 430
"""Light in a shadow, in 1024ths."""
SENSOR_NOISE = 300
"""In 16ths of a grey level: strong, so that a pixel's colour is less informative than its surroundings."""


@dataclass
class Canvas:
    """A scene being rendered."""

    spec: SceneSpec
    palette: Palette
    colour_HW: np.ndarray
    """int32: row of the palette's table."""
    light_HW: np.ndarray
    """int32, 1024 is neutral."""


@dataclass(frozen=True)
class Canopy:
    """Tree crowns from above; maps are (height, width)."""

    tree_HW: np.ndarray
    """bool: a crown covers the pixel."""
    light_HW: np.ndarray
    """int32 around 1024: bright on the side facing the sun, dark at the rim and on the other side."""
    species_HW: np.ndarray
    """int32, 0 to 1023: constant in a crown."""


def render(layout: SceneLayout) -> np.ndarray:
    """Render a scene.

    Returns:
        (3, height, width) of uint8: red, green, blue.
    """
    spec = layout.spec
    canvas = _farmland(spec, layout.parcels)
    _paint_yards(canvas, layout.yard_HW)
    _paint_water(canvas, layout.water_HW)
    for road in reversed(layout.roads):  # the main roads over the ends of the side roads
        _paint_road(canvas, road)
    roofs_HW = _paint_houses(canvas, layout.houses)
    canopy = grow_canopy(tree_probability(layout), spec.pixels_dm(52), spec.sun_direction, spec.noise_seed("trees"))
    _paint_shadows(canvas, roofs_HW, canopy)
    _paint_trees(canvas, canopy)
    return _expose(canvas)


def _farmland(spec: SceneSpec, parcels: Parcels) -> Canvas:
    """Paint fields in their crops' colours with blotches, drill rows, wheel tracks and grass verges."""
    palette = random_palette(spec, parcels.count)
    texture = CROP_TEXTURES[palette.crops]
    blotch_HW, rows_HW, streak_HW = (texture[:, column][parcels.field_HW] for column in range(3))
    light_HW = NEUTRAL + (signed(spec.noise(22, 4, "blotches"), 512) * blotch_HW >> 9)
    light_HW += _streaks(spec, parcels.across_HW) * streak_HW >> 9
    light_HW += _drill_rows(spec, parcels.across_HW) * rows_HW >> 9
    light_HW += signed(value_noise(spec.shape, 3, spec.noise_seed("tufts")), 60)
    colour_HW = parcels.field_HW.copy()
    colour_HW[parcels.border_HW < spec.pixels_dm(6)] = palette.surfaces["verge"]
    return Canvas(spec, palette, colour_HW, light_HW)


def _streaks(spec: SceneSpec, across_HW: np.ndarray) -> np.ndarray:
    """Vary the light from row to row, -512 to 511."""
    length = int(across_HW.max()) // SUBPIXELS + 1
    line = fractal_noise((1, length), spec.pixels(6), 4, spec.noise_seed("streaks"))
    return np.asarray(signed(line, 512)[0][across_HW // SUBPIXELS])


def _drill_rows(spec: SceneSpec, across_HW: np.ndarray) -> np.ndarray:
    """Draw crop rows as a triangle wave, and a pair of wheel tracks every 18 m; -512 to 512."""
    period = spec.pixels(1) * SUBPIXELS * 5 // 4
    wave_HW = abs(across_HW % period * 2 - period) * 1024 // period - 512
    wheel_HW = across_HW % spec.pixels(18 * SUBPIXELS)
    gauge, tyre = spec.pixels(2 * SUBPIXELS), spec.pixels(SUBPIXELS) // 2
    wave_HW[(wheel_HW < tyre) | ((wheel_HW >= gauge) & (wheel_HW < gauge + tyre))] = -512
    return np.asarray(wave_HW)


def _paint_yards(canvas: Canvas, yard_HW: np.ndarray) -> None:
    noise_HW = canvas.spec.noise(4, 3, "yards")
    canvas.colour_HW[yard_HW] = canvas.palette.surfaces["yard"]
    canvas.colour_HW[yard_HW & (noise_HW > 640)] = canvas.palette.surfaces["gravel"]
    canvas.light_HW[yard_HW] = NEUTRAL + signed(noise_HW[yard_HW], 260)


def _paint_water(canvas: Canvas, water_HW: np.ndarray) -> None:
    """Paint reeds along the bank, and water that varies slowly with depth."""
    spec = canvas.spec
    bank_HW = np.zeros_like(water_HW)
    for step in range(0, 64, 8):
        bank_HW |= cast_shadow(water_HW, direction(step), spec.pixels(2))
    bank_HW &= white_noise(spec.shape, spec.noise_seed("reeds")) > 200
    canvas.colour_HW[bank_HW] = canvas.palette.surfaces["reed"]
    canvas.colour_HW[water_HW] = canvas.palette.surfaces["water"]
    canvas.light_HW[water_HW] = NEUTRAL + signed(spec.noise(40, 3, "depth")[water_HW], 200)


def _paint_road(canvas: Canvas, road: Road) -> None:
    spec, palette = canvas.spec, canvas.palette
    grain_HW = value_noise(spec.shape, 4, spec.noise_seed("grain"))
    canvas.colour_HW[road.mask(spec, margin=spec.pixels_dm(12))] = palette.surfaces["verge"]
    road_HW = road.mask(spec)
    canvas.light_HW[road_HW] = NEUTRAL + signed(grain_HW[road_HW], 90)
    canvas.colour_HW[road_HW] = palette.surfaces["asphalt"] if road.surface == "asphalt" else palette.surfaces["gravel"]
    middle_HW = stroke(spec.shape, road.points, road.half_width // 4)
    if road.surface == "asphalt":
        canvas.light_HW[middle_HW] += 70
    else:
        canvas.colour_HW[middle_HW & (grain_HW > 300)] = palette.surfaces["verge"]


def _paint_houses(canvas: Canvas, houses: list[House]) -> np.ndarray:
    """Paint gable roofs, brighter on the side facing the sun; return the mask of all roofs."""
    roofs_HW = np.zeros(canvas.spec.shape, bool)
    for number, house in enumerate(houses):
        window = house.box.window(canvas.spec.shape)
        inside = house.box.inside(window)
        _, across = house.box.axes(window)
        roofs_HW[window] |= inside
        canvas.colour_HW[window][inside] = canvas.palette.roofs + house.roof
        canvas.light_HW[window][inside] = _roof_light(canvas.spec, house, across, number)[inside]
    return roofs_HW


def _roof_light(spec: SceneSpec, house: House, across: np.ndarray, number: int) -> np.ndarray:
    sine, cosine = direction(house.box.heading + 16)
    sun_sine, sun_cosine = spec.sun_direction
    slope = (sine * sun_sine + cosine * sun_cosine >> 10) * 300 >> 10
    light = NEUTRAL + np.where(across > 0, slope, -slope) + Rng(derive_seed(spec.seed, "roof", number)).between(-80, 80)
    light[abs(across) <= spec.pixels_per_metre // 4] += 120  # the ridge
    return np.asarray(light)


def grow_canopy(probability_HW: np.ndarray, cell: int, sun_direction: Point, seed: int) -> Canopy:
    """Plant at most one tree per cell, with the probability at its trunk; the highest dome at each pixel is visible.

    Args:
        probability_HW: int32, 0 to 1024.
        cell: distance between trees in pixels.
        sun_direction: direction vector towards the sun.
        seed: of positions, sizes and species.
    """
    height, width = probability_HW.shape
    rows, columns = -(-height // cell), -(-width // cell)
    row, column, size, draw, species = (  # of one tree per cell, in a lattice with a cell around the scene
        white_noise((rows + 2, columns + 2), derive_seed(seed, name))
        for name in ("row", "column", "size", "luck", "kind")
    )
    row = (row * cell >> 10) + (np.arange(rows + 2, dtype=np.int32)[:, None] - 1) * cell
    column = (column * cell >> 10) + (np.arange(columns + 2, dtype=np.int32) - 1) * cell
    radius = cell * (560 + size // 3) >> 10
    grows = draw < probability_HW[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    radius2 = np.where(grows, radius * radius, -4 * cell * cell)  # negative for no tree

    pixel_row = np.arange(rows * cell, dtype=np.int32).reshape(rows, cell, 1, 1)
    pixel_column = np.arange(columns * cell, dtype=np.int32).reshape(columns, cell)
    dome = np.full((rows, cell, columns, cell), np.iinfo(np.int32).min, np.int32)
    for number in range(9):
        down, right = divmod(number, 3)
        window = slice(down, down + rows), None, slice(right, right + columns), None
        # times 16, so that the number of the highest tree fits into the lowest bits
        height2 = (radius2[window] - (pixel_row - row[window]) ** 2) * 16 + number
        np.maximum(dome, height2 - (pixel_column - column[window]) ** 2 * 16, out=dome)
    neighbour = np.divmod(dome & 15, 3)
    visible = np.arange(rows)[:, None, None, None] + neighbour[0], np.arange(columns)[:, None] + neighbour[1]
    sunward = (pixel_row - row[visible]) * sun_direction[0] + (pixel_column - column[visible]) * sun_direction[1]
    light = 560 + sunward // (2 * cell) + (dome >> 4) * UNIT // np.maximum(radius2[visible], 1) // 2
    maps = (dome >= 0, light, species[visible])
    return Canopy(*(values.reshape(rows * cell, columns * cell)[:height, :width] for values in maps))


def _paint_shadows(canvas: Canvas, roofs_HW: np.ndarray, canopy: Canopy) -> None:
    spec = canvas.spec
    shadow_HW = cast_shadow(roofs_HW, spec.shadow_direction, spec.shadow_length(6))
    shadow_HW |= cast_shadow(canopy.tree_HW, spec.shadow_direction, spec.shadow_length(9))
    shadow_HW &= ~roofs_HW
    canvas.light_HW[shadow_HW] = canvas.light_HW[shadow_HW] * SHADOW_LIGHT >> 10


def _paint_trees(canvas: Canvas, canopy: Canopy) -> None:
    """Paint crowns; neighbouring trees are of similar species."""
    spec, tree_HW = canvas.spec, canopy.tree_HW
    stand_HW = signed(spec.noise(50, 3, "stands"), 900)
    species_HW = np.clip(stand_HW + 512 + (canopy.species_HW - 512 >> 1), 0, 1023)
    leaves_HW = value_noise(spec.shape, 2, spec.noise_seed("leaves"))
    canvas.colour_HW[tree_HW] = canvas.palette.crowns + species_HW[tree_HW] * CROWN_SPECIES // 1024
    canvas.light_HW[tree_HW] = canopy.light_HW[tree_HW] + signed(leaves_HW[tree_HW], 150)


def _expose(canvas: Canvas) -> np.ndarray:
    """Multiply colour by light; add the scene's colour cast and haze, the lens's blur and the sensor's noise."""
    spec, palette = canvas.spec, canvas.palette
    warmth_HW = signed(spec.noise(30, 3, "warmth"), 16)
    light_HW = np.clip(canvas.light_HW, 120, 1900)
    image_CHW = np.empty((3, *spec.shape), np.uint8)
    for channel in range(3):
        value_HW = palette.table[canvas.colour_HW, channel] * light_HW >> 6  # 16 times the final value
        value_HW += warmth_HW * (16, 4, -12)[channel]
        value_HW = smooth(value_HW * palette.gain[channel] >> 10)
        value_HW += signed(white_noise(spec.shape, spec.noise_seed(f"sensor {channel}")), SENSOR_NOISE)
        image_CHW[channel] = np.clip((value_HW >> 4) + palette.haze[channel], 0, 255)
    return image_CHW
