"""Which bands of a scene the network reads, and whether their values suit the model."""

import re

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS, Imagery
from pipeline.orthophoto.image_bands import (
    Bands,
    Stretch,
    StretchAdvice,
    read_image_bands,
    require_image_bands,
    require_supported_colours,
)
from pipeline.raster.geotiff import GeoTiff
from pipeline.raster.imagery import require_same_scale, to_8bit

RETRAIN = "or set the stretch in params.yaml and train again"
MODEL = StretchAdvice(
    name="the model's stretch",
    too_wide="the model was trained on other values; if 0 to {top} stand for {low:g} to {high:g} here: "
    "gdal_translate -ot Float32 -scale 0 {top} {low:g} {high:g}",
    needed=f"convert the scene as the training images were: gdal_translate -ot Byte -scale LOW HIGH 0 255, {RETRAIN}",
    few_bits="rewrite it: gdal_translate -co NBITS=8 -scale 0 {top} 0 255",
    needed_scaled="convert the scene as the training images were: gdal_translate -unscale -ot Byte -scale LOW HIGH 0 "
    f"255, {RETRAIN}",
    too_wide_scaled="correct them, or remove them if stored values suit it: gdal_edit.py -unsetscale -unsetoffset",
    palette="the model was trained on measured values, not on a picture; give a scene of those",
)
"""Where the stretch is the model's and cannot be changed."""
SAMPLE_SIDE, SAMPLE_COUNT, CENTRE_SIDE = 256, 8, 512
"""Evenly spaced windows in each direction, their side, and that of the central window, in pixels."""


def has_stored_units(imagery: Imagery) -> bool:
    """Return whether training took stored values by scale and offset of its own, as for Sentinel-2."""
    return (imagery.scale, imagery.offset) != (1, 0) or not all(band.isdigit() for band in imagery.bands)


def model_stretch(imagery: Imagery) -> Stretch | None:
    """Return low and high; None if the model takes 8 bits as they are.

    Raises:
        PipelineError: each chip was stretched by its own extremes.
    """
    if isinstance(imagery.stretch, str):
        raise PipelineError(
            f"the model was trained with stretch {imagery.stretch}, between the extremes of each chip, which a whole "
            "scene does not have; set stretch to [low, high] in params.yaml and train again"
        )
    plain = not has_stored_units(imagery) and tuple(imagery.stretch) == Imagery.stretch
    return None if plain else imagery.stretch


def choose_bands(image: GeoTiff, imagery: Imagery) -> Bands:
    """Return the numbers of the model's bands, counted from 1.

    Bands that the model has by name are found by the file's descriptions, else as many bands are taken in order.

    Raises:
        PipelineError: the file lacks a band.
    """
    wanted = f"the model reads {imagery.band_list}"
    names = ["RED.tif", "GREEN.tif", "BLUE.tif", *(f"{band}.tif" for band in imagery.bands[IMAGE_BANDS:])]
    several = f"; with bands in separate files: --bands {' '.join(names)}"
    if all(band.isdigit() for band in imagery.bands):
        numbers = tuple(map(int, imagery.bands))
        count = 3 if image.colour_table is not None else image.count
        if max(numbers) > count:
            have = f"{count} band{'s' if count != 1 else ''}"
            raise PipelineError(f"{image.path} has {have}, and {wanted}, counted from 1{several}")
        return numbers
    described = [_band_key(description or "") for description in image.descriptions]
    keys = [_band_key(band) for band in imagery.bands]
    if all(described.count(key) == 1 for key in keys):
        return tuple(described.index(key) + 1 for key in keys)
    if image.count == len(imagery.bands):
        return tuple(range(1, image.count + 1))
    raise PipelineError(
        f"{image.path} has {image.count} bands without these descriptions, and {wanted}; extract them in this order "
        f"(gdal_translate -b){several}"
    )


