"""The chips folder, the common format of all datasets: images, masks and four tables.

    images/ID.png       8-bit RGB: the first three bands
    more_bands/ID.png   8-bit grey: the further bands, stacked from top to bottom; only if there are more than three
    masks/ID.png        8-bit palette: the pixel is the class id, 255 is *ignore*
    classes.json        ids, names, colours
    imagery.json        the bands, and how the archive's values were converted to 8 bits
    origin.json         the source, and the number of windows dropped for each reason
    chips.csv           one row a chip

`pipeline.formats.png` reads and writes the PNG files.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import PipelineError
from pipeline.core.files import link, read_json, write_json, write_text
from pipeline.formats.classes import ClassTable

if TYPE_CHECKING:
    import pandas as pd

UNIT, OFFICIAL, IGNORED = "unit", "official", "pixels_ignored"
IMAGE_BANDS = 3
"""Bands in `images/`; further ones are in `more_bands/`."""
MORE_BANDS = "more_bands"
COLUMNS = ("id", "scene", UNIT, "row", "column", "height", "width", "x", "y", "crs", "pixel_size", "date", OFFICIAL)


@dataclass(frozen=True)
class Chip:
    """A row of `chips.csv`, without the pixel counts."""

    id: str
    scene: str
    """An orthophoto, or the location shared by all dates of a Sentinel chip."""
    row: int
    """Top edge within the scene, in pixels."""
    column: int
    """Left edge within the scene, in pixels."""
    height: int
    width: int
    x: float | None = None
    """Left edge, in units of the CRS; None without a georeference."""
    y: float | None = None
    """Top edge, in units of the CRS."""
    crs: str | None = None
    """`EPSG:NNNN`, or WKT if the CRS has no code."""
    pixel_size: float | None = None
    """Side of a pixel, in units of the CRS; None also where pixels are rotated or not square."""
    date: str | None = None
    """Acquisition date, YYYY-MM-DD; None if unknown."""
    unit: str | None = None
    """An orthophoto or a Sentinel tile: units are independent unless they overlap; None: the scene."""
    official: str | None = None
    """Its part in the archive's own lists: train, val or test."""


@dataclass(frozen=True)
class Imagery:
    """Conversion of an archive's values to 8 bits: `255 * (scale * value + offset - low) / (high - low)`."""

    bands: tuple[str, ...]
    """Bands used as red, green, blue, and any others: names, or indices from 1."""
    scale: float = 1.0
    offset: float = 0.0
    stretch: tuple[float, float] | str = (0.0, 255.0)
    """Low and high, after scale and offset; or `minmax` of each image."""
    synthetic: bool = False
    """Whether the images are synthetic (the built-in sample), to be marked in everything derived from them."""

    @property
    def band_list(self) -> str:
        """The bands in words: `B04, B03, B02 as red, green, blue, then B08`."""
        more = self.bands[IMAGE_BANDS:]
        return f"{', '.join(self.bands[:IMAGE_BANDS])} as red, green, blue{', then ' if more else ''}{', '.join(more)}"


@dataclass(frozen=True)
class Origin:
    """Source of the chips, for the data card."""

    source: str
    """`download.D.source`: `sample`, `local`, …"""
    dropped: dict[str, int]
    """Number of windows (or of chips and dates) that were dropped, by reason."""


MAX_LISTED = 3
"""Unmatched entries of lists that a summary names."""


def chip_folders(bands: int) -> tuple[str, ...]:
    """Return the folders that have a PNG of each chip, for images of this number of bands."""
    return ("images", *((MORE_BANDS,) if bands > IMAGE_BANDS else ()), "masks")


def make_chip_folders(folder: Path, bands: int = IMAGE_BANDS) -> None:
    """Create the folders of images of this number of bands, and of masks."""
    for name in chip_folders(bands):
        (folder / name).mkdir(parents=True)


def link_chips(source: Path, folder: Path, bands: int) -> None:
    """Hard-link the images and masks of `source` into the chips folder."""
    for name in chip_folders(bands):
        for path in sorted((source / name).iterdir()):
            link(path, folder / name / path.name)


def class_column(class_id: int) -> str:
    """Return the name of the column with the pixel count of a class."""
    return f"pixels_{class_id}"


def class_columns(chips: "pd.DataFrame") -> list[str]:
    """Return the names of the columns with pixel counts of classes."""
    return [name for name in chips.columns if name.startswith("pixels_") and name != IGNORED]


def write_tables(
    folder: Path, rows: Iterable[dict[str, object]], table: ClassTable, imagery: Imagery, origin: Origin
) -> None:
    """Write `chips.csv`, `classes.json`, `imagery.json` and `origin.json`."""
    write_text(folder / "chips.csv", _to_csv(rows, [*COLUMNS, *map(class_column, table.ids), IGNORED]))
    write_json(folder / "classes.json", table.without_remap().model_dump(mode="json", exclude_defaults=True))
    write_json(folder / "imagery.json", vars(imagery))
    write_json(folder / "origin.json", vars(origin))


def _to_csv(rows: Iterable[Mapping[str, object]], columns: list[str]) -> str:
    """Return rows as CSV, sorted by id; the unit is the scene where none is given, other keys are left out."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: str(row["id"])):
        writer.writerow({**row, UNIT: row["scene"] if row[UNIT] is None else row[UNIT]})
    return text.getvalue()


def dropped_summary(dropped: dict[str, int]) -> str:
    """Summarise `Origin.dropped` for the terminal."""
    return "dropped: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items())


def failed_entry(kind: str, count: int) -> dict[str, int]:
    """Return the entry of `Origin.dropped` for files skipped by `on_error: skip`; empty if there are none."""
    return {f"{kind} that failed (on_error: skip)": count} if count else {}


def unmatched_entry(entries: Sequence[str]) -> dict[str, int]:
    """Return the entry of `Origin.dropped` for entries of lists that match no chip; empty if there are none."""
    if not entries:
        return {}
    named = ", ".join(entries[:MAX_LISTED]) + ", …" * (len(entries) > MAX_LISTED)
    return {f"entries of train.txt, val.txt, test.txt that match no chip ({named})": len(entries)}


def read_chips(folder: Path) -> "pd.DataFrame":
    """Read `chips.csv`: one row a chip, sorted by id; unknown text values are empty strings.

    Raises:
        PipelineError: the folder has no `chips.csv`.
    """
    import pandas as pd  # takes 0.1 s to import, which the stages that write chips do not need

    path = folder / "chips.csv"
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; the stages tile and tif_to_png write it: run `dvc repro`")
    text = dict.fromkeys(("id", "scene", UNIT, "crs", "date", OFFICIAL), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values={"x": [""], "y": [""], "pixel_size": [""]})


def read_imagery(folder: Path) -> Imagery:
    """Read `imagery.json`."""
    return parse_imagery(read_json(folder / "imagery.json"))


def read_origin(folder: Path) -> Origin:
    """Read `origin.json`."""
    return Origin(**read_json(folder / "origin.json"))


def parse_imagery(values: dict[str, Any]) -> Imagery:
    """Convert parsed JSON to an `Imagery`."""
    stretch = values["stretch"] if isinstance(values["stretch"], str) else tuple(values["stretch"])
    return Imagery(**values | {"bands": tuple(values["bands"]), "stretch": stretch})
