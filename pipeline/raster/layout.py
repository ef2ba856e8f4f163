"""Layout of a raw folder: scenes, items and their files, in all namings that copies of the archives use."""

import csv
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, visible_files, write_json
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.datasets import LAYOUTS, DatasetName
from pipeline.raster.checksums import Checksums

TIFF_ENDINGS = (".tif", ".tiff")
OFFICIAL_LISTS = ("train.txt", "val.txt", "test.txt")
"""An archive's own split: the chips of each part."""
SAMPLE = "sample"
CHIPS = 10_674
"""Chips that LandCover.ai's own script cuts."""
EXCERPT = "an excerpt, not for benchmarking"
MANIFEST, SOURCE, CLASSES_FILE = "manifest.csv", "source.json", "classes.json"
WRITTEN_BY_DOWNLOAD = (CLASSES_FILE, MANIFEST, SOURCE)
"""Files that the stage `download` adds to an archive, or replaces."""


@dataclass(frozen=True)
class Scene:
    """One orthophoto and its mask."""

    id: str
    image: Path
    mask: Path


@dataclass(frozen=True, order=True)
class SourceItem:
    """One chip on one date."""

    chip: str
    date: date
    folder: Path

    @property
    def id(self) -> str:
        """`CHIP_YYYYMMDD`, the id of the training chip."""
        return f"{self.chip}_{self.date:%Y%m%d}"

    @property
    def files(self) -> list[Path]:
        """GeoTIFFs of the item, sorted."""
        return _tiffs(self.folder)


@dataclass(frozen=True)
class RawFolder:
    """A dataset's raw folder; each property is read once, on first use."""

    dataset: DatasetName
    path: Path

    @cached_property
    def scenes(self) -> list[Scene]:
        """Orthophotos in `images/` with their masks in `masks/`, sorted.

        Raises:
            PipelineError: there are none, or an image or a mask has no counterpart.
        """
        images, masks = (_tiffs_by_scene(self.path / folder) for folder in ("images", "masks"))
        if not images:
            expected = "expected orthophotos there, and their masks in masks/"
            raise PipelineError(f"{self.path / 'images'} contains no .tif; {expected}")
        for missing, files, others in (("mask", images, masks), ("image", masks, images)):
            if unpaired := sorted(files.keys() - others.keys()):
                scene = unpaired[0]
                raise PipelineError(f"{files[scene]} has no {missing}; expected {scene}.tif in images/ and in masks/")
        return [Scene(scene, images[scene], masks[scene]) for scene in sorted(images)]

    @cached_property
    def items(self) -> list[SourceItem]:
        """Chips and dates with imagery, sorted.

        Raises:
            PipelineError: there are none, or two for one chip and date, or a name ends in an invalid date.
        """
        matches = self._matching(LAYOUTS[self.dataset].source_item)
        items = sorted(SourceItem(match["chip"], _date(folder, match["date"]), folder) for folder, match in matches)
        for first, second in zip(items, items[1:], strict=False):
            if first.id == second.id:
                raise PipelineError(
                    f"{first.folder} and {second.folder} are two folders for one chip and date; keep one"
                )
        return items

    @cached_property
    def labels(self) -> dict[str, Path]:
        """From chip to the folder of its label.

        Raises:
            PipelineError: there are none, or two for one chip.
        """
        labels: dict[str, Path] = {}
        for folder, match in self._matching(LAYOUTS[self.dataset].label_item):
            if (first := labels.setdefault(match["chip"], folder)) != folder:
                raise PipelineError(f"{first} and {folder} are two labels for one chip; keep one")
        return labels

    @cached_property
    def official_parts(self) -> dict[str, str]:
        """From chip to part in the archive's own `train.txt`, `val.txt`, `test.txt`; empty without them.

        Raises:
            PipelineError: a chip is in two lists, or a list is not in UTF-8.
        """
        parts: dict[str, str] = {}
        for path in (self.path / name for name in OFFICIAL_LISTS):
            part = path.stem
            for chip in read_list(path) if path.is_file() else []:
                if parts.setdefault(chip, part) != part:
                    raise PipelineError(f"{path} lists {chip}, but {parts[chip]}.txt does too; keep it in one list")
        return parts

    @cached_property
    def classes(self) -> ClassTable:
        """Class table of the dataset."""
        return read_classes(self.path / CLASSES_FILE)

    @cached_property
    def source(self) -> str:
        """`download.D.source` at download."""
        return str(read_json(self.path / SOURCE)["source"])

    @property
    def synthetic(self) -> bool:
        """Whether this is the built-in sample."""
        return self.source == SAMPLE

    @cached_property
    def is_cut(self) -> bool:
        """Whether images are chips `SHEET_NUMBER` that LandCover.ai's own script cut, as JPEG."""
        return self.source == "archive" and any(origin.endswith(".jpg") for origin in self.renamed.values())

    @property
    def described_source(self) -> str:
        """`download.D.source`, marked if it is an excerpt of LandCover.ai."""
        return f"{self.source}, {EXCERPT}" if self.is_cut and len(self.scenes) < CHIPS else self.source

    def unit(self, scene: str) -> str:
        """Return the sheet that a scene was cut from, or the scene itself."""
        return scene.rpartition("_")[0] if self.is_cut else scene

    def require_layout(self) -> None:
        """Check that scenes or items exist and have labels.

        Raises:
            PipelineError: there are none, or some are unpaired.
        """
        _ = (self.items, self.labels) if self.dataset in LAYOUTS else self.scenes

    @cached_property
    def checksums(self) -> Checksums:
        """Checksums of the files, as in the manifest if `download` wrote one."""
        expected = {self.path / row["path"]: row["sha256"] for row in self._manifest_rows}
        return Checksums(expected, is_local=bool(expected) and self.source == "local")

    @cached_property
    def renamed(self) -> dict[Path, str]:
        """From file to the path of its original, relative to the source, where that has another path."""
        return {self.path / row["path"]: row["origin"] for row in self._manifest_rows if row["path"] != row["origin"]}

    @cached_property
    def _manifest_rows(self) -> list[dict[str, str]]:
        table = self.path / MANIFEST
        if not table.is_file():
            return []
        with table.open(encoding="utf-8", newline="") as reader:
            return list(csv.DictReader(reader))

    def _matching(self, pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
        matches = [(folder, match) for folder in self._folders if (match := pattern.fullmatch(folder.name))]
        if not matches:
            raise PipelineError(
                f"{self.path} contains no folder named like {_example(pattern)}; is it the archive's root?"
            )
        return matches

    @cached_property
    def _folders(self) -> list[Path]:
        """Candidates for item folders: in a collection's folder, or at the top."""
        return sorted(path for depth in ("*", "*/*") for path in self.path.glob(depth) if path.is_dir())


def write_source(raw: Path, source: str) -> None:
    """Write `source.json`, the source of the archive in `raw`."""
    write_json(raw / SOURCE, {"source": source, "synthetic": source == SAMPLE})


def asset(dataset: DatasetName, folder: Path, key: str, advice: str = "") -> Path:
    """Find the GeoTIFF of one asset in an item's folder.

    Three namings occur: `B04.tif`, `31PGS_01_20180101_B04_10m.tif`, `red.tif`.

    Raises:
        PipelineError: there is none, in which case `advice` ends the message, or more than one.
    """
    files = _asset_files(dataset, folder, key)
    if len(files) != 1:
        count = f"{len(files)} files" if files else "no file"
        present = ", ".join(path.name for path in _tiffs(folder)) or "no GeoTIFF"
        raise PipelineError(
            f"{folder} has {count} for {key}; expected one of {key}.tif, *_{key}_10m.tif, "
            f"{_descriptive_name(dataset, key)}.tif; it has {present}{'' if files else advice}"
        )
    return files[0]


def has_any_asset(dataset: DatasetName, folder: Path, keys: Iterable[str]) -> bool:
    """Return whether an item's folder has a file for at least one of the assets."""
    return any(_asset_files(dataset, folder, key) for key in keys)


def _asset_files(dataset: DatasetName, folder: Path, key: str) -> list[Path]:
    descriptive = _descriptive_name(dataset, key).lower()
    native = re.compile(rf"(?:.+_)?{re.escape(key)}(?:_\d+m)?")
    return [path for path in _tiffs(folder) if native.fullmatch(path.stem) or path.stem.lower() == descriptive]


def _descriptive_name(dataset: DatasetName, key: str) -> str:
    return LAYOUTS[dataset].assets.get(key, key)


def _tiffs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in TIFF_ENDINGS)


