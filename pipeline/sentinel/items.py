"""Read the bands, clouds and label of a Sentinel-2 item as arrays."""

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
from pipeline.raster.grids import Grid, grid_of, require_same_grid
from pipeline.raster.imagery import require_same_scale
from pipeline.raster.labels import Labels, read_labels, require_unscaled
from pipeline.raster.layout import SourceItem, asset, has_any_asset
from pipeline.sentinel.clouds import GHANA, SCL, PixelKind, from_codes, from_probability, mark_no_data

Clouds = Literal["scl", "cld", "mask", "none"]
CLOUD_ASSETS: dict[Clouds, tuple[str, ...]] = {
    "scl": ("SCL",),
    "cld": ("SCL", "CLD"),
    "mask": ("cloudmask",),
    "none": (),
}
"""The assets that each way to find clouds reads."""


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
        """The assets of the bands, each once."""
        return ("source",) if self.dataset == "ghana" else tuple(dict.fromkeys(self.bands.landcovernet))

    @property
    def band_names(self) -> tuple[str, ...]:
        """The bands as red, green, blue, and any others: names, or indices from 1."""
        return tuple(map(str, getattr(self.bands, self.dataset)))

    @property
    def cloud_assets(self) -> tuple[str, ...]:
        """The assets of the clouds."""
        return CLOUD_ASSETS[self.clouds]

    def missing_masks_advice(self, *keys: str) -> str:
        """Advise on an archive without cloud masks; empty where the dataset always has them."""
        if self.clouds != "mask":
            return ""
        return f"; without cloud masks set {' and '.join(keys)} to none, which takes every date as clear"

    def has_bands(self, item: SourceItem) -> bool:
        """Return whether an item has any band; a network source fetches none for a cloudy date."""
        return has_any_asset(self.dataset, item.folder, self.band_assets)


def read_bands(
    item: SourceItem, options: ReadOptions, imagery: Imagery | None = None, with_position: bool = False
) -> tuple[np.ndarray, Grid]:
    """Read the bands in the archive's dtype, (bands, height, width), and their grid; 0 where a file declares no-data.

    Args:
        item: the chip and date.
        options: how to read it.
        imagery: the scale and offset that the caller will apply; None to skip their check.
        with_position: whether the grid has a position, which takes longer.

    Raises:
        PipelineError: a file or a band is missing, cannot be read, or declares another scale or offset.
    """
    read = partial(_read_zero_filled, imagery=imagery)
    if options.dataset == "ghana":
        return _read([asset("ghana", item.folder, "source")], read, options.bands.ghana, with_position)
    files = [asset(options.dataset, item.folder, name) for name in options.bands.landcovernet]
    return _read(files, read, (1,), with_position)


def read_clouds(item: SourceItem, options: ReadOptions, bands_CHW: np.ndarray | None = None) -> np.ndarray:
    """Classify each pixel as a `pipeline.sentinel.clouds.PixelKind`, uint8 (height, width).

    Args:
        item: the chip and date.
        options: how to read it.
        bands_CHW: the bands, whose zeros are no-data; None for a date whose bands were not fetched.

    Raises:
        PipelineError: a file is missing, cannot be read, or has another size than the bands.
    """
    if options.clouds == "none":
        assert bands_CHW is not None, "neither cloud masks nor bands"
        return mark_no_data(np.full(bands_CHW.shape[1:], np.uint8(PixelKind.CLEAR)), bands_CHW)
    advice = options.missing_masks_advice(f"cloud_filter.{options.dataset}.clouds")
    files = [asset(options.dataset, item.folder, key, advice) for key in options.cloud_assets]
    codes_CHW, _ = _read(files, _read_codes, (1,), with_position=False)
    if bands_CHW is not None and codes_CHW.shape[1:] != bands_CHW.shape[1:]:
        raise PipelineError(f"{files[0]} and the bands in {item.folder} differ in size; download the item again")
    if options.clouds == "cld":
        clouds_HW = from_probability(codes_CHW[1], codes_CHW[0], options.cld_threshold)
    else:
        clouds_HW = from_codes(codes_CHW[0], SCL if options.clouds == "scl" else GHANA)
    return clouds_HW if bands_CHW is None else mark_no_data(clouds_HW, bands_CHW)


def read_label(label: Path, grid: Grid, options: ReadOptions, table: ClassTable, min_consensus: int) -> Labels:
    """Read the mask of an item.

    Args:
        label: the folder of the label item.
        grid: of the item's bands, which the label must share.
        options: the dataset.
        table: the classes.
        min_consensus: ignore pixels with less agreement of the annotators, in percent of band 2; 0: read no band 2.

    Raises:
        PipelineError: the label is on another grid, or contains values that are not classes.
    """
    path = asset(options.dataset, label, "labels")
    with open_geotiff(path) as mask:
        require_same_grid(grid, mask)
        labels = read_labels(mask, table)
        if min_consensus:
            agreed_1HW = mask.read((2,))
            labels.mask_HW[~((agreed_1HW >= min_consensus) & mask.has_data(agreed_1HW, (2,)))[0]] = IGNORE
    return labels


def describe_chip(item: SourceItem, options: ReadOptions, grid: Grid) -> Chip:
    """Return the place, date and size of the item's chip, for its row of `chips.csv`."""
    place = grid.georeference.locate()
    place |= {"date": item.date.isoformat(), "unit": LAYOUTS[options.dataset].unit(item.chip)}
    return Chip(item.id, item.chip, 0, 0, grid.height, grid.width, **place)


def _read_zero_filled(file: GeoTiff, bands: tuple[int, ...], imagery: Imagery | None) -> np.ndarray:
    """Read bands; 0, the no-data value of Sentinel-2, where the file declares no-data in another way."""
    bands_CHW = file.read(bands)
    if imagery:
        require_same_scale(file, bands, imagery, "tif_to_png", "set scale and offset there to the file's, or remove")
    return np.where(file.internal_mask() & file.has_data(bands_CHW, bands), bands_CHW, 0)


def _read_codes(file: GeoTiff, bands: tuple[int, ...]) -> np.ndarray:
    """Read codes, NaN where a mask hides them.

    The declared no-data value counts as a code: some tools declare 0, which means clear.
    """
    require_unscaled(file)
    codes_CHW, shown_HW = file.read(bands), file.internal_mask()
    return codes_CHW if shown_HW.all() else np.where(shown_HW, codes_CHW, np.nan)


def _read(
    paths: list[Path],
    read: Callable[[GeoTiff, tuple[int, ...]], np.ndarray],
    bands: tuple[int, ...],
    with_position: bool,
) -> tuple[np.ndarray, Grid]:
    """Read bands of each file, (files * bands, height, width), and the grid of the first file."""
    stack, grids = [], []
    for path in paths:
        with open_geotiff(path, with_position=with_position and path == paths[0]) as file:
            stack.append(read(file, bands))
            grids.append(grid_of(file))
        sizes = stack[0].shape[:0:-1], stack[-1].shape[:0:-1]
        if sizes[0] != sizes[1]:
            raise PipelineError(
                f"{paths[0]} and {path} differ in size: {sizes[0]} and {sizes[1]} px; all bands of an item must share "
                "one grid"
            )
    return np.concatenate(stack), grids[0]
