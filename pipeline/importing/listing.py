"""The files of a folder that may be images or labels, by their folders and suffixes."""

from collections import Counter
from collections.abc import Iterator, Sequence
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
class Listing:
    """The files of a folder, and which of them may be images or labels."""

    root: Path
    files: Sequence[Path]
    """All of the folder."""
    members: Sequence[Member]
    """Those in folders of known names, or in none."""

    @classmethod
    def of(cls, root: Path, files: Sequence[Path], excluded: Path | None) -> "Listing":
        """Look at the files of a folder, without a vector file that holds no labels.

        Raises:
            PipelineError: a file is in a nested folder, or images or labels are in two folders.
        """
        listing = cls(root, files, list(_members(root, [path for path in files if path != excluded])))
        for names, content in ((IMAGE_FOLDERS, "images"), (LABEL_FOLDERS, "labels")):
            if len(folders := listing.folders(names)) > 1:
                listed = " and in ".join(f"{name}/" for name in folders)
                raise PipelineError(f"{root} has {content} in {listed}; keep one")
        return listing

    def folders(self, names: Sequence[str]) -> list[str]:
        """Return which folders of these names there are."""
        return sorted({member.folder for member in self.members} & {*names})

    def divide(self) -> tuple[list[Member], list[Member]]:
        """Return images and labels; beside folders for images, other pictures are not part of the data."""
        has_images, has_labels = bool(self.folders(IMAGE_FOLDERS)), bool(self.folders(LABEL_FOLDERS))
        images: list[Member] = []
        labels: list[Member] = []
        for member in self.members:
            by_suffix = not has_labels and member.path.stem.lower().endswith(LABEL_SUFFIXES)
            if member.folder or not has_images:
                (labels if member.folder in LABEL_FOLDERS or by_suffix else images).append(member)
        return images, labels

    def describe(self) -> str:
        """Describe the contents of the folder: numbers of files by folder and suffix."""
        counts = Counter((path.parent, path.suffix.lower()) for path in self.files)
        listed = [
            f"{count} {suffix or 'without a suffix'} in {self.root / folder}"
            for (folder, suffix), count in counts.most_common(LISTED)
        ]
        return f"found {', '.join(listed)}" if listed else "it is empty"


def is_raster(path: Path) -> bool:
    """Return whether a file is an image or a raster of labels, by its suffix."""
    return path.suffix.lower() in IMAGE_ENDINGS


def is_vector(path: Path) -> bool:
    """Return whether a file has polygons, by its suffix."""
    return path.suffix.lower() in DRIVERS


def _members(root: Path, files: Sequence[Path]) -> Iterator[Member]:
    """Yield the files in folders of known names, or in none."""
    has_raster_labels = any(is_raster(path) and {*_folders(path)} & {*LABEL_FOLDERS} for path in files)
    for path in files:
        folders = _folders(path)
        parts = [PART_FOLDERS[name] for name in folders if name in PART_FOLDERS]
        kinds = [name for name in folders if name in (*IMAGE_FOLDERS, *LABEL_FOLDERS)]
        is_metadata = path.suffix.lower() == ".json" and has_raster_labels
        is_label = is_vector(path) and not is_metadata and bool({*kinds} & {*LABEL_FOLDERS})
        if not (is_raster(path) or is_label) or (folders and folders[0] not in (*kinds, *PART_FOLDERS)):
            continue
        if len(folders) > len(parts) + len(kinds) or max(len(parts), len(kinds)) > 1:
            raise PipelineError(f"{root / path}: nested folders are not searched; move it to {root / path.parts[0]}")
        yield Member(root, path, "".join(parts), "".join(kinds))


def _folders(path: Path) -> list[str]:
    return [name.lower() for name in path.parts[:-1]]
