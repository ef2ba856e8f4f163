"""The source `local`: own images and labels, or a copy of an archive, in a folder on disk."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, reraise_stage_errors
from pipeline.core.files import copy, remove, visible_files
from pipeline.formats.classes import USER_CLASSES
from pipeline.importing.importer import Importer, read_rules
from pipeline.raster.layout import RawFolder
from pipeline.sources.base import Fetched, Request

EXPECTED = {
    "landcoverai": "images/*.tif, .png or .jpg, and masks/ of the same names or labels.gpkg",
    "landcovernet": "ref_landcovernet_*_labels/ and ref_landcovernet_*_source_sentinel_2/",
    "ghana": "su_african_crops_ghana_labels/ and su_african_crops_ghana_source_s2/",
}


def fetch_local(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Bring the files below `download.D.path` into the raw folder; a relative path is relative to the project.

    Own images and their labels are imported, see `pipeline.importing`; all visible files of another archive are copied.
    If a file fails, its whole scene or item is left out: an image must not lose its sidecar files, which may define its
    no-data.

    Raises:
        PipelineError: the path is not a folder, is empty, or has another layout.
        StageError: the class table or a list of chips of own images cannot be copied.
    """
    root = Path(request.settings.path)
    setting = f"download.{request.dataset}.path is {request.settings.path!r}"
    expected = EXPECTED[request.dataset]
    if not root.is_dir():
        raise PipelineError(f"{setting}, which is not a folder; expected one with {expected}")
    try:
        files = [path.relative_to(root) for path in visible_files(root)]
    except OSError as error:
        raise PipelineError(
            f"{setting}, and {error.filename} in it cannot be read ({error.strerror}); make it readable, or remove it"
        ) from None
    if not files:
        raise PipelineError(
            f"{setting}, which contains no files; put {expected} there, or set another folder "
            "(an absolute path for `dvc exp run --queue` or `--temp`, which run in a copy of the project)"
        )
    if request.dataset == "landcoverai":
        yield from _import(request, root, folder, files)
        return
    RawFolder(request.dataset, root).require_layout()  # before gigabytes are copied
    for _, group in groupby(sorted(files, key=lambda path: (_item(path), path)), _item):
        yield from _copy_together(root, folder, list(group))


def _import(request: Request, root: Path, folder: Path, files: list[Path]) -> Iterator[Fetched | Failure]:
    if not (root / USER_CLASSES).exists():
        request.notes.append(f"{root} has no {USER_CLASSES}: its classes are LandCover.ai's")
    importer = Importer(root, folder, read_rules(root), request.notes)
    for result in importer.import_files(files):
        yield result if isinstance(result, Failure) else Fetched(result.path, result.origin.as_posix())


def _item(path: Path) -> str:
    """Return the item of a file, its folder."""
    return path.parent.as_posix() if len(path.parts) > 1 else path.name


def _copy_together(root: Path, folder: Path, files: list[Path]) -> Iterator[Fetched | Failure]:
    """Copy all files or none; yield the files, or the failures."""
    failures = []
    for path in files:
        try:
            copy(root / path, folder / path)
        except OSError as error:
            reraise_stage_errors(error)
            failures.append(Failure(path.as_posix(), f"{root / path} cannot be copied: {error.strerror or error}"))
    if failures:
        for path in files:
            remove(folder / path)
        yield from failures
    else:
        yield from (Fetched(path, path.as_posix()) for path in files)
