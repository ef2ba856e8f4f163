"""Bytes downloaded with cloud masks first and with all dates: the sample archives from a local server.

python -m benchmarks.clouds_first
"""

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from pipeline.core.failures import partition_results
from pipeline.core.params import load_params
from pipeline.download import DownloadParams
from pipeline.formats.datasets import DatasetName
from pipeline.sources.base import Request
from pipeline.sources.mlhub import fetch_mlhub
from pipeline.sources.sample import fetch_sample
from pipeline.sources.transfer_statistics import TransferStatistics
from tests.sources.hub import hub

NAMES: dict[DatasetName, str] = {"landcovernet": "ref_landcovernet_af_v1", "ghana": "su_african_crops_ghana"}


def fetch_all_dates(request: Request) -> Request:
    """Return the same request with the bands of all dates."""
    clouds_first = request.collection.clouds_first.model_copy(
        update={"max_cloud": 1.0, "max_no_data": 1.0, "dates": 999}
    )
    settings = request.collection.model_copy(update={"clouds_first": clouds_first})
    return replace(request, settings=settings, statistics=TransferStatistics())


def transferred(request: Request, folder: Path, server: str) -> tuple[int, int]:
    """Download to an empty folder with an empty cache; return the numbers of bytes and GeoTIFFs."""
    folder.mkdir()
    os.environ |= {"PIPELINE_CACHE": str(folder / "cache"), "MLHUB_ROOT_URL": server, "MLHUB_API_KEY": "the-secret-key"}
    files, failures = partition_results(fetch_mlhub(request, folder))
    assert not failures
    return request.statistics.received, sum(file.path.suffix == ".tif" for file in files)


def main() -> None:
    """Print the bytes of both for each dataset."""
    logging.disable()
    params = load_params(DownloadParams)
    for dataset, name in NAMES.items():
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch, "archive")
            archive.mkdir()
            request = Request(dataset, getattr(params.download, dataset), params.bands)
            assert list(fetch_sample(request, archive))
            with hub(archive, name) as server:
                few, few_files = transferred(request, Path(scratch, "few"), server.root)
                all_, all_files = transferred(fetch_all_dates(request), Path(scratch, "all"), server.root)
        print(
            f"{dataset}: clouds first {few / 1e6:.2f} MB in {few_files} files, all dates {all_ / 1e6:.2f} MB in "
            f"{all_files} files, ratio {few / all_:.2f}"
        )


if __name__ == "__main__":
    main()
