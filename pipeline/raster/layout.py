"""Finds the scenes and items of an archive, and their files, whatever naming its copy uses."""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, sha256, visible_files, write_json
from pipeline.formats.datasets import LAYOUTS, DatasetName

TIFF_ENDINGS = (".tif", ".tiff")
OFFICIAL_LISTS = ("train.txt", "val.txt", "test.txt")
"""An archive's own lists of the chips of each part."""


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


def source_items(dataset: DatasetName, raw: Path) -> list[SourceItem]:
    """The chips and dates with imagery below `raw`, sorted.

    Raises:
        PipelineError: there is none, or two for one chip and date, or a name ends in what is no date.
    """
    pattern = LAYOUTS[dataset].source_item
    found = [(folder, match) for folder in _folders(raw) if (match := pattern.fullmatch(folder.name))]
    if not found:
        raise PipelineError(f"{raw} holds no folder named like {_example(pattern)}; is it the archive's root?")
    items = sorted(SourceItem(match["chip"], _date(folder, match["date"]), folder) for folder, match in found)
    for first, second in zip(items, items[1:], strict=False):
        if first.id == second.id:
            raise PipelineError(f"{first.folder} and {second.folder} are two folders for one chip and date; keep one")
    return items


def label_items(dataset: DatasetName, raw: Path) -> dict[str, Path]:
    """From chip to the folder of its label, below `raw`.

    Raises:
        PipelineError: there is none, or two for one chip.
    """
    pattern = LAYOUTS[dataset].label_item
    found: dict[str, Path] = {}
    for folder, match in ((folder, match) for folder in _folders(raw) if (match := pattern.fullmatch(folder.name))):
        if (first := found.setdefault(match["chip"], folder)) != folder:
            raise PipelineError(f"{first} and {folder} are two labels for one chip; keep one")
    if not found:
        raise PipelineError(f"{raw} holds no folder named like {_example(pattern)}; is it the archive's root?")
    return found


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


def _folders(raw: Path) -> list[Path]:
    """Item folders lie in a collection's folder, or are given without one."""
    return sorted(path for depth in ("*", "*/*") for path in raw.glob(depth) if path.is_dir())


def _date(folder: Path, text: str) -> date:
    try:
        return date.fromisoformat(text.replace("_", "-"))
    except ValueError:
        raise PipelineError(f"{folder}: {text} is no date; expected year, month, day") from None


def _example(pattern: re.Pattern[str]) -> str:
    """The pattern as a person would write it: groups by their names."""
    return re.sub(r"\(\?P<(\w+)>.*?\)(?=_|$)", lambda match: match[1].upper(), pattern.pattern).replace(r"\w+", "*")


def scene_pairs(raw: Path) -> list[tuple[str, Path, Path]]:
    """(scene, image, mask) of each orthophoto below `images/` and `masks/`, sorted by scene.

    Raises:
        PipelineError: there is none; or an image without a mask, or a mask without an image.
    """
    images, masks = (_by_stem(raw / folder) for folder in ("images", "masks"))
    if not images:
        raise PipelineError(f"{raw / 'images'} holds no .tif; expected orthophotos there, and their masks in masks/")
    for name, ours, theirs in (("mask", images, masks), ("image", masks, images)):
        if alone := sorted(ours.keys() - theirs.keys()):
            raise PipelineError(f"{ours[alone[0]]} has no {name}; expected {alone[0]}.tif in images/ and in masks/")
    return [(scene, images[scene], masks[scene]) for scene in sorted(images)]


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


def require_layout(dataset: DatasetName, raw: Path) -> None:
    """Check that a folder has the scenes or items, and their labels, that the later stages look for.

    Raises:
        PipelineError: it has none, or some that do not pair up.
    """
    if dataset in LAYOUTS:
        source_items(dataset, raw)
        label_items(dataset, raw)
    else:
        scene_pairs(raw)


def official_parts(raw: Path) -> dict[str, str]:
    """From chip to part, as the archive's own `train.txt`, `val.txt`, `test.txt` say; empty where it brings none.

    Raises:
        PipelineError: a chip is in two lists, or a list is no UTF-8.
    """
    found: dict[str, str] = {}
    for path in (raw / name for name in OFFICIAL_LISTS):
        part = path.stem
        for chip in _listed(path) if path.is_file() else []:
            if found.setdefault(chip, part) != part:
                raise PipelineError(f"{path} names {chip}, which {found[chip]}.txt names too; keep it in one list")
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


MANIFEST, SOURCE = "manifest.csv", "source.json"
WRITTEN_BY_DOWNLOAD = ("classes.json", MANIFEST, SOURCE)
"""What the stage `download` adds to an archive's files, or replaces."""


def verifier(raw: Path) -> Callable[[Path], str]:
    """Give the SHA-256 of files in a raw folder, which must be what it was when they were downloaded.

    Returns:
        A function from a file to its SHA-256. It raises a `PipelineError` for one that was changed since its download;
        in a folder that `download` did not make there is none.
    """
    table, noted = raw / MANIFEST, {}
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as reader:
            noted = {raw / row["path"]: row["sha256"] for row in csv.DictReader(reader)}

    def verified(path: Path) -> str:
        if noted and path not in noted:
            raise PipelineError(
                f"{path} was not there when the other files were downloaded; put it beside the original, not beside "
                "the copy, and run `dvc repro`, or remove it"
            )
        found = sha256(path)
        if found == noted.get(path, found):
            return found
        checksums = f"its SHA-256 is {found}, and the manifest says {noted[path]}"
        if source_of(raw) == "local":
            raise PipelineError(
                f"the copy of {path} was changed since download made it: {checksums}; mend the file itself, not its "
                "copy, and run `dvc repro`"
            )
        raise PipelineError(
            f"{path} is not what was downloaded: {checksums}; remove {path.name} and run `dvc checkout` or `dvc repro`"
        )

    return verified


def write_source(raw: Path, source: str) -> None:
    """Write `source.json`: where the archive in `raw` came from."""
    write_json(raw / SOURCE, {"source": source, "synthetic": source == "sample"})


def source_of(raw: Path) -> str:
    """What `download.D.source` was when the archive in `raw` was fetched."""
    return str(read_json(raw / SOURCE)["source"])


def is_synthetic(raw: Path) -> bool:
    """Whether the archive in `raw` is the built-in sample."""
    return bool(read_json(raw / SOURCE)["synthetic"])
