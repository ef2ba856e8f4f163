"""Find the images of a folder and their labels, in the layouts that people use."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from pipeline.core.errors import PipelineError
from pipeline.importing.pairing import LABEL_SUFFIXES, Member, Pair, match_names
from pipeline.raster.layout import OFFICIAL_LISTS
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
COMMON_LABELS = "labels"
"""Stem of a vector file with the labels of all images."""


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


def survey(root: Path, files: Sequence[Path], excluded: Path | None = None) -> list[Pair]:
    """Pair the images of a folder with their labels, sorted by scene.

    Images are in `images/` and labels of the same names in `masks/` or `labels/`; or side by side, where a label has a
    suffix such as `_mask`. Folders `train`, `val` and `test`, above or below these, divide both. One vector file
    `labels` beside the images serves all, and so does the only file in `labels/` if no image has its name.

    Args:
        root: the folder, for messages.
        files: its visible files, relative to it.
        excluded: a vector file that holds no labels.

    Raises:
        PipelineError: there is no image; an image or a label has no counterpart, or more than one.
    """
    listing = Listing.of(root, files, excluded)
    images, labels = listing.divide()
    unread = [path for path in files if path.suffix.lower() in UNREAD]
    _refuse_unread(listing, {image.path.with_suffix("") for image in images})
    if not images:
        raise PipelineError(
            f"{root / 'images'} contains no .tif, .png or .jpg; expected images there, and their masks, of the same "
            f"names, in masks/; {listing.describe()}"
        )
    parts = sorted({member.part for member in (*images, *labels)})
    _refuse_unused(listing, parts)
    if common := _common_labels(listing, images, labels):
        pairs = [Pair(image.name, image.path, common, image.part) for image in images]
    elif labels or {path.stem for path in unread} & {image.path.stem for image in images}:
        pairs = []
        for part in parts:
            images_of, labels_of = ([m for m in members if m.part == part] for members in (images, labels))
            pairs += match_names(images_of, labels_of, unread)
    else:
        raise PipelineError(_without_labels(listing))
    if any(pair.part for pair in pairs) and (lists := [path for path in files if path.as_posix() in OFFICIAL_LISTS]):
        raise PipelineError(
            f"{root / lists[0]} lists chips, and folders such as {pairs[-1].part}/ divide them too; remove one of both"
        )
    return _distinct(root, pairs)


def part_lists(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return the contents of train.txt, val.txt and test.txt for folders of these names; empty without them."""
    parts = sorted({pair.part for pair in pairs} - {""})
    return {f"{part}.txt": "".join(f"{pair.scene}\n" for pair in pairs if pair.part == part) for part in parts}


def with_scenes(entries: Sequence[str], pairs: Sequence[Pair]) -> str:
    """Return a list of chips or images, one a line, where images with a suffix such as `_sat` have that of the scene.

    Args:
        entries: may have folders and the suffix of a file.
        pairs: the images of the folder.
    """
    scene_of = {pair.image.stem: pair.scene for pair in pairs}
    names = [PurePosixPath(entry.replace("\\", "/")) for entry in entries]
    stems = [path.stem if path.suffix.lower() in IMAGE_ENDINGS else path.name for path in names]
    return "".join(f"{scene_of.get(stem, entry)}\n" for stem, entry in zip(stems, entries, strict=True))


def _refuse_unread(listing: Listing, stems: set[Path]) -> None:
    """Check that no image is left out because of its format, nor a list of chips because of its name.

    Args:
        listing: the folder.
        stems: the images, without suffixes.

    Raises:
        PipelineError: one is.
    """
    for path in listing.files:
        if len(path.parts) == 1 and path.name not in OFFICIAL_LISTS and path.name.lower() in OFFICIAL_LISTS:
            raise PipelineError(f"{listing.root / path} is not read; rename it to {path.name.lower()}, or remove it")
        in_images = any(name.lower() in IMAGE_FOLDERS for name in path.parts[:-1])
        is_image = path.suffix.lower() in UNREAD and path.suffix.lower() != ".xml"
        if in_images and is_image and path.with_suffix("") not in stems:
            raise PipelineError(
                f"{listing.root / path} is not read; convert it to .tif or .png, such as with gdal_translate, or "
                "remove it"
            )


def _refuse_unused(listing: Listing, parts: Sequence[str]) -> None:
    """Check that no file is left out because it lies in the folder of a part, but not in one for images or labels."""
    if unused := [member for member in listing.members if member.part and member.part not in parts]:
        folder = listing.folders(IMAGE_FOLDERS)[0]
        raise PipelineError(
            f"{unused[0]} would be left out: other images are in folders {folder}/; move it to "
            f"{listing.root / unused[0].path.parts[0] / folder}/, or remove it"
        )


def _without_labels(listing: Listing) -> str:
    """Describe a folder of images in which no label is found."""
    vectors = [path for path in listing.files if len(path.parts) == 1 and is_vector(path)]
    rename = ""
    if len(vectors) == 1:
        rename = f"; if {vectors[0]} has the labels, rename it to {COMMON_LABELS}{vectors[0].suffix}"
    return (
        f"{listing.root} has images, but no labels: expected masks of the same names in masks/, or "
        f"{COMMON_LABELS}.gpkg; {listing.describe()}{rename}"
    )


def _common_labels(listing: Listing, images: Sequence[Member], labels: Sequence[Member]) -> Path | None:
    """Return the vector file with the labels of all images; None if there is none."""
    at_top = [path for path in listing.files if len(path.parts) == 1 and is_vector(path)]
    beside = [path for path in at_top if path.stem.lower() == COMMON_LABELS]
    if not beside and len(labels) == 1 and is_vector(labels[0].path):
        is_of_one = len(images) > 1 and labels[0].name in {image.name for image in images}
        return None if is_of_one else labels[0].path
    if beside and (others := [*beside[1:], *(label.path for label in labels)]):
        first, other = listing.root / beside[0], listing.root / others[0]
        raise PipelineError(f"{first} and {other} are both labels; keep one")
    return beside[0] if beside else None


def _distinct(root: Path, pairs: list[Pair]) -> list[Pair]:
    """Sort by scene; put the part before names that occur in several."""
    counts = Counter(pair.scene for pair in pairs)
    pairs = [
        replace(pair, scene=f"{pair.part}_{pair.scene}" if counts[pair.scene] > 1 else pair.scene) for pair in pairs
    ]
    pairs.sort(key=lambda pair: pair.scene)
    for first, second in pairwise(pairs):
        if first.scene == second.scene:
            raise PipelineError(f"{root / first.image} and {root / second.image} are two files for one scene; keep one")
    return pairs


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
