"""An orthophoto's bands as brightness: what its values stand for, not how the file happens to store them."""

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import GeoTiff

Bands = tuple[int, int, int]
Limits = tuple[float, float]


def read_brightness(image: GeoTiff, bands: Bands, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Three bands of a window, and where they have values.

    A colour table gives red, green and blue, which `bands` then counts; scale and offset that the file declares are
    applied.

    Args:
        image: the file, which `require_brightness` lets pass.
        bands: the bands to read, counted from 1.
        window: the part to read.

    Returns:
        bands_CHW in the file's dtype, uint8 from a colour table, float32 after scale and offset; valid_HW, bool: False
        where the file declares no-data, hides a pixel, or holds what is no finite number.

    Raises:
        PipelineError: the file lacks a band, or its pixels cannot be decoded.
    """
    valid_HW = image.valid(window)
    if image.colours is not None:
        values_HW = image.read((1,), window)[0]
        colours_HWC = image.colours[np.minimum(values_HW, len(image.colours) - 1)]
        bands_CHW = colours_HWC[..., [band - 1 for band in bands]].transpose(2, 0, 1)
        return bands_CHW, valid_HW & (colours_HWC[..., 3] > 0) & (values_HW < len(image.colours))
    bands_CHW = image.read(bands, window)
    valid_HW &= np.isfinite(bands_CHW).all(axis=0)
    if image.is_scaled(bands):
        scales_C, offsets_C = (np.array([each[band - 1] for band in bands]) for each in (image.scales, image.offsets))
        with np.errstate(over="ignore", invalid="ignore"):  # of what is not valid
            bands_CHW = (bands_CHW * scales_C[:, None, None] + offsets_C[:, None, None]).astype(np.float32)
    return bands_CHW, valid_HW


def require_brightness(image: GeoTiff, bands: Bands, stretch: Limits | None) -> None:
    """Check that an image's values become 8 bits under a stretch.

    Raises:
        PipelineError: its values need a stretch, or none, or another one; or are stored in a way that is not read.
    """
    _require_known_colours(image, bands, stretch)
    kinds = {image.dtypes[band - 1] for band in bands if band <= image.count}
    if image.colours is None and image.is_scaled(bands):
        _require_units(image, bands, stretch)
    elif stretch and kinds == {"uint8"} and stretch[1] > np.iinfo(np.uint8).max:
        raise PipelineError(
            f"{image.path} holds 8 bits, 0 to 255, and tile.stretch is [{stretch[0]:g}, {stretch[1]:g}], which would "
            "make it dark; set it to none, or keep scenes of other depths in another folder"
        )
    elif stretch is None and image.colours is None and kinds - {"uint8"}:
        raise PipelineError(
            f"{image.path} holds {'/'.join(sorted(kinds))}; set tile.stretch to [low, high], the values that become "
            "black and white, since chips have 8 bits"
        )
    elif stretch is None and image.colours is None and image.bits < 8:
        raise PipelineError(
            f"{image.path} holds {image.bits} bits, 0 to {2**image.bits - 1}, which would be dark; set tile.stretch to "
            f"[0, {2**image.bits - 1}], the values that become black and white"
        )


def _require_known_colours(image: GeoTiff, bands: Bands, stretch: Limits | None) -> None:
    if image.colour_table:
        raise PipelineError(
            f"{image.colour_table} gives {image.path.name} a colour table, which is not read; write its colours into "
            "the GeoTIFF (gdal_translate -expand rgb) or remove that file"
        )
    if image.colours is not None and image.count > 1:
        raise PipelineError(
            f"{image.path} has a colour table and {image.count} bands; write its colours into the GeoTIFF: "
            "gdal_translate -b 1 -expand rgb"
        )
    if image.colours is not None and max(bands) > 3:
        raise PipelineError(
            f"{image.path} has no band {max(bands)}; its colour table gives three, red, green and blue, counted from 1"
        )
    if image.colours is not None and stretch:
        raise PipelineError(
            f"{image.path} has a colour table, and tile.stretch [{stretch[0]:g}, {stretch[1]:g}] would change its "
            "colours; set it to none, or keep scenes of other depths in another folder"
        )
    if image.is_lab:
        raise PipelineError(
            f"{image.path} is stored in CIELAB colours, whose white would turn yellow; write it anew in RGB, by the "
            "program that made it"
        )
    if image.colours is None and image.white_is_zero:
        raise PipelineError(
            f"{image.path} is stored with 0 as white (MINISWHITE), and would look inverted; write it anew with 0 as "
            "black: gdal_translate -scale 0 255 255 0 -co PHOTOMETRIC=MINISBLACK"
        )


def _require_units(image: GeoTiff, bands: Bands, stretch: Limits | None) -> None:
    """Scale and offset are applied first: a stretch in stored values would make the image black or white."""
    units = [(image.scales[band - 1], image.offsets[band - 1]) for band in bands if band <= image.count]
    scale, offset = next(unit for unit in units if unit != (1, 0))
    told = f"{image.path} declares scale {scale:g} and offset {offset:g}, which are applied"
    if stretch is None:
        raise PipelineError(
            f"{told}; set tile.stretch to [low, high], the values after them that become black and white"
        )
    dtype = np.dtype(image.dtypes[0])
    if dtype.kind in "iu":
        ends = [end * scale + offset for scale, offset in units for end in (np.iinfo(dtype).min, np.iinfo(dtype).max)]
        if stretch[1] > max(ends):
            raise PipelineError(
                f"{told}: its values end at {max(ends):g}, and tile.stretch is [{stretch[0]:g}, {stretch[1]:g}], which "
                "would make it dark; give it in the values after scale and offset"
            )
