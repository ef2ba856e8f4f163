"""Read an orthophoto's bands as physical values, however the file stores them."""

from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import GeoTiff

Bands = tuple[int, ...]
"""Three or more numbers, counted from 1: of red, green, blue, and any others."""
Stretch = tuple[float, float]


@dataclass(frozen=True)
class StretchAdvice:
    """How messages name the stretch, and what they advise; the places in braces are filled in."""

    name: str = "tile.stretch"
    too_wide: str = "set it to none, or keep scenes of other bit depths in another folder"
    """The stretch is for values that the image cannot have: {low}, {high}, {top}."""
    needed: str = "set tile.stretch to [low, high], the values that become black and white"
    """The image has more than 8 bits, and there is no stretch."""
    few_bits: str = "set tile.stretch to [0, {top}], the values that become black and white"
    needed_scaled: str = "set tile.stretch to [low, high], the scaled values that become black and white"
    too_wide_scaled: str = "give it in scaled values"
    palette: str = "set it to none, or keep scenes of other bit depths in another folder"
    """The image has a colour table, and there is a stretch."""


TILE = StretchAdvice()
"""Where the stretch is a parameter."""


def read_image_bands(image: GeoTiff, bands: Bands, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Read bands of a window, with colour table or scale and offset applied.

    Args:
        image: a file that passes `require_image_bands`.
        bands: numbers counted from 1; in a colour table 1, 2, 3 are red, green, blue.
        window: the part to read.

    Returns:
        bands_CHW in the file's dtype, uint8 from a colour table, float32 after scale and offset; and valid_HW, bool:
        False where a pixel is declared no-data, hidden, or not finite.

    Raises:
        PipelineError: the file lacks a band, or its pixels cannot be decoded.
    """
    valid_HW = image.valid_mask(window)
    if image.colour_table is not None:
        values_HW = image.read((1,), window)[0]
        colours_HWC = image.colour_table[np.minimum(values_HW, len(image.colour_table) - 1)]
        bands_CHW = colours_HWC[..., [band - 1 for band in bands]].transpose(2, 0, 1)
        return bands_CHW, valid_HW & (colours_HWC[..., 3] > 0) & (values_HW < len(image.colour_table))
    bands_CHW = image.read(bands, window)
    valid_HW &= np.isfinite(bands_CHW).all(axis=0)
    if image.is_scaled(bands):
        scales_C, offsets_C = (
            np.array([values[band - 1] for band in bands]) for values in (image.scales, image.offsets)
        )
        with np.errstate(over="ignore", invalid="ignore"):  # from invalid pixels
            bands_CHW = (bands_CHW * scales_C[:, None, None] + offsets_C[:, None, None]).astype(np.float32)
    return bands_CHW, valid_HW


def require_image_bands(image: GeoTiff, bands: Bands, stretch: Stretch | None, advice: StretchAdvice = TILE) -> None:
    """Check that a stretch suits an image's values.

    Raises:
        PipelineError: the values need a stretch, none, or another one; or are stored in an unsupported way.
    """
    require_supported_colours(image, bands, stretch, advice)
    if image.colour_table is not None:
        return
    dtypes = {image.dtypes[band - 1] for band in bands if band <= image.count}
    if image.is_scaled(bands):
        _require_scaled_stretch(image, bands, stretch, advice)
    elif stretch and dtypes == {"uint8"} and stretch[1] > np.iinfo(np.uint8).max:
        raise PipelineError(
            f"{image.path} has 8 bits, 0 to 255, and would be dark with {advice.name} {_text(stretch)}; "
            + advice.too_wide.format(low=stretch[0], high=stretch[1], top=255)
        )
    elif stretch is None and dtypes - {"uint8"}:
        raise PipelineError(f"{image.path} is {'/'.join(sorted(dtypes))}, but chips have 8 bits; {advice.needed}")
    elif stretch is None and image.bits < 8:
        top = 2**image.bits - 1
        raise PipelineError(
            f"{image.path} has {image.bits} bits, 0 to {top}, and would be dark; {advice.few_bits.format(top=top)}"
        )


def require_supported_colours(image: GeoTiff, bands: Bands, stretch: Stretch | None, advice: StretchAdvice) -> None:
    """Check that an image's colours are stored in a supported way.

    Raises:
        PipelineError: they are not, or a colour table would be stretched.
    """
    if image.sidecar_colour_table:
        raise PipelineError(
            f"{image.sidecar_colour_table} has a colour table for {image.path.name}, which is not supported; write its "
            "colours into the GeoTIFF (gdal_translate -expand rgb) or remove that file"
        )
    if image.is_lab:
        raise PipelineError(
            f"{image.path} is stored in CIELAB colours, which GDAL reads with yellow for white; convert it to RGB with "
            "the program that made it"
        )
    if image.colour_table is None:
        if image.white_is_zero:
            raise PipelineError(
                f"{image.path} is stored with 0 as white (MINISWHITE) and would be inverted; rewrite it with 0 as "
                "black: gdal_translate -scale 0 255 255 0 -co PHOTOMETRIC=MINISBLACK"
            )
    elif image.count > 1:
        raise PipelineError(
            f"{image.path} has a colour table and {image.count} bands; write its colours into the GeoTIFF: "
            "gdal_translate -b 1 -expand rgb"
        )
    elif max(bands) > 3:
        raise PipelineError(
            f"{image.path} has no band {max(bands)}; its colour table has three, red, green and blue, counted from 1"
        )
    elif stretch:
        raise PipelineError(
            f"{image.path} has a colour table, whose colours {advice.name} {_text(stretch)} would change; "
            f"{advice.palette}"
        )


def _require_scaled_stretch(image: GeoTiff, bands: Bands, stretch: Stretch | None, advice: StretchAdvice) -> None:
    """Scale and offset apply first: a stretch in stored values would make the image black or white."""
    units = [(image.scales[band - 1], image.offsets[band - 1]) for band in bands if band <= image.count]
    scale, offset = next(unit for unit in units if unit != (1, 0))
    declared = f"{image.path} declares scale {scale:g} and offset {offset:g}, which are applied"
    if stretch is None:
        raise PipelineError(f"{declared}; {advice.needed_scaled}")
    dtype = np.dtype(image.dtypes[0])
    if dtype.kind in "iu":
        range_ = np.iinfo(dtype)
        highest = max(value * scale + offset for scale, offset in units for value in (range_.min, range_.max))
        if stretch[1] > highest:
            raise PipelineError(
                f"{declared}: scaled values end at {highest:g}, and the image would be dark with {advice.name} "
                f"{_text(stretch)}; {advice.too_wide_scaled}"
            )


def _text(stretch: Stretch) -> str:
    return f"[{stretch[0]:g}, {stretch[1]:g}]"
