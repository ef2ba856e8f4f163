"""Where scenes, items and files lie in a raw folder, whatever naming a copy of the archive uses."""

import csv
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, sha256, visible_files, write_json
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.datasets import LAYOUTS, DatasetName

TIFF_ENDINGS = (".tif", ".tiff")
OFFICIAL_LISTS = ("train.txt", "val.txt", "test.txt")
"""An archive's own lists of the chips of each part."""


SAMPLE = "sample"
MANIFEST, SOURCE, CLASSES = "manifest.csv", "source.json", "classes.json"
WRITTEN_BY_DOWNLOAD = (CLASSES, MANIFEST, SOURCE)
"""What the stage `download` adds to an archive's files, or replaces."""


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
        """`CHIP_YYYYMMDD`, the id of the training chip made of it."""
        return f"{self.chip}_{self.date:%Y%m%d}"

    @property
    def files(self) -> list[Path]:
        """Its GeoTIFFs, sorted."""
        return _tiffs(self.folder)


@dataclass(frozen=True)
class RawFolder:
    """A dataset's raw folder; each part of it is read once, when first needed."""

    dataset: DatasetName
    path: Path

    @cached_property
    def scenes(self) -> list[Scene]:
        """The orthophotos below `images/` and their masks below `masks/`, sorted.

        Raises:
            PipelineError: there is none; or an image without a mask, or a mask without an image.
        """
        images, masks = (_by_stem(self.path / folder) for folder in ("images", "masks"))
        if not images:
            expected = "expected orthophotos there, and their masks in masks/"
            raise PipelineError(f"{self.path / 'images'} holds no .tif; {expected}")
        for name, ours, theirs in (("mask", images, masks), ("image", masks, images)):
            if alone := sorted(ours.keys() - theirs.keys()):
                raise PipelineError(f"{ours[alone[0]]} has no {name}; expected {alone[0]}.tif in images/ and in masks/")
        return [Scene(scene, images[scene], masks[scene]) for scene in sorted(images)]

    @cached_property
    def items(self) -> list[SourceItem]:
        """The chips and dates with imagery, sorted.

        Raises:
            PipelineError: there is none, or two for one chip and date, or a name ends in what is not a date.
        """
        found = self._matching(LAYOUTS[self.dataset].source_item)
        items = sorted(SourceItem(match["chip"], _date(folder, match["date"]), folder) for folder, match in found)
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
            PipelineError: there is none, or two for one chip.
        """
        found: dict[str, Path] = {}
        for folder, match in self._matching(LAYOUTS[self.dataset].label_item):
            if (first := found.setdefault(match["chip"], folder)) != folder:
                raise PipelineError(f"{first} and {folder} are two labels for one chip; keep one")
        return found

    @cached_property
    def official_parts(self) -> dict[str, str]:
        """From chip to part in the archive's own `train.txt`, `val.txt`, `test.txt`; empty where it has none.

        Raises:
            PipelineError: a chip is in two lists, or a list is not in UTF-8.
        """
        found: dict[str, str] = {}
        for path in (self.path / name for name in OFFICIAL_LISTS):
            part = path.stem
            for chip in _listed(path) if path.is_file() else []:
                if found.setdefault(chip, part) != part:
                    raise PipelineError(f"{path} names {chip}, which {found[chip]}.txt names too; keep it in one list")
        return found

    @cached_property
    def classes(self) -> ClassTable:
        """The table of its classes."""
        return read_classes(self.path / CLASSES)

    @cached_property
    def source(self) -> str:
        """What `download.D.source` was when the archive was fetched."""
        return str(read_json(self.path / SOURCE)["source"])

    @property
    def synthetic(self) -> bool:
        """Whether it is the built-in sample."""
        return self.source == SAMPLE

    def require_layout(self) -> None:
        """Check that there are scenes or items, and their labels.

        Raises:
            PipelineError: there are none, or some that do not pair up.
        """
        _ = (self.items, self.labels) if self.dataset in LAYOUTS else self.scenes

    def checksum(self, path: Path) -> str:
        """The SHA-256 of a file, which must be what it was when it was downloaded.

        Raises:
            PipelineError: the file was changed or added since its download, if `download` made this folder.
        """
        if self._manifest and path not in self._manifest:
            raise PipelineError(
                f"{path} was not there when the other files were downloaded; put it beside the original, not beside "
                "the copy, and run `dvc repro`, or remove it"
            )
        found = sha256(path)
        if found == self._manifest.get(path, found):
            return found
        checksums = f"its SHA-256 is {found}, but the manifest has {self._manifest[path]}"
        if self.source == "local":
            raise PipelineError(
                f"the copy of {path} was changed since download made it: {checksums}; mend the file itself, not its "
                "copy, and run `dvc repro`"
            )
        raise PipelineError(
            f"{path} is not what was downloaded: {checksums}; remove {path.name} and run `dvc checkout` or `dvc repro`"
        )

    @cached_property
    def _manifest(self) -> dict[Path, str]:
        """From file to its SHA-256 at download; empty in a folder that `download` did not make."""
        table = self.path / MANIFEST
        if not table.is_file():
            return {}
        with table.open(encoding="utf-8", newline="") as reader:
            return {self.path / row["path"]: row["sha256"] for row in csv.DictReader(reader)}

    def _matching(self, pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
        found = [(folder, match) for folder in self._folders if (match := pattern.fullmatch(folder.name))]
        if not found:
            raise PipelineError(
                f"{self.path} holds no folder named like {_example(pattern)}; is it the archive's root?"
            )
        return found

    @cached_property
    def _folders(self) -> list[Path]:
        """Item folders lie in a collection's folder, or are given without one."""
        return sorted(path for depth in ("*", "*/*") for path in self.path.glob(depth) if path.is_dir())


