"""The source `local`: an archive, or one's own data in an archive's layout, in a folder on disk."""

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
    """Copy every visible file below `download.D.path`; a relative path counts from the project's folder.

    A file that cannot be copied takes its scene or item with it: an image whose no-data stands in a file beside it
    would otherwise lose it.

    Raises:
        PipelineError: the path is no folder, or holds no file, or none where the later stages look for it.
        StageError: a file that all others depend on cannot be copied: the table of classes, or a list of chips.
    """
    root = Path(request.settings.path)
    wanted = f"download.{request.dataset}.path is {request.settings.path!r}"
    expected = EXPECTED[request.dataset]
    if not root.is_dir():
        raise PipelineError(f"{wanted}, which is no folder; name one that holds {expected}")
    try:
        files = [path.relative_to(root) for path in visible_files(root)]
    except OSError as error:
        raise PipelineError(
            f"{wanted}, and {error.filename} in it cannot be read ({error.strerror}); make it readable, or move it away"
        ) from None
    if not files:
        raise PipelineError(
            f"{wanted}, which holds no file; put {expected} there, or name another folder "
            "(by its absolute path for `dvc exp run --queue` or `--temp`, which run in a copy of the project)"
        )
    RawFolder(request.dataset, root).require_layout()  # before gigabytes are copied
    whole = partial(_belongs_to, scenes={path.stem for path in files if path.suffix.lower() in TIFF_ENDINGS})
    for _, group in groupby(sorted(files, key=lambda path: (whole(path), path)), whole):
        yield from _copy_together(root, folder, list(group))


def _belongs_to(path: Path, scenes: set[str]) -> str:
    """What a file is a part of: the scene whose name it begins with, else the item in whose folder it lies."""
    if path.parts[0] in ("images", "masks"):
        own = (scene for scene in scenes if path.name.startswith(f"{scene}."))
        return max(own, key=len, default=path.name)
    return path.parent.as_posix() if len(path.parts) > 1 else path.name


def _copy_together(root: Path, folder: Path, files: list[Path]) -> Iterator[Fetched | Failure]:
    """Copy all of some files, or none; yield them, or which failed."""
    failures = []
    for path in files:
        try:
            copy(root / path, folder / path)
        except OSError as error:
            reraise_stage_errors(error)
            reason = f"{root / path} cannot be copied: {error.strerror or error}"
            if path.as_posix() in (USER_CLASSES, *OFFICIAL_LISTS):
                raise StageError(f"{reason}; all files depend on it: make it readable, or take it away") from None
            failures.append(Failure(path.as_posix(), reason))
    if failures:
        for path in files:
            remove(folder / path)
        yield from failures
    else:
        yield from (Fetched(path, path.as_posix()) for path in files)
