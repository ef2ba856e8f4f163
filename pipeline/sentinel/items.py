"""The files of one Sentinel-2 item and of its label, as arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, Imagery
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.datasets import LAYOUTS, BandsSection, DatasetName
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.labels import Labels, read_labels, require_codes
from pipeline.raster.layout import SourceItem, asset, has_any
from pipeline.sentinel.clouds import GHANA, SCL, PixelKind, from_codes, from_probability, without_data

Clouds = Literal["scl", "cld", "mask", "none"]
CLOUD_ASSETS: dict[Clouds, tuple[str, ...]] = {
    "scl": ("SCL",),
    "cld": ("SCL", "CLD"),
    "mask": ("cloudmask",),
    "none": (),
}
"""The assets that each way of telling clouds reads."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read the items of a dataset."""

    dataset: DatasetName
    bands: BandsSection
    clouds: Clouds
    """By sen2cor's scene classification, by its cloud probability, by Ghana's own mask, or not at all."""
    cld_threshold: int
    """Minimum cloud probability in percent, for `cld`."""

    @property
    def band_assets(self) -> tuple[str, ...]:
        """The assets that hold red, green, blue."""
        return ("source",) if self.dataset == "ghana" else self.bands.landcovernet

    @property
    def cloud_assets(self) -> tuple[str, ...]:
        """The assets that show what hides the ground."""
        return CLOUD_ASSETS[self.clouds]

    def without_masks(self, *keys: str) -> str:
        """What to do where there are no cloud masks; empty where the dataset always has them."""
        if self.clouds != "mask":
            return ""
        return f"; without cloud masks set {' and '.join(keys)} to none, which takes every date as clear"

    def has_bands(self, item: SourceItem) -> bool:
        """Whether an item has any band; a network source fetches none for a cloudy date."""
        return has_any(self.dataset, item.folder, self.band_assets)


def read_bands(item: SourceItem, options: ReadOptions, imagery: Imagery | None = None) -> np.ndarray:
    """Red, green, blue in the archive's dtype, (3, height, width); 0 where the file declares no-data.

    Args:
        item: the chip and date.
        options: how to read it.
        imagery: the scale and offset that are to be applied; None if only zeros are looked for.

    Raises:
        PipelineError: a file or a band is missing, cannot be read, or declares another scale or offset.
    """
    seen = partial(_seen, imagery=imagery)
    if options.dataset == "ghana":
        with open_geotiff(asset("ghana", item.folder, "source")) as source:
            return seen(source, options.bands.ghana)
    names = options.bands.landcovernet
    return _stack([asset(options.dataset, item.folder, name) for name in names], seen)


def read_clouds(item: SourceItem, options: ReadOptions, bands_CHW: np.ndarray | None = None) -> np.ndarray:
    """What each pixel shows: codes of `pipeline.sentinel.clouds.PixelKind`, uint8 (height, width).

    Args:
        item: the chip and date.
        options: how to read it.
        bands_CHW: the bands, whose zeros are no-data; None for a date whose bands were not fetched, which only
            its cloud masks can judge.

    Raises:
        PipelineError: a file is missing, cannot be read, or has another size than the bands.
    """
    if options.clouds == "none":
        assert bands_CHW is not None, "neither masks nor bands say what a pixel shows"
        return without_data(np.full(bands_CHW.shape[1:], np.uint8(PixelKind.CLEAR)), bands_CHW)
    advice = options.without_masks(f"cloud_filter.{options.dataset}.clouds")
    files = [asset(options.dataset, item.folder, key, advice) for key in options.cloud_assets]
    codes_CHW = _stack(files, _codes)
    if bands_CHW is not None and codes_CHW.shape[1:] != bands_CHW.shape[1:]:
        raise PipelineError(f"{files[0]} and the bands in {item.folder} differ in size; download the item again")
    if options.clouds == "cld":
        clouds_HW = from_probability(codes_CHW[1], codes_CHW[0], options.cld_threshold)
    else:
        clouds_HW = from_codes(codes_CHW[0], SCL if options.clouds == "scl" else GHANA)
    return clouds_HW if bands_CHW is None else without_data(clouds_HW, bands_CHW)