def read_bands(image: GeoTiff, bands: Bands, imagery: Imagery, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Read the bands of a window as in training.

    Returns:
        bands_CHW, before scale, offset and stretch of the model; and valid_HW, bool. With scale and offset of the
        model, 0 and the declared no-data value in any band make a pixel invalid, as in `pipeline.sentinel`.
    """
    if not has_stored_units(imagery):
        return read_image_bands(image, bands, window)
    shown_HW = image.internal_mask(window)
    bands_CHW = image.read(bands, window)
    return bands_CHW, shown_HW & (image.has_data(bands_CHW, bands) & (bands_CHW != 0) & np.isfinite(bands_CHW)).all(0)


def require_values(image: GeoTiff, bands: Bands, imagery: Imagery) -> None:
    """Check that the values suit the model, by what the file declares.

    Raises:
        PipelineError: they do not, or are stored in an unsupported way.
    """
    stretch = model_stretch(imagery)
    if not has_stored_units(imagery):
        require_image_bands(image, bands, stretch, MODEL)
        return
    assert stretch is not None
    require_supported_colours(image, bands, stretch, MODEL)
    offset = "pass --offset {offset:g} if only the offset differs, or remove"
    require_same_scale(image, bands, imagery, "the model", offset)
    dtype = np.dtype(image.dtypes[0])
    if dtype.kind in "iu":
        top = min(int(np.iinfo(dtype).max), 2**image.bits - 1)
        if top * imagery.scale + imagery.offset < stretch[1]:
            raise PipelineError(
                f"{image.path} is {dtype}, 0 to {top}, and would be dark: {_expected(imagery, stretch)}"
            )


def require_contrast(image: GeoTiff, bands: Bands, imagery: Imagery) -> None:
    """Check pixels in the centre, and if these fail all over the scene, which may have a cloud in its centre.

    Raises:
        PipelineError: all of them would be black or white.
    """
    stretch = model_stretch(imagery)
    if stretch is None:
        return
    extremes = []
    for window in (centre(image.height, image.width), *sample_windows(image.height, image.width, image.is_one_strip)):
        bands_CHW, valid_HW = read_bands(image, bands, imagery, window)
        valid_HW &= ~image.left_out(window)
        pixels_NC = to_8bit(bands_CHW, imagery, valid_HW)[valid_HW]
        if ((pixels_NC > 0) & (pixels_NC < 255)).any():
            return
        if len(pixels_NC):
            values_CN = bands_CHW[:, valid_HW]
            extremes += [float(values_CN.min()), float(values_CN.max())]
    if extremes:
        raise PipelineError(
            f"{image.path} would be all black or white: its values are {min(extremes):g} to {max(extremes):g}, and "
            f"{_expected(imagery, stretch)}"
        )


def _expected(imagery: Imagery, stretch: Stretch) -> str:
    low, high = ((value - imagery.offset) / imagery.scale for value in stretch)
    units = f" (scale {imagery.scale:g}, offset {imagery.offset:g})" if has_stored_units(imagery) else ""
    return (
        f"the model takes values from {low:g} to {high:g}{units}; bring the scene to these: gdal_translate -ot Float32 "
        f"-scale LOW HIGH {low:g} {high:g}"
    )


def centre(height: int, width: int) -> Window:
    """Return the central window."""
    rows, columns = min(height, CENTRE_SIDE), min(width, CENTRE_SIDE)
    return Window((width - columns) // 2, (height - rows) // 2, columns, rows)


def sample_windows(height: int, width: int, full_width: bool = False) -> list[Window]:
    """Return up to 64 evenly spaced windows of up to 256 x 256 px; a scene of up to 2,048 x 2,048 px is covered.

    Or, for files in which a part of a row costs the whole row, up to 8 windows of up to 256 rows.
    """
    if full_width:
        return [Window(0, row, width, min(SAMPLE_SIDE, height)) for row in _starts(height)]
    return [
        Window(column, row, min(SAMPLE_SIDE, width), min(SAMPLE_SIDE, height))
        for row in _starts(height)
        for column in _starts(width)
    ]


def _starts(side: int) -> list[int]:
    last = max(side - SAMPLE_SIDE, 0)
    count = min(SAMPLE_COUNT, -(-side // SAMPLE_SIDE))
    return [round(index * last / max(count - 1, 1)) for index in range(count)]


def _band_key(name: str) -> str:
    """Return the first word in lower case, a Sentinel-2 band without its leading zero: `B4 (665 nm)` is B04."""
    word = (re.findall(r"\w+", name.lower()) or [""])[0]
    return re.sub(r"^b0(\d)$", r"b\1", word)
