"""The source `local`: an archive, or one's own data in an archive's layout, in a folder on disk."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.datasets import DatasetName
from pipeline.errors import PipelineError
from pipeline.files import copy, visible_files
from pipeline.sources.base import Fetched, SourceSettings

EXPECTED = {
    "landcoverai": "images/*.tif and masks/*.tif",
    "landcovernet": "ref_landcovernet_*_labels/ and ref_landcovernet_*_source_sentinel_2/",
    "ghana": "su_african_crops_ghana_labels/ and su_african_crops_ghana_source_s2/",
}


def fetch_local(dataset: DatasetName, settings: SourceSettings, folder: Path) -> Iterator[Fetched]:
    """Copy every visible file below `settings.path`; a relative path counts from the project's folder.

    Raises:
        PipelineError: the path is no folder, or holds no file.
    """
    root = Path(settings.path)
    wanted = f"download.{dataset}.path is {settings.path!r}"
    if not root.is_dir():
        raise PipelineError(f"{wanted}, which is no folder; name one that holds {EXPECTED[dataset]}")
    files = visible_files(root)
    if not files:
        raise PipelineError(
            f"{wanted}, which holds no file; put {EXPECTED[dataset]} there, or name another folder "
            "(by its absolute path for `dvc exp run --queue` or `--temp`, which run in a copy of the project)"
        )
    for path in files:
        relative = path.relative_to(root)
        copy(path, folder / relative)
        yield Fetched(relative, relative.as_posix())