def read_label(label: Path, item: SourceItem, options: ReadOptions, table: ClassTable, min_consensus: int) -> Labels:
    """The mask of an item.

    Args:
        label: the folder of the label's item.
        item: the source item, on whose grid the label must lie.
        options: the dataset.
        table: the classes.
        min_consensus: pixels whose labellers agreed less, in percent, are ignored; for labels with a second band.

    Raises:
        PipelineError: the label does not lie on the item's grid, or holds what it should not.
    """
    path = asset(options.dataset, label, "labels")
    with open_geotiff(path) as mask, open_geotiff(grid_file(item, options)) as image:
        require_same_grid(image, mask)
        labels = read_labels(mask, table)
        if min_consensus:
            agreed_1HW = mask.read((2,))
            labels.mask_HW[~((agreed_1HW >= min_consensus) & mask.holds(agreed_1HW, (2,)))[0]] = IGNORE
    return labels


def describe(item: SourceItem, options: ReadOptions) -> Chip:
    """The row of `chips.csv` that the item's chip begins with."""
    with open_geotiff(grid_file(item, options)) as image:
        place = image.georeference.place()
        place |= {"date": item.date.isoformat(), "unit": LAYOUTS[options.dataset].unit(item.chip)}
        return Chip(item.id, item.chip, 0, 0, image.height, image.width, **place)


def grid_file(item: SourceItem, options: ReadOptions) -> Path:
    """The file whose grid is the item's."""
    return asset(options.dataset, item.folder, options.band_assets[0])


def _seen(file: GeoTiff, bands: tuple[int, ...], imagery: Imagery | None) -> np.ndarray:
    """Bands with 0, which is Sentinel-2's own word for it, where the file declares no-data in another way."""
    bands_CHW = file.read(bands)
    if imagery:
        _require_units(file, bands, imagery)
    return np.where(file.shown() & file.holds(bands_CHW, bands), bands_CHW, 0)


def _require_units(file: GeoTiff, bands: tuple[int, ...], imagery: Imagery) -> None:
    """What the file says of its values and what params say of them must not both be applied, nor one be overlooked."""
    wanted = imagery.scale, imagery.offset
    for band in bands:
        declared = file.scales[band - 1], file.offsets[band - 1]
        if declared not in ((1, 0), wanted):
            raise PipelineError(
                f"{file.path} declares scale {declared[0]:g} and offset {declared[1]:g}, and tif_to_png has "
                f"{wanted[0]:g} and {wanted[1]:g}; set scale and offset there to the file's, or remove the file's: "
                "gdal_edit.py -unsetscale -unsetoffset"
            )


def _codes(file: GeoTiff, bands: tuple[int, ...]) -> np.ndarray:
    """Codes, NaN where a mask hides them.

    A declared value is a code like others, which the tables know or do not: a tool that writes 0 = clear as no-data
    must not hide every clear pixel.
    """
    require_codes(file)
    codes_CHW, shown_HW = file.read(bands), file.shown()
    return codes_CHW if shown_HW.all() else np.where(shown_HW, codes_CHW, np.nan)


def _stack(paths: list[Path], read: Callable[[GeoTiff, tuple[int, ...]], np.ndarray]) -> np.ndarray:
    """The first band of each file, (files, height, width)."""
    bands_HW = [_first_band(path, read) for path in paths]
    for path, band_HW in zip(paths, bands_HW, strict=True):
        if band_HW.shape != bands_HW[0].shape:
            raise PipelineError(
                f"{paths[0]} and {path} differ in size: {bands_HW[0].shape[::-1]} and {band_HW.shape[::-1]} px; "
                "all bands of an item lie on one grid"
            )
    return np.stack(bands_HW)


def _first_band(path: Path, read: Callable[[GeoTiff, tuple[int, ...]], np.ndarray]) -> np.ndarray:
    with open_geotiff(path) as file:
        band_HW: np.ndarray = read(file, (1,))[0]
    return band_HW
