"""The three datasets: classes and colours, licences, names of STAC items and bands.

From the datasets' documentation and STAC items; colours from tables I to III of the study "Semantic Segmentation of
Satellite Imagery".
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

from pipeline.core.params import BandNumbers, Params, require_three_bands
from pipeline.formats.classes import ClassTable, Colour, LandCoverClass

DatasetName = Literal["landcoverai", "landcovernet", "ghana"]
DATASETS: tuple[DatasetName, ...] = get_args(DatasetName)


def _table(*classes: tuple[int, str, Colour], unlabelled: int | None = None) -> ClassTable:
    return ClassTable(
        classes=tuple(LandCoverClass(id=number, name=name, colour=colour) for number, name, colour in classes),
        remap={} if unlabelled is None else {unlabelled: "ignore"},
    )


CLASSES: dict[DatasetName, ClassTable] = {
    "landcoverai": _table(
        (0, "background", (0, 0, 0)),
        (1, "building", (80, 0, 165)),
        (2, "woodland", (255, 204, 0)),
        (3, "water", (0, 244, 244)),
        (4, "road", (105, 105, 105)),
    ),
    "landcovernet": _table(
        (1, "water", (0, 0, 255)),
        (2, "artificial bare ground", (136, 136, 136)),
        (3, "natural bare ground", (209, 164, 109)),
        (4, "snow/ice", (245, 245, 255)),
        (5, "woody", (214, 76, 43)),
        (6, "cultivated", (24, 104, 24)),
        (7, "(semi)natural", (0, 255, 0)),
        unlabelled=0,
    ),
    "ghana": _table(
        (1, "ground nut", (80, 0, 165)),
        (2, "maize", (255, 204, 0)),
        (3, "rice", (0, 244, 244)),
        (4, "soya bean", (105, 105, 105)),
        (5, "yam", (255, 255, 102)),
        (6, "intercrop", (255, 153, 153)),
        (7, "sorghum", (127, 222, 209)),
        (8, "okra", (222, 127, 219)),
        (9, "cassava", (108, 67, 107)),
        (10, "millet", (152, 134, 94)),
        (11, "tomato", (99, 228, 150)),
        (12, "cowpea", (99, 176, 228)),
        (13, "sweet potato", (255, 186, 186)),
        (14, "babala beans", (204, 0, 102)),
        (15, "salad vegetables", (102, 51, 0)),
        (16, "bra and ayoyo", (204, 204, 255)),
        (17, "watermelon", (0, 102, 204)),
        (18, "zabla", (255, 0, 255)),
        (19, "nili", (102, 0, 204)),
        (20, "kpalika", (141, 51, 117)),
        (21, "cotton", (145, 187, 192)),
        (22, "akata", (155, 123, 219)),
        (23, "nyenabe", (193, 0, 76)),
        (24, "pepper", (204, 255, 153)),
        unlabelled=0,
    ),
}


LICENCES: dict[DatasetName, str] = {
    "landcoverai": "CC BY-NC-SA 4.0",
    "landcovernet": "CC BY 4.0",
    "ghana": "CC BY-SA 4.0",
}
"""Licences of the archives."""


def licence(dataset: DatasetName, source: str) -> str:
    """Return the licence of a dataset's images; that of local files is unknown."""
    if source == "sample":
        return "MIT, with this project: made from a seed"
    if source != "local":
        return LICENCES[dataset]
    return "as their owner says" + (f"; a copy of the archive: {LICENCES[dataset]}" if dataset in LAYOUTS else "")


@dataclass(frozen=True)
class Layout:
    """Item and file names in an archive of STAC collections.

    An item is a folder `COLLECTION/ITEM/` with one file per asset. Source items end in `_CHIP_DATE`, label items in
    `_CHIP`.
    """

    source_item: re.Pattern[str]
    """Name of a source item; groups `chip`, `date`."""
    label_item: re.Pattern[str]
    """Name of a label item; group `chip`."""
    assets: dict[str, str]
    """Asset key to the descriptive file name used in some copies of the archive, without extension."""
    tiled: bool
    """Whether chips are cut from Sentinel tiles; chip names then start with the tile's."""

    def unit(self, chip: str) -> str:
        """Return the Sentinel tile that a chip was cut from, or the chip itself."""
        return chip.partition("_")[0] if self.tiled else chip


LAYOUTS: dict[DatasetName, Layout] = {
    "landcovernet": Layout(
        source_item=re.compile(r"ref_landcovernet_\w+_source_sentinel_2_(?P<chip>\d\d[A-Z]{3}_\d+)_(?P<date>\d{8})"),
        label_item=re.compile(r"ref_landcovernet_\w+_labels_(?P<chip>\d\d[A-Z]{3}_\d+)"),
        assets={
            "B01": "Coastal Aerosol",
            "B02": "blue",
            "B03": "green",
            "B04": "red",
            "B05": "Vegetation Red Edge",
            "B06": "Vegetation Red Edge B06",
            "B07": "Vegetation Red Edge B07",
            "B08": "NIR",
            "B8A": "Narrow NIR",
            "B09": "Water Vapour",
            "B11": "SWIR",
            "B12": "SWIR B12",
            "CLD": "Cloud Mask",
            "SCL": "Scene Classification Layer",
            "labels": "labels",
        },
        tiled=True,
    ),
    "ghana": Layout(
        source_item=re.compile(r"su_african_crops_ghana_source_s2_(?P<chip>\d+)_(?P<date>\d{4}_\d\d_\d\d)"),
        label_item=re.compile(r"su_african_crops_ghana_labels_(?P<chip>\d+)"),
        assets={"source": "source", "cloudmask": "cloudmask", "labels": "labels"},
        tiled=False,
    ),
}

Band = Literal["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
"""Sentinel-2 bands, named as in ESA's products."""


class BandsSection(Params):
    """Section `bands` of params.yaml: three or more bands of each dataset; the first are used as red, green, blue."""

    landcovernet: Annotated[tuple[Band, ...], AfterValidator(require_three_bands)]
    ghana: BandNumbers
    """Band indices in `source.tif`, from 1."""
