"""The files of a folder that may be images or labels, by their folders and suffixes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.importing.pairing import LABEL_SUFFIXES, Member
from pipeline.raster.pictures import IMAGE_ENDINGS
from pipeline.shapes.vector_files import DRIVERS

UNREAD = (".jp2", ".j2k", ".img", ".bmp", ".gif", ".webp", ".vrt", ".ecw", ".sid", ".heic", ".npy", ".asc", ".xml")
"""Endings of files that are not read, but worth naming where an image or a label is missing."""
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
LABEL_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt")
PART_FOLDERS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "val"
)
LISTED = 5
"""Kinds of files that a message lists."""


@dataclass(frozen=True)
class Place:
    """What the folders of a file tell."""

    part: str
    image_folder: str
    """Name of the folder for images, "" for a file in none."""
    label_folder: str


@dataclass(frozen=True)
class Listing:
    """The files that may be images or labels, by place."""

    root: Path
    files: Sequence[Path]
    """All of the folder."""
    places: Mapping[Path, Place]
    """Of images and labels."""

    @classmethod
    def of(cls, root: Path, files: Sequence[Path], excluded: Path | None) -> "Listing":
        """Look at the files of a folder, without a vector file that holds no labels.

        Raises:
            PipelineError: a file is in a nested folder, or images or labels are in two folders.
        """
        listing = cls(root, files, dict(_places(root, [path for path in files if path != excluded])))
        for names, content in ((listing.image_folders, "images"), (listing.label_folders, "labels")):
            if len(names) > 1:
                folders = " and in ".join(f"{name}/" for name in sorted(names))
                raise PipelineError(f"{root} has {content} in {folders}; keep one")
        return listing

    @property
    def image_folders(self) -> set[str]:
        """Names of the folders that hold images."""
        return {place.image_folder for path, place in self.places.items() if is_raster(path)} - {""}

    @property
    def label_folders(self) -> set[str]:
        """Names of the folders that hold labels."""
        return {place.label_folder for place in self.places.values()} - {""}

    def members(self, is_label: bool) -> Iterator[tuple[str, Member]]:
        """Yield the images, or the labels, with their part."""
        for path, place in self.places.items():
            if is_label == self._is_label(path, place) and self._counts(path, place):
                yield place.part, Member(self.root, path)

    @property
    def unread(self) -> list[Path]:
        """Files that may be images or labels in other formats."""
        return [path for path in self.files if path.suffix.lower() in UNREAD]

    def describe(self) -> str:
        """Describe the contents of the folder: numbers of files by folder and suffix."""
        counts = Counter((path.parent, path.suffix.lower()) for path in self.files)
        listed = [
            f"{count} {suffix or 'without a suffix'} in {self.root / folder}"
            for (folder, suffix), count in counts.most_common(LISTED)
        ]
        return f"found {', '.join(listed)}" if listed else "it is empty"

    def _is_label(self, path: Path, place: Place) -> bool:
        by_suffix = not self.label_folders and path.stem.lower().endswith(LABEL_SUFFIXES)
        return bool(place.label_folder) or by_suffix

    def _counts(self, path: Path, place: Place) -> bool:
        """Return whether a file counts: beside folders for images, other pictures are not part of the data."""
        return bool(place.image_folder or place.label_folder) or (is_raster(path) and not self.image_folders)


def is_raster(path: Path) -> bool:
    """Return whether a file is an image or a raster of labels, by its suffix."""
    return path.suffix.lower() in IMAGE_ENDINGS


def is_vector(path: Path) -> bool:
    """Return whether a file has polygons, by its suffix."""
    return path.suffix.lower() in DRIVERS


def _places(root: Path, files: Sequence[Path]) -> Iterator[tuple[Path, Place]]:
    """Yield the files in folders of known names, or in none."""
    known = {*IMAGE_FOLDERS, *LABEL_FOLDERS, *PART_FOLDERS}
    has_raster_labels = any(is_raster(path) and {*map(str.lower, path.parts[:-1])} & {*LABEL_FOLDERS} for path in files)
    for path in files:
        folders = [name.lower() for name in path.parts[:-1]]
        part = [PART_FOLDERS[name] for name in folders if name in PART_FOLDERS]
        image, label = ([name for name in folders if name in names] for names in (IMAGE_FOLDERS, LABEL_FOLDERS))
        is_label = bool(label) and is_vector(path) and not (path.suffix.lower() == ".json" and has_raster_labels)
        if not (is_raster(path) or is_label) or (folders and folders[0] not in known):
            continue
        if len(folders) > len(part) + len(image) + len(label) or max(len(part), len(image) + len(label)) > 1:
            raise PipelineError(f"{root / path}: nested folders are not searched; move it to {root / path.parts[0]}")
        yield path, Place("".join(part), "".join(image), "".join(label))
