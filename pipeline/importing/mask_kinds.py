"""Decide whether a mask is read as values or as colours."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.importing.colour_space import UNKNOWN
from pipeline.importing.colours import ColourReader
from pipeline.importing.rules import LabelRules
from pipeline.importing.tiff_writer import TILE, require_small_rows
from pipeline.raster.geotiff import GeoTiff
from pipeline.raster.pictures import Picture


@dataclass(frozen=True)
class RasterMask:
    """An open mask."""

    file: GeoTiff
    rules: LabelRules
    picture: Picture | None = None
    """None for a GeoTIFF."""

    @property
    def is_jpeg(self) -> bool:
        """Whether compression has changed its values."""
        return self.file.is_jpeg or (self.picture is not None and self.picture.jpeg is not None)

    @property
    def is_painted(self) -> bool:
        """Whether the file has red, green and blue, with or without alpha."""
        return self.file.count == 3 or (self.file.count == 4 and self.file.alpha_band == 4)

    def read(self, window: Window) -> np.ndarray:
        """Read all bands as stored, (bands, height, width)."""
        return self.file.read(window=window) if self.picture is None else self.picture.read(window)

    def rows(self, margin: int = 0) -> Iterator[tuple[Window, slice]]:
        """Yield windows of full width from top to bottom, with rows above and below, and the slice without these."""
        require_small_rows(self.file)
        height, width = self.file.height, self.file.width
        for start in range(0, height, TILE):
            stop, above = min(start + TILE, height), min(start, margin)
            below = min(height - stop, margin)
            window = Window(0, start - above, width, stop + below - start + above)
            yield window, slice(above, above + stop - start)


def is_in_colours(mask: RasterMask) -> bool:
    """Decide how a mask is read.

    Raises:
        PipelineError: it has other bands than a mask has, or fits both ways with different classes.
    """
    file, masks = mask.file, mask.rules.masks
    if mask.is_painted:
        return masks != "values"
    require_bands(mask)
    if file.colour_table is None or file.count > 1:
        if masks == "colours":
            raise PipelineError(
                f"{file.path} has no colours, but classes.yaml contains masks: colours; write masks: auto, or paint it"
            )
        return False
    return masks == "colours" or (masks == "auto" and _palette_is_colours(mask, file.colour_table))


def require_bands(mask: RasterMask) -> None:
    """Check the number of bands.

    Raises:
        PipelineError: it has other bands than a mask has.
    """
    file = mask.file
    if mask.is_painted or file.count == 1 or (file.count == 2 and file.alpha_band == 2):
        return
    raise PipelineError(
        f"{file.path} has {file.count} bands; a mask has one of values, or red, green and blue, and may have alpha: "
        "select them with gdal_translate -b"
    )


def _palette_is_colours(mask: RasterMask, colour_table_V4: np.ndarray) -> bool:
    """Return whether the colours of a palette count: those in use are of classes, and their indices are not all known.

    Raises:
        PipelineError: indices and colours are both of classes, but of different ones.
    """
    rules, known = mask.rules, {*mask.rules.ids, *mask.rules.remap}
    used = [index for index in _used_indices(mask) if index in known or not _is_declared_empty(mask.file, index)]
    if not used or max(used) >= len(colour_table_V4):
        return False
    try:
        position_U = ColourReader(mask.file.path, rules).positions(colour_table_V4[used, :3])
    except PipelineError:  # two classes have one colour
        return False
    if (position_U == UNKNOWN).any():
        return False
    if not known.issuperset(used):
        return True
    for index, position in zip(used, position_U, strict=True):
        target = rules.remap.get(index, index)
        if target != rules.ids[position]:
            value_name = target if target == "ignore" else rules.name_of[target]
            raise PipelineError(
                f"{mask.file.path} has a palette that can be read in two ways: value {index} is {value_name!r} in "
                f"classes.yaml, and its colour {colour_table_V4[index, :3].tolist()} is {rules.names[position]!r}; "
                "write masks: values, or masks: colours, in classes.yaml"
            )
    return False


def _used_indices(mask: RasterMask) -> list[int]:
    used: set[int] = set()
    for window, _ in mask.rows():
        values_N = mask.file.read((1,), window)[0][mask.file.internal_mask(window)]
        used.update(np.flatnonzero(np.bincount(values_N)).tolist())
    return sorted(used)


def _is_declared_empty(file: GeoTiff, index: int) -> bool:
    """Return whether an index is the declared no-data, or of a transparent colour."""
    table = file.colour_table
    return index == file.nodata[0] or (table is not None and index < len(table) and table[index, 3] == 0)