def _date(folder: Path, text: str) -> date:
    try:
        return date.fromisoformat(text.replace("_", "-"))
    except ValueError:
        raise PipelineError(f"{folder}: {text} is not a date; expected year, month, day") from None


def _example(pattern: re.Pattern[str]) -> str:
    """Return the pattern in readable form, with the names of its groups."""
    return re.sub(r"\(\?P<(\w+)>.*?\)(?=_|$)", lambda match: match[1].upper(), pattern.pattern).replace(r"\w+", "*")


def _tiffs_by_scene(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in visible_files(folder) if folder.is_dir() else ():
        if path.suffix.lower() not in TIFF_ENDINGS:
            continue
        if path.parent != folder:
            raise PipelineError(f"{path}: nested folders are not searched; move it to {folder}")
        scene = unicodedata.normalize("NFC", path.stem)  # macOS decomposes ü into two characters
        if not scene.isprintable():  # lists of chips have one id per line
            raise PipelineError(f"{str(path)!r} has a line break or control character in its name; rename it")
        if scene in files:
            raise PipelineError(f"{files[scene]} and {path} are two files for one scene; keep one")
        files[scene] = path
    return files


def read_list(path: Path) -> list[str]:
    """Read the non-empty lines of a text file in UTF-8, with or without a byte order mark.

    Raises:
        PipelineError: it is not in UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = ["\0"]
    if any("\0" in line for line in lines):  # UTF-16 without a byte order mark is valid UTF-8
        raise PipelineError(f"{path} is not in UTF-8; save it as UTF-8, one chip id per line")
    return list(filter(None, map(str.strip, lines)))
