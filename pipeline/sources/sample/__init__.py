"""The source `sample`: synthetic archives in the layout of the real ones, generated from a seed."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.formats.datasets import DatasetName
from pipeline.sources.base import Fetched, Request
from pipeline.sources.sample.ghana import write_ghana
from pipeline.sources.sample.landcoverai import write_landcoverai
from pipeline.sources.sample.landcovernet import write_landcovernet

_WRITERS: dict[DatasetName, Callable[[int, Path], Iterator[Path]]] = {
    "landcoverai": write_landcoverai,
    "landcovernet": write_landcovernet,
    "ghana": write_ghana,
}


def fetch_sample(request: Request, folder: Path) -> Iterator[Fetched]:
    """Generate a synthetic archive in `folder`; the same seed gives the same bytes on any Linux x86-64."""
    seed = request.settings.sample_seed
    for path in _WRITERS[request.dataset](seed, folder):
        yield Fetched(path, f"synthetic/sample/seed-{seed}/{path.as_posix()}")
