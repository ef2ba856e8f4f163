"""Convert items to chips, on any machine that shares the raw folder and the cache."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from pipeline.core.params import Params, Stretch
from pipeline.core.stage_cache import CachedTask
from pipeline.formats.chips import Imagery
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import chip_row, write_chip
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.grids import Grid
from pipeline.raster.imagery import to_8bit
from pipeline.raster.layout import SourceItem, asset
from pipeline.raster.sidecars import with_sidecars
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.items import ReadOptions, describe_chip, read_bands, read_clouds, read_label


class Conversion(Params):
    """How to convert values to 8-bit colours, and which pixels of the masks to ignore."""

    scale: float = Field(gt=0)
    offset: float
    """Reflectance is `scale * value + offset`."""
    stretch: Literal["minmax"] | Stretch
    """The reflectances that become black and white; or the extremes of each image, as in the study."""
    ignore_clouds: bool
    """Whether to ignore the hidden pixels of a kept date."""

    def imagery(self, bands: tuple[str, ...]) -> Imagery:
        """Return how to convert the values of these bands to 8 bits."""
        return Imagery(bands, self.scale, self.offset, self.stretch)


class LandcovernetConversion(Conversion):
    """`tif_to_png.landcovernet` of params.yaml."""

    min_consensus: int = Field(ge=0, le=100)
    """Ignore label pixels with less agreement of the annotators, in percent."""


def read_item(item: SourceItem, options: ReadOptions, imagery: Imagery) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Read an item as 8 bits, uint8 (height, width, bands), its clouds, `PixelKind` (height, width), and its grid."""
    bands_CHW, grid = read_bands(item, options, imagery, with_position=True)
    clouds_HW = read_clouds(item, options, bands_CHW)
    return to_8bit(bands_CHW, imagery, clouds_HW != PixelKind.NO_DATA), clouds_HW, grid


@dataclass(frozen=True)
class LabelledItem:
    """A chip and date with the folder of its label."""

    source: SourceItem
    label: Path


@dataclass(frozen=True)
class Converted:
    """The result of one item."""

    row: dict[str, object] | None
    """The chip's row of `chips.csv`; None without a labelled pixel."""
    nodata_classes: dict[str, int]
    """Pixels by class that the label declares as no-data."""


def convert(
    item: LabelledItem, options: ReadOptions, conversion: Conversion, table: ClassTable, folder: Path
) -> Converted:
    """Write the chip of an item to the paths of `flat_path`."""
    consensus = conversion.min_consensus if isinstance(conversion, LandcovernetConversion) else 0
    image_HWC, clouds_HW, grid = read_item(item.source, options, conversion.imagery(options.band_names))
    labels = read_label(item.label, grid, options, table, consensus)
    mask_HW = labels.mask_HW
    mask_HW[clouds_HW >= (PixelKind.SHADOW if conversion.ignore_clouds else PixelKind.NO_DATA)] = IGNORE
    if (mask_HW == IGNORE).all():
        return Converted(None, labels.nodata_classes)
    chip = describe_chip(item.source, options, grid)
    write_chip(partial(flat_path, folder), image_HWC, mask_HW, table)
    return Converted(chip_row(chip, mask_HW, table), labels.nodata_classes)


def flat_path(folder: Path, kind: str) -> Path:
    """Return the path of an item's image, mask or further bands in its folder: a folder for each would take longer."""
    return folder / f"{kind}.png"


@dataclass(frozen=True)
class ConvertTask(CachedTask):
    """Convert an item, or reuse what an earlier run converted."""

    options: ReadOptions
    conversion: Conversion
    table: ClassTable

    def file(self, item: LabelledItem) -> str:
        """Return the item's folder in the raw folder."""
        return str(item.source.folder.relative_to(self.raw))

    def __call__(self, item: LabelledItem) -> tuple[Path, Converted]:
        """Convert an item.

        Returns:
            The folder with the chip, and its row.

        Raises:
            PipelineError: a file is missing, cannot be read, or contains invalid values.
        """

        def build(folder: Path) -> dict[str, Any]:
            with quiet_gdal():  # once for all files
                return asdict(convert(item, self.options, self.conversion, self.table, folder))

        inputs = with_sidecars((*item.source.files, asset(self.options.dataset, item.label, "labels")))
        folder, result = self.cache.get(item.source.id, inputs, build)
        return folder, Converted(**result)