def write_source(raw: Path, source: str) -> None:
    """Write `source.json`: where the archive in `raw` came from."""
    write_json(raw / SOURCE, {"source": source, "synthetic": source == SAMPLE})


def asset(dataset: DatasetName, folder: Path, key: str, advice: str = "") -> Path:
    """The GeoTIFF of one asset in an item's folder.

    Three namings occur: `B04.tif`, `31PGS_01_20180101_B04_10m.tif`, `red.tif`.

    Raises:
        PipelineError: there is none, or more than one; where there is none, `advice` ends the message.
    """
    described = LAYOUTS[dataset].assets.get(key, key)
    found = _named(dataset, folder, key)
    if len(found) != 1:
        has = ", ".join(path.name for path in _tiffs(folder)) or "no GeoTIFF"
        wrong = "no file" if not found else f"{len(found)} files"
        raise PipelineError(
            f"{folder} has {wrong} for {key}; expected one of {key}.tif, *_{key}_10m.tif, {described}.tif; it has {has}"
            f"{'' if found else advice}"
        )
    return found[0]


def has_any(dataset: DatasetName, folder: Path, keys: Iterable[str]) -> bool:
    """Whether an item's folder has a file for at least one of the assets."""
    return any(_named(dataset, folder, key) for key in keys)


def _named(dataset: DatasetName, folder: Path, key: str) -> list[Path]:
    described = LAYOUTS[dataset].assets.get(key, key)
    native = re.compile(rf"(?:.+_)?{re.escape(key)}(?:_\d+m)?")
    return [path for path in _tiffs(folder) if native.fullmatch(path.stem) or path.stem.lower() == described.lower()]


def _tiffs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in TIFF_ENDINGS)


def _date(folder: Path, text: str) -> date:
    try:
        return date.fromisoformat(text.replace("_", "-"))
    except ValueError:
        raise PipelineError(f"{folder}: {text} is no date; expected year, month, day") from None


def _example(pattern: re.Pattern[str]) -> str:
    """The pattern as a person would write it: groups by their names."""
    return re.sub(r"\(\?P<(\w+)>.*?\)(?=_|$)", lambda match: match[1].upper(), pattern.pattern).replace(r"\w+", "*")


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in visible_files(folder) if folder.is_dir() else ():
        if path.suffix.lower() not in TIFF_ENDINGS:
            continue
        if path.parent != folder:
            raise PipelineError(f"{path} lies deeper than scenes are looked for; move it to {folder}")
        scene = unicodedata.normalize("NFC", path.stem)  # macOS writes ü as two characters
        if not scene.isprintable():  # chips are listed by name, one a line
            raise PipelineError(f"{str(path)!r} has a line break or the like in its name; rename it")
        if scene in found:
            raise PipelineError(f"{found[scene]} and {path} are two files for one scene; keep one")
        found[scene] = path
    return found


def _listed(path: Path) -> list[str]:
    """The lines that say something, without the mark that Windows puts before UTF-8."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = ["\0"]
    if any("\0" in line for line in lines):  # UTF-16 without its mark is valid UTF-8 too
        raise PipelineError(f"{path} is not in UTF-8, which lists of chips are; save it so, one id a line")
    return list(filter(None, map(str.strip, lines)))
