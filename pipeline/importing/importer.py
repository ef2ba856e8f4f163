"""Import the images and labels of a folder as GeoTIFFs in the layout of LandCover.ai."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shlex import quote

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, catch_failures, reraise_stage_errors
from pipeline.core.files import copy, remove, write_text
from pipeline.core.parallel import parallel_map
from pipeline.formats.classes import USER_CLASSES, user_classes
from pipeline.formats.datasets import CLASSES
from pipeline.importing.colours import UnknownColoursError
from pipeline.importing.pairing import Pair
from pipeline.importing.pictures import import_image
from pipeline.importing.polygon_classes import LabelledPolygons, read_labelled
from pipeline.importing.polygon_masks import PolygonMask, write_polygon_mask
from pipeline.importing.raster_masks import import_mask
from pipeline.importing.rules import LabelRules
from pipeline.importing.survey import is_vector, part_lists, survey, with_scenes
from pipeline.raster.layout import OFFICIAL_LISTS, read_list
from pipeline.raster.sidecars import find_sidecars

IMAGES, MASKS = "images", "masks"


@dataclass(frozen=True)
class Imported:
    """A file in the raw folder."""

    path: Path
    """Relative to the raw folder."""
    origin: Path
    """Relative to the user's folder: the file that it was made from."""


