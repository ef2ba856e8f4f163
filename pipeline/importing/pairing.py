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
    part: str = ""
    """train, val or test, where folders of these names divide the files."""
    folder: str = ""
    """Name of the folder for images or labels that it is in, in lower case; "" in none."""

    @property
    def name(self) -> str:
        """The stem; macOS decomposes ü into two characters.

        Raises:
            PipelineError: it does not fit on a line; lists of chips have one id a line.
        """
        name = unicodedata.normalize("NFC", self.path.stem)
        if not name.isprintable():
            raise PipelineError(f"{str(self)!r} has a line break or control character in its name; rename it")
        return name

    def __str__(self) -> str:
        return str(self.root / self.path)


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
    """See `Member.part`."""


def match_names(images: Sequence[Member], labels: Sequence[Member], unread: Sequence[Path]) -> list[Pair]:
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
    for image_suffixes in (("",), IMAGE_SUFFIXES):
        bare = {
            _without(name, image_suffixes): name
            for name in sorted(image_of.keys() - shared.keys())
            if name.lower().endswith(image_suffixes)
        }
        for label in sorted(label_of.keys() - {*shared.values()}):
            if (image := bare.pop(_without(label, LABEL_SUFFIXES), None)) is not None:
                shared[image] = label
    scenes = {image: image if image == label else _without(label, LABEL_SUFFIXES) for image, label in shared.items()}
    lonely_images = [image_of[name] for name in sorted(image_of.keys() - shared.keys())]
    lonely_labels = [label_of[name] for name in sorted(label_of.keys() - {*shared.values()})]
    for lonely in lonely_labels:
        if twins := [image for image, scene in scenes.items() if scene == _without(lonely.name, LABEL_SUFFIXES)]:
            raise PipelineError(f"{label_of[shared[twins[0]]]} and {lonely} are two labels for one image; keep one")
    if lonely_images:
        raise PipelineError(_lonely(lonely_images, "mask", lonely_labels, unread))
    if lonely_labels:
        raise PipelineError(_lonely(lonely_labels, "image", [], unread))
    return [
        Pair(scenes[name], image_of[name].path, label_of[shared[name]].path, image_of[name].part)
        for name in sorted(shared)
    ]


def _by_name(members: Iterable[Member]) -> dict[str, Member]:
    named: dict[str, Member] = {}
    for member in members:
        if (first := named.setdefault(member.name, member)) is not member:
            raise PipelineError(f"{first} and {member} are two files for one scene; keep one")
    return named


def _without(name: str, suffixes: Sequence[str]) -> str:
    suffix = next((suffix for suffix in suffixes if suffix and name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _lonely(members: Sequence[Member], missing: str, others: Sequence[Member], unread: Sequence[Path]) -> str:
    """Describe the first file without its counterpart, and the nearest fit among the others."""
    member = members[0]
    more = f" (and {len(members) - 1} more without one)" if len(members) > 1 else ""
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
