"""Import masks of values or colours, from GeoTIFF and PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rasterio.dtypes import in_dtype_range
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.importing.colour_space import UNKNOWN
from pipeline.importing.colours import REACH, ColourReader
from pipeline.importing.mask_kinds import RasterMask, is_in_colours
from pipeline.importing.pictures import open_raster, require_colours
from pipeline.importing.rules import LabelRules
from pipeline.importing.tiff_writer import mask_writer, tiff_writer
from pipeline.raster.geotiff import GeoTiff, is_nodata
from pipeline.raster.labels import require_unscaled


def import_mask(source: Path, target: Path, rules: LabelRules) -> bool:
    """Convert a mask to a GeoTIFF of raw label values; leave a GeoTIFF of values as it is.

    Values are copied, whatever they are: `tile` maps and checks them. Colours become the raw values of the classes
    that have them. *Ignore* are pixels that are transparent, hidden by the internal mask or declared no-data.

    Args:
        source: a GeoTIFF or PNG mask, with its sidecars; a JPEG in colours if `rules.colours.tolerance` is not 0.
        target: the GeoTIFF; parent folders are created.
        rules: classes, remap, and how masks are read.

    Returns:
        Whether `target` was written; False for a GeoTIFF with one band of values, to be copied with its sidecars.

    Raises:
        PipelineError: the mask is unreadable or unsupported, contains a colour of no class, or could be read in two
            ways.
        OSError: the disk is full.
    """
    with open_mask(source, rules) as mask:
        if is_in_colours(mask):
            require_exact(mask)
            _import_colours(mask, target)
        elif mask.file.count == 1 and mask.picture is None:
            return False
        else:
            require_exact(mask)
            _import_values(mask, target)
    return True


@contextmanager
def open_mask(source: Path, rules: LabelRules) -> Iterator[RasterMask]:
    """Open a mask as `import_mask` reads it.

    Raises:
        PipelineError: it is unreadable, or not stored upright.
    """
    with open_raster(source) as (file, picture):
        if picture and picture.orientation != 1:
            raise PipelineError(
                f"{source} has EXIF orientation {picture.orientation}; a mask is stored upright: save it without EXIF"
            )
        yield RasterMask(file, rules, picture)


def require_exact(mask: RasterMask) -> None:
    """Refuse JPEG, unless colours need not be exact.

    Raises:
        PipelineError: it is a JPEG.
    """
    if not mask.is_jpeg or (mask.is_painted and mask.rules.masks != "values" and mask.rules.colours.tolerance):
        return
    advice = "save it as PNG from its source"
    if mask.is_painted:
        advice += (
            ", or write in classes.yaml how far colours may be off, such as colours: {tolerance: 30, edges: ignore}"
        )
    raise PipelineError(
        f"{mask.file.path} is JPEG-compressed, which invents values along the edges of classes; {advice}"
    )


def _import_values(mask: RasterMask, target: Path) -> None:
    """Copy values with their no-data; transparent pixels are hidden by the internal mask.

    As with declared no-data, values of a palette that are classes or remapped count although they are transparent.
    """
    file = mask.file
    require_unscaled(file)
    transparent = _transparent_values(mask)
    hides = file.has_internal_mask or bool(file.alpha_band) or bool(transparent)
    nodata = file.nodata[0]
    if nodata is not None and not in_dtype_range(nodata, file.dtypes[0]):
        nodata = None
    profile = {"height": file.height, "width": file.width, "count": 1, "dtype": file.dtypes[0], "nodata": nodata}
    with tiff_writer(target, file.georeference, **profile) as writer:
        for window, _ in mask.rows():
            bands_CHW = mask.read(window)
            _require_equal_bands(mask, bands_CHW)
            writer.write(window.row_off, bands_CHW[:1])
            if hides:
                visible_HW = file.internal_mask(window) & ~np.isin(bands_CHW[0], transparent)
                if file.alpha_band:
                    visible_HW &= _opaque(mask, bands_CHW[file.alpha_band - 1])
                writer.write_mask(window.row_off, visible_HW)


def _transparent_values(mask: RasterMask) -> list[int]:
    """Return the indices of transparent colours that are no known values."""
    table = mask.file.colour_table
    indices = [] if table is None else np.flatnonzero(table[:, 3] == 0).tolist()
    return [index for index in indices if index not in mask.rules.ids and index not in mask.rules.remap]


def _require_equal_bands(mask: RasterMask, bands_CHW: np.ndarray) -> None:
    """Check that red, green and blue are one value, where `masks: values` is set for a file with three bands."""
    if mask.is_painted and not (bands_CHW[:3] == bands_CHW[0]).all():
        raise PipelineError(
            f"{mask.file.path} has {mask.file.count} bands that differ, but classes.yaml contains masks: values; a "
            "mask of values has one band: write masks: colours, or save it with one"
        )


def _opaque(mask: RasterMask, alpha_HW: np.ndarray) -> np.ndarray:
    """Return bool (height, width): False where values are transparent, or partly so along edges to be ignored.

    Raises:
        PipelineError: pixels are partly transparent, and edges are not to be ignored.
    """
    full = np.iinfo(alpha_HW.dtype).max
    partial = int(((alpha_HW > 0) & (alpha_HW < full)).sum())
    if partial and mask.rules.colours.edges == "refuse":
        raise PipelineError(
            f"{mask.file.path} contains pixels that are partly transparent, as along antialiased edges; to ignore "
            "them, write in classes.yaml: colours: {edges: ignore}"
        )
    return np.asarray(alpha_HW == full)


def require_8bit_colours(mask: RasterMask) -> None:
    """Check the type of a painted mask.

    Raises:
        PipelineError: it is not uint8.
    """
    if set(mask.file.dtypes) != {"uint8"}:
        raise PipelineError(
            f"{mask.file.path} has colours of type {mask.file.dtypes[0]}; save the mask with 8 bits per channel"
        )


def _import_colours(mask: RasterMask, target: Path) -> None:
    """Convert colours to raw values, with the rows around each part for what lies near."""
    file, rules = mask.file, mask.rules
    require_8bit_colours(mask)
    if file.is_scaled(tuple(range(1, file.count + 1))):
        raise PipelineError(
            f"{file.path} is painted, but declares a scale or offset; remove it: gdal_edit.py -unsetscale"
        )
    reader = ColourReader(file.path, rules)
    with mask_writer(target, file, rules) as writer:
        for window, inner in mask.rows(REACH):
            colours_CHW, hidden_HW = _read_colours(mask, reader, window)
            writer.write(window.row_off + inner.start, reader.read(colours_CHW, hidden_HW, inner)[None])
        reader.require_known()


def _read_colours(mask: RasterMask, reader: ColourReader, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Read red, green, blue, and alpha if there is one, and where pixels are hidden or no-data.

    Raises:
        PipelineError: a GeoTIFF declares the colour of a class as no-data: either could be meant.
    """
    file = mask.file
    bands_CHW, hidden_HW = mask.read(window), ~file.internal_mask(window)
    empty_HW = np.ones(hidden_HW.shape, bool)
    for band_HW, nodata in zip(bands_CHW[:3], file.nodata, strict=False):
        empty_HW &= is_nodata(band_HW, nodata)
    colours_CHW = bands_CHW if file.colour_table is None else _expand(bands_CHW[0], file.colour_table, file)
    if mask.picture is None and empty_HW.any():
        colour = colours_CHW[:3, empty_HW][:, 0]
        if (position := int(reader.positions(colour))) != UNKNOWN:
            raise PipelineError(
                f"{file.path} declares {file.nodata[0]:g} as no-data, but {colour.tolist()} is the colour of "
                f"{mask.rules.names[position]!r}; remove the declaration (gdal_edit.py -unsetnodata), or paint that "
                "class in another colour"
            )
    return colours_CHW, hidden_HW | empty_HW


def _expand(values_HW: np.ndarray, colour_table_V4: np.ndarray, file: GeoTiff) -> np.ndarray:
    """Return the colours of palette indices, uint8 (4, height, width).

    Raises:
        PipelineError: an index has no colour.
    """
    require_colours(file, values_HW, colour_table_V4)
    return np.ascontiguousarray(np.moveaxis(colour_table_V4[values_HW], -1, 0))