@dataclass(frozen=True)
class Importer:
    """Brings files of the user's folder `root` into the raw folder `target`."""

    root: Path
    target: Path
    rules: LabelRules
    notes: list[str] = field(default_factory=list)
    """What the user should read, one line each; complete after `import_files`."""
    _label_notes: list[str] = field(default_factory=list, init=False)
    """The same about vector files of one image each."""
    _masks: list[PolygonMask] = field(default_factory=list, init=False)
    """What polygons were found to cover so far, in any order."""

    def import_files(self, files: Sequence[Path]) -> Iterator[Imported | Failure]:
        """Import each image with its label, and copy the files that all depend on.

        Args:
            files: visible files of the folder, relative to it.

        Raises:
            PipelineError: see `survey`; or a file that all depend on is invalid, or has no polygon in any image.
            StageError: such a file cannot be copied.
        """
        pairs = survey(self.root, files, self.rules.polygons.annotated)
        yield from self._copy_shared(files, pairs)
        labels = {pair.label for pair in pairs}
        common = self._read_polygons(pairs[0].label, self.notes) if len(labels) == 1 < len(pairs) else None
        attempt = catch_failures(partial(self.import_pair, common=common), lambda pair: str(pair.image))
        for result in parallel_map(attempt, pairs):
            yield from [result] if isinstance(result, Failure) else result
        apart = [mask.apart for mask in self._masks if mask.apart]
        if common and apart and len(apart) == len(self._masks):
            raise PipelineError(f"{min(apart)}: they do not overlap, nor do the other images; check the CRS of both")
        self._add_notes([mask.note for mask in self._masks if mask.note])
        self._add_notes(self._label_notes)
        if any(pair.part for pair in pairs):
            self.notes.append("folders of parts are the user's own split: follow them by split.strategy=official")

    def _copy_shared(self, files: Sequence[Path], pairs: Sequence[Pair]) -> Iterator[Imported]:
        """Copy the class table, lists of chips, and vector files with their parts; write lists for folders of parts."""
        vectors = {pair.label for pair in pairs if is_vector(pair.label)} | {self.rules.polygons.annotated} - {None}
        rasters = {path for pair in pairs for path in (pair.image, pair.label)} - vectors
        for path in files:
            is_part = any(v and path.parent == v.parent and path.name.startswith(f"{v.stem}.") for v in vectors)
            if path.as_posix() in (USER_CLASSES, *OFFICIAL_LISTS) or (is_part and path not in rasters):
                try:
                    yield self._copy_list(path, pairs) if path.as_posix() in OFFICIAL_LISTS else self._copy(path, path)
                except PipelineError as error:
                    raise StageError(f"{error}; all files depend on it: make it readable, or remove it") from None
        for name, text in part_lists(pairs).items():
            write_text(self.target / name, text)
            yield Imported(Path(name), Path(name))

    def _copy_list(self, path: Path, pairs: Sequence[Pair]) -> Imported:
        """Copy a list of chips or images, as it is unless images have other names than their scenes."""
        copied = self._copy(path, path)
        if any(pair.scene != pair.image.stem for pair in pairs):
            write_text(self.target / path, with_scenes(read_list(self.root / path), pairs))
        return copied

    def _read_polygons(self, label: Path, notes: list[str]) -> LabelledPolygons:
        annotated = self.rules.polygons.annotated
        labelled = read_labelled(self.root / label, self.rules, annotated and self.root / annotated)
        notes.extend(labelled.notes)
        return labelled

    def import_pair(self, pair: Pair, common: LabelledPolygons | None = None) -> list[Imported]:
        """Write or copy image and mask with their sidecars; neither, if one fails.

        Args:
            pair: which.
            common: the polygons of all images, if it is one of several with the same label.

        Raises:
            PipelineError: a file cannot be read or copied, or has no polygon of its own label.
            OSError: the disk is full.
        """
        imported: list[Imported] = []
        try:
            for file in self._import_pair(pair, common):
                imported.append(file)
        except (PipelineError, OSError, MemoryError):
            for file in imported:
                remove(self.target / file.path)
            raise
        return imported

    def _import_pair(self, pair: Pair, common: LabelledPolygons | None) -> Iterator[Imported]:
        yield from self._import_raster(pair.image, IMAGES, pair.scene, import_image)
        if not is_vector(pair.label):
            yield from self._import_raster(pair.label, MASKS, pair.scene, self._import_mask)
            return
        mask = Imported(Path(MASKS, f"{pair.scene}.tif"), pair.label)
        labelled = common or self._read_polygons(pair.label, self._label_notes)
        written = write_polygon_mask(labelled, self.root / pair.image, self.target / mask.path, self.rules)
        yield mask
        if written.apart and not common:
            raise PipelineError(f"{written.apart}: they do not overlap; check the CRS of both")
        self._masks.append(written)

    def _import_raster(
        self, path: Path, folder: str, scene: str, convert: Callable[[Path, Path], bool]
    ) -> Iterator[Imported]:
        """Convert a raster, or copy it with its sidecars where `convert` returns False; the raster comes first."""
        target = Path(folder, f"{scene}.tif")
        if convert(self.root / path, self.target / target):
            yield Imported(target, path)
            return
        sidecars = [file.relative_to(self.root) for file in find_sidecars(self.root / path).values()]
        is_renamed = unicodedata.normalize("NFC", path.stem) != scene
        for file in (path, *sorted(sidecars)):
            name = f"{scene}{file.name.removeprefix(path.stem)}" if is_renamed else file.name
            yield self._copy(file, Path(folder, name))

    def _import_mask(self, source: Path, target: Path) -> bool:
        try:
            return import_mask(source, target, self.rules)
        except UnknownColoursError as error:
            table = self.root / USER_CLASSES
            if table.exists():
                raise
            unknown = str(error).partition(": ")[0]
            raise PipelineError(
                f"{unknown}; without a {USER_CLASSES} classes are LandCover.ai's: write one, and edit its names: "
                f"python -m pipeline.classes {quote(str(self.root))} > {quote(str(table))}"
            ) from None

    def _copy(self, path: Path, target: Path) -> Imported:
        try:
            copy(self.root / path, self.target / target)
        except OSError as error:
            remove(self.target / target)
            reraise_stage_errors(error)
            raise PipelineError(f"{self.root / path} cannot be copied: {error.strerror or error}") from None
        return Imported(target, path)

    def _add_notes(self, notes: Sequence[str]) -> None:
        """Add the first note about an image or its labels, and the number of others."""
        if notes:
            more = f" (and {len(notes) - 1} more such note{'s' * (len(notes) > 2)})" if len(notes) > 1 else ""
            self.notes.append(min(notes) + more)


def read_rules(root: Path) -> LabelRules:
    """Read the rules for labels from `classes.yaml`; the default ones without it.

    Raises:
        PipelineError: the file is invalid.
    """
    return user_classes(root, root, LabelRules) or default_rules()


def default_rules() -> LabelRules:
    """Return the rules for LandCover.ai's classes."""
    return LabelRules(classes=CLASSES["landcoverai"].classes)
