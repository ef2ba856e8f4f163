"""Pair images with labels by their names."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline.core.errors import PipelineError

LABEL_SUFFIXES = ("_mask", "-mask", "_masks", "_label", "-label", "_labels", "_gt", "-gt")
IMAGE_SUFFIXES = ("_image", "-image", "_img", "_sat", "_rgb")
"""Suffixes of an image whose label has another instead, as in DeepGlobe's `1_sat.jpg` and `1_mask.png`."""


@dataclass(frozen=True)
class Member:
    """An image or a label of a folder."""

    root: Path
    path: Path
    """Relative to `root`."""

    @property
    def name(self) -> str:
        """The stem; macOS decomposes ü into two characters."""
        return unicodedata.normalize("NFC", self.path.stem)

    def __str__(self) -> str:
        return str(self.root / self.path)


@dataclass(frozen=True)
class Labelled:
    """An image and its label, relative to their folder."""

    scene: str
    image: Path
    label: Path


def scene_name(member: Member) -> str:
    """Return the stem of a file.

    Raises:
        PipelineError: it does not fit on a line; lists of chips have one id a line.
    """
    if not member.name.isprintable():
        raise PipelineError(f"{str(member)!r} has a line break or control character in its name; rename it")
    return member.name


def match_names(images: Sequence[Member], labels: Sequence[Member], unread: Sequence[Path]) -> list[Labelled]:
    """Pair each image with the label of its name, or of its name with a suffix; the scene is what both share.

    Args:
        images: of one part of the split.
        labels: of the same part.
        unread: other files of the folder, to be named if an image has no label.

    Raises:
        PipelineError: an image or a label has no counterpart, or more than one.
    """
    image_of, label_of = _by_name(images), _by_name(labels)
    shared = {name: name for name in image_of.keys() & label_of.keys()}  # from image to label
    _match(shared, image_of.keys() - shared.keys(), label_of.keys() - set(shared.values()), image_suffixes=("",))
    _match(shared, image_of.keys() - shared.keys(), label_of.keys() - set(shared.values()), IMAGE_SUFFIXES)
    lonely_images = sorted(image_of.keys() - shared.keys())
    lonely_labels = sorted(label_of.keys() - set(shared.values()))
    for name in lonely_labels:
        if twins := [
            label for label in shared.values() if _without(label, LABEL_SUFFIXES) == _without(name, LABEL_SUFFIXES)
        ]:
            raise PipelineError(f"{label_of[twins[0]]} and {label_of[name]} are two labels for one image; keep one")
    for missing, names, files, others in (
        ("mask", lonely_images, image_of, [label_of[name] for name in lonely_labels]),
        ("image", lonely_labels, label_of, [image_of[name] for name in lonely_images]),
    ):
        if names:
            raise PipelineError(_lonely(files[names[0]], len(names), missing, others, unread))
    scenes = {image: image if image == label else _without(label, LABEL_SUFFIXES) for image, label in shared.items()}
    return [Labelled(scenes[name], image_of[name].path, label_of[shared[name]].path) for name in sorted(shared)]


def _by_name(members: Iterable[Member]) -> dict[str, Member]:
    named: dict[str, Member] = {}
    for member in members:
        if (first := named.setdefault(scene_name(member), member)) is not member:
            raise PipelineError(f"{first} and {member} are two files for one scene; keep one")
    return named


def _match(shared: dict[str, str], images: set[str], labels: set[str], image_suffixes: Sequence[str]) -> None:
    """Add the pairs that have the same name without their suffixes."""
    bare = {
        _without(name, image_suffixes): name for name in sorted(images) if name.lower().endswith(tuple(image_suffixes))
    }
    for label in sorted(labels):
        image = bare.pop(_without(label, LABEL_SUFFIXES), None)
        if image is not None:
            shared[image] = label


def _without(name: str, suffixes: Sequence[str]) -> str:
    suffix = next((suffix for suffix in suffixes if suffix and name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _lonely(member: Member, count: int, missing: str, others: Sequence[Member], unread: Sequence[Path]) -> str:
    """Describe a file without its counterpart, and the nearest fit among the others."""
    more = f" (and {count - 1} more without one)" if count > 1 else ""
    near = [path for path in unread if path.stem == member.path.stem]
    if near and missing == "mask":
        how = "" if near[0].suffix.lower() in (".npy", ".xml") else " (gdal_translate)"
        return (
            f"{member} has no mask{more}; {member.root / near[0]} lies there, but is not read: convert it to .tif or "
            f".png{how}"
        )
    names = {other.name: other for other in others}
    fits = get_close_matches(member.name, names, n=1, cutoff=0)
    found = f"; nearest is {names[fits[0]]}: rename it" if fits else ""
    expected = f"expected {member.name}.tif or .png in images/ and in masks/"
    return f"{member} has no {missing}{more}{found}; {expected}"
