"""The one format in which every dataset meets: a folder of pictures, masks and four tables.

    images/ID.png   8-bit RGB
    masks/ID.png    8-bit palette: the pixel is the class id, 255 is *ignore*
    classes.json    ids, names, colours
    imagery.json    how the archive's values became 8-bit RGB
    origin.json     which source, and what was left out and why
    chips.csv       one row a chip

The pictures are read and written by `pipeline.formats.png`; nothing here opens one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import link, read_json, write_json, write_text
from pipeline.formats.classes import ClassTable

REFUSED = "refused.txt"
"""What lies in place of the lists of chips that cannot be split as params.yaml asks."""
GROUPS = "groups.csv"
"""What lies beside the lists: the group of each chip."""
GROUP = "group"
"""Its column: chips of two groups are independent of each other; `split` computes it."""
UNIT, OFFICIAL, IGNORED = "unit", "official", "pixels_ignored"
COLUMNS = ("id", "scene", UNIT, "row", "column", "height", "width", "x", "y", "crs", "pixel_size", "date", OFFICIAL)


@dataclass(frozen=True)
class Chip:
    """Where a training chip comes from."""

    id: str
    scene: str
    """An orthophoto, or the place that all dates of a Sentinel chip share."""
    row: int
    """Top edge in the scene, in pixels."""
    column: int
    """Left edge in the scene, in pixels."""
    height: int
    width: int
    x: float | None = None
    """Left edge, in units of the CRS; None without a georeference."""
    y: float | None = None
    """Top edge, in units of the CRS."""
    crs: str | None = None
    """`EPSG:NNNN`, or WKT where the CRS has no code."""
    pixel_size: float | None = None
    """Side of a pixel in units of the CRS; None too where pixels are turned or not square."""
    date: str | None = None
    """YYYY-MM-DD of the picture; None where the archive tells none."""
    unit: str | None = None
    """What is independent of other units unless they overlap: an orthophoto, a Sentinel tile; None: the scene."""
    official: str | None = None
    """The part that the archive's own lists give it to: train, val or test."""


@dataclass(frozen=True)
class Imagery:
    """How an archive's values became 8-bit RGB: `255 * (scale * value + offset - low) / (high - low)`."""

    bands: tuple[str, ...]
    """The bands that became red, green, blue: names, or numbers counted from 1."""
    scale: float = 1.0
    offset: float = 0.0
    stretch: tuple[float, float] | str = (0.0, 255.0)
    """Low and high, in units after scale and offset; or `minmax` of each picture."""
    synthetic: bool = False
    """Whether the pictures are the built-in sample's, so that everything made of them says so."""


@dataclass(frozen=True)
class Origin:
    """Where chips come from, for the data card."""

    source: str
    """`sample`, `local`, …, as `download.D.source` said."""
    dropped: dict[str, int]
    """From the reason to the number of windows, or of chips and dates, that became no chip."""


PICTURES = ("images", "masks")


def make_chip_folders(folder: Path) -> None:
    """Make the folders for the pictures of a chips folder."""
    for name in PICTURES:
        (folder / name).mkdir(parents=True)


def link_chips(piece: Path, folder: Path) -> None:
    """Give the pictures of a finished piece a second name in the chips folder."""
    for name in PICTURES:
        for path in sorted((piece / name).iterdir()):
            link(path, folder / name / path.name)


def pixels_of(class_id: int) -> str:
    """The column that counts the pixels of a class."""
    return f"pixels_{class_id}"


def class_columns(chips: pd.DataFrame) -> list[str]:
    """The columns of `chips.csv` that count the pixels of classes."""
    return [name for name in chips.columns if name.startswith("pixels_") and name != IGNORED]


def write_tables(
    folder: Path, rows: Iterable[dict[str, object]], table: ClassTable, imagery: Imagery, origin: Origin
) -> None:
    """Write `chips.csv`, `classes.json`, `imagery.json` and `origin.json`."""
    columns = [*COLUMNS, *map(pixels_of, table.ids), IGNORED]
    frame = pd.DataFrame(rows, columns=columns).sort_values("id")
    frame[UNIT] = frame[UNIT].fillna(frame["scene"])
    write_text(folder / "chips.csv", frame.to_csv(index=False, lineterminator="\n"))
    write_json(folder / "classes.json", table.without_remap().model_dump(mode="json", exclude_defaults=True))
    write_json(folder / "imagery.json", vars(imagery))
    write_json(folder / "origin.json", vars(origin))


def dropped_in_words(dropped: dict[str, int]) -> str:
    """What a stage's summary says of what it left out."""
    return "dropped: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items())


def failed_in_origin(what: str, count: int) -> dict[str, int]:
    """What an `Origin` says of files that `on_error: skip` left out: nothing when there are none."""
    return {f"{what} that failed (on_error: skip)": count} if count else {}


def unmatched_in_origin(listed: Iterable[str], found: Iterable[object]) -> dict[str, int]:
    """What an `Origin` says of entries of the archive's own lists that match no chip: nothing when all do."""
    count = len(set(listed) - set(map(str, found)))
    return {"entries of train.txt, val.txt, test.txt that match no chip": count} if count else {}


def leak_in_words(share: float | None, at_least: float) -> str:
    """The share of the test chips that touch a training chip, as a person should hear it.

    Args:
        share: of which it is known; None where that cannot be, see `pipeline.splitting.leaks`.
        at_least: the share that is known to.
    """
    advice = "; see split.strategy" if at_least else ""
    if share is None:
        return (
            f"at least {100 * at_least:.0f} % of test chips touch a training chip; between images that is not known: "
            f"no georeference, or pixels that are turned, mirrored or not square{advice}"
        )
    return f"{100 * share:.0f} % of test chips touch a training chip{advice}"


def read_groups(lists: Path) -> dict[str, str]:
    """From the id of each chip to its group, as the stage `split` wrote them beside the lists.

    Raises:
        PipelineError: there is no such table.
    """
    path = lists / GROUPS
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; the stage split writes it: dvc repro")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return dict(zip(table["id"], table[GROUP], strict=True))


def read_chips(folder: Path) -> pd.DataFrame:
    """`chips.csv`: one row a chip, sorted by id; text columns are empty where nothing is known.

    Raises:
        PipelineError: there is no such table.
    """
    path = folder / "chips.csv"
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; a chips folder is made by the stages tile and tif_to_png")
    text = dict.fromkeys(("id", "scene", UNIT, "crs", "date", OFFICIAL), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values={"x": [""], "y": [""], "pixel_size": [""]})


def read_imagery(folder: Path) -> Imagery:
    """`imagery.json` of a chips folder."""
    return parse_imagery(read_json(folder / "imagery.json"))


def read_origin(folder: Path) -> Origin:
    """`origin.json` of a chips folder."""
    return Origin(**read_json(folder / "origin.json"))


def parse_imagery(values: dict[str, Any]) -> Imagery:
    """An `Imagery` from what JSON made of it."""
    stretch = values["stretch"] if isinstance(values["stretch"], str) else tuple(values["stretch"])
    return Imagery(**values | {"bands": tuple(values["bands"]), "stretch": stretch})
