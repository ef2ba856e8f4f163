"""Find the images of a folder and their labels, in the layouts that people use."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.core.errors import PipelineError
from pipeline.importing.listing import IMAGE_FOLDERS, UNREAD, Listing, is_vector
from pipeline.importing.pairing import Labelled, Member, match_names, scene_name
from pipeline.raster.layout import OFFICIAL_LISTS
from pipeline.raster.pictures import IMAGE_ENDINGS

COMMON_LABELS = "labels"
"""Stem of a vector file with the labels of all images."""


@dataclass(frozen=True)
class Pair:
    """An image and its label."""

    scene: str
    """Its unique name: that of the image, without a suffix such as `_sat`."""
    image: Path
    """Relative to the folder, as all paths here."""
    label: Path
    """A raster or a vector file; the latter may hold the labels of all images."""
    part: str = ""
    """train, val or test, where folders of these names divide the files."""


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
    images, labels = (list(listing.members(is_label)) for is_label in (False, True))
    _refuse_unread(listing, {image.path.with_suffix("") for _, image in images})
    if not images:
        raise PipelineError(
            f"{root / 'images'} contains no .tif, .png or .jpg; expected images there, and their masks, of the same "
            f"names, in masks/; {listing.describe()}"
        )
    _refuse_unused(listing, {"", *(part for part, _ in (*images, *labels))})
    common = _common_labels(root, files, images, labels)
    if not (common or labels or any(path.stem == image.path.stem for path in listing.unread for _, image in images)):
        raise PipelineError(_without_labels(listing))
    if common:
        matched = [(part, Labelled(scene_name(image), image.path, common)) for part, image in images]
    else:
        parts = sorted({part for part, _ in (*images, *labels)})
        matched = [
            (part, labelled)
            for part in parts
            for labelled in match_names(_of(images, part), _of(labels, part), listing.unread)
        ]
    pairs = [Pair(labelled.scene, labelled.image, labelled.label, part) for part, labelled in matched]
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


def _refuse_unused(listing: Listing, parts: set[str]) -> None:
    """Check that no file is left out because it lies in the folder of a part, but not in one for images or labels."""
    if unused := [path for path, place in listing.places.items() if place.part not in parts]:
        folder = min(listing.image_folders)
        raise PipelineError(
            f"{listing.root / unused[0]} would be left out: other images are in folders {folder}/; move it to "
            f"{listing.root / unused[0].parts[0] / folder}/, or remove it"
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


def _common_labels(
    root: Path, files: Sequence[Path], images: list[tuple[str, Member]], labels: list[tuple[str, Member]]
) -> Path | None:
    """Return the vector file with the labels of all images; None if there is none."""
    beside = [path for path in files if len(path.parts) == 1 and is_vector(path) and path.stem.lower() == COMMON_LABELS]
    if not beside and len(labels) == 1 and is_vector(labels[0][1].path):
        named = {image.name for _, image in images} if len(images) > 1 else set()
        return None if labels[0][1].name in named else labels[0][1].path
    if len(beside) + bool(labels and beside) > 1:
        other = beside[1] if len(beside) > 1 else labels[0][1].path
        raise PipelineError(f"{root / beside[0]} and {root / other} are both labels; keep one")
    return beside[0] if beside else None


def _distinct(root: Path, pairs: list[Pair]) -> list[Pair]:
    """Sort by scene; put the part before names that occur in several."""
    counts = Counter(pair.scene for pair in pairs)
    pairs = [
        replace(pair, scene=f"{pair.part}_{pair.scene}" if counts[pair.scene] > 1 else pair.scene) for pair in pairs
    ]
    pairs.sort(key=lambda pair: pair.scene)
    for first, second in zip(pairs, pairs[1:], strict=False):
        if first.scene == second.scene:
            raise PipelineError(f"{root / first.image} and {root / second.image} are two files for one scene; keep one")
    return pairs


def _of(members: list[tuple[str, Member]], part: str) -> list[Member]:
    return [member for own, member in members if own == part]
