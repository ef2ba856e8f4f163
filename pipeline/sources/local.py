"""The source `local`: an archive, or your own data in the layout of an archive, in a folder on disk."""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, reraise_stage_errors
from pipeline.core.files import copy, remove, visible_files
from pipeline.formats.classes import USER_CLASSES
from pipeline.raster.layout import OFFICIAL_LISTS, TIFF_ENDINGS, RawFolder
from pipeline.sources.base import Fetched, Request

EXPECTED = {
    "landcoverai": "images/*.tif and masks/*.tif",
    "landcovernet": "ref_landcovernet_*_labels/ and ref_landcovernet_*_source_sentinel_2/",
    "ghana": "su_african_crops_ghana_labels/ and su_african_crops_ghana_source_s2/",
}


def fetch_local(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Copy all visible files below `download.D.path`; a relative path is relative to the project.

    If a file cannot be copied, its whole scene or item is left out: an image must not lose its sidecar files, which
    may define its no-data.

    Raises:
        PipelineError: the path is not a folder, is empty, or has another layout.
        StageError: the class table or a list of chips cannot be copied.
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
    RawFolder(request.dataset, root).require_layout()  # before gigabytes are copied
    group_of = partial(_group, scenes={path.stem for path in files if path.suffix.lower() in TIFF_ENDINGS})
    for _, group in groupby(sorted(files, key=lambda path: (group_of(path), path)), group_of):
        yield from _copy_together(root, folder, list(group))


def _group(path: Path, scenes: set[str]) -> str:
    """Return the scene or item of a file: the longest scene name with which it begins, else its folder."""
    if path.parts[0] in ("images", "masks"):
        matching = (scene for scene in scenes if path.name.startswith(f"{scene}."))
        return max(matching, key=len, default=path.name)
    return path.parent.as_posix() if len(path.parts) > 1 else path.name


def _copy_together(root: Path, folder: Path, files: list[Path]) -> Iterator[Fetched | Failure]:
    """Copy all files or none; yield the files, or the failures."""
    failures = []
    for path in files:
        try:
            copy(root / path, folder / path)
        except OSError as error:
            reraise_stage_errors(error)
            reason = f"{root / path} cannot be copied: {error.strerror or error}"
            if path.as_posix() in (USER_CLASSES, *OFFICIAL_LISTS):
                raise StageError(f"{reason}; all files depend on it: make it readable, or remove it") from None
            failures.append(Failure(path.as_posix(), reason))
    if failures:
        for path in files:
            remove(folder / path)
        yield from failures
    else:
        yield from (Fetched(path, path.as_posix()) for path in files)
