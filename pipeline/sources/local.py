"""The source `local`: an archive, or one's own data in an archive's layout, in a folder on disk."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.batch import Failure, stop_if_spent
from pipeline.catalog import require_layout
from pipeline.errors import PipelineError
from pipeline.files import copy, remove, visible_files
from pipeline.sources.base import Fetched, Request

EXPECTED = {
    "landcoverai": "images/*.tif and masks/*.tif",
    "landcovernet": "ref_landcovernet_*_labels/ and ref_landcovernet_*_source_sentinel_2/",
    "ghana": "su_african_crops_ghana_labels/ and su_african_crops_ghana_source_s2/",
}


def fetch_local(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Copy every visible file below `download.D.path`; a relative path counts from the project's folder.

    Raises:
        PipelineError: the path is no folder, or holds no file, or none where the later stages look for it.
    """
    root = Path(request.settings.path)
    wanted = f"download.{request.dataset}.path is {request.settings.path!r}"
    expected = EXPECTED[request.dataset]
    if not root.is_dir():
        raise PipelineError(f"{wanted}, which is no folder; name one that holds {expected}")
    files = visible_files(root)
    if not files:
        raise PipelineError(
            f"{wanted}, which holds no file; put {expected} there, or name another folder "
            "(by its absolute path for `dvc exp run --queue` or `--temp`, which run in a copy of the project)"
        )
    require_layout(request.dataset, root)  # before gigabytes are copied
    for path in files:
        relative = path.relative_to(root)
        try:
            copy(path, folder / relative)
        except OSError as error:
            remove(folder / relative)
            stop_if_spent(error)
            yield Failure(relative.as_posix(), f"{path} cannot be copied: {error.strerror or error}")
        else:
            yield Fetched(relative, relative.as_posix())
