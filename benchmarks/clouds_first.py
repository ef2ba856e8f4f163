"""Bytes downloaded with cloud masks first, compared with downloading every date: sample archives on a local server.

python -m benchmarks.clouds_first
"""

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.core.failures import Failure
from pipeline.core.params import load_params
from pipeline.download import DownloadParams
from pipeline.formats.datasets import DatasetName
from pipeline.sentinel.date_selection import CloudFilterSection
from pipeline.sources.base import Request
from pipeline.sources.mlhub import fetch_mlhub
from pipeline.sources.sample import fetch_sample
from tests.sources.hub import hub

HUB_NAMES: dict[DatasetName, str] = {"landcovernet": "ref_landcovernet_af_v1", "ghana": "su_african_crops_ghana"}
KEEP_ALL = {"max_cloud": 1.0, "max_shadow": 1.0, "max_haze": 1.0, "max_no_data": 1.0, "dates": 999}


def all_dates(section: CloudFilterSection) -> CloudFilterSection:
    """Return thresholds that keep every date."""
    widened: dict[str, Any] = {name: getattr(section, name).model_copy(update=KEEP_ALL) for name in HUB_NAMES}
    return section.model_copy(update=widened)


def download(request: Request, folder: Path, server: str) -> tuple[int, int]:
    """Download into an empty folder with an empty cache; return the number of bytes and of GeoTIFFs."""
    folder.mkdir()
    os.environ |= {"PIPELINE_CACHE": str(folder / "cache"), "MLHUB_ROOT_URL": server, "MLHUB_API_KEY": "the-secret-key"}
    files = list(fetch_mlhub(request, folder))
    assert not [file for file in files if isinstance(file, Failure)]
    return request.traffic.received, sum(file.path.suffix == ".tif" for file in files if not isinstance(file, Failure))


def main() -> None:
    """Print bytes and files of both ways for each dataset."""
    logging.disable()
    params = load_params(DownloadParams)
    for dataset, name in HUB_NAMES.items():
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch, "archive")
            archive.mkdir()
            first = Request(dataset, getattr(params.download, dataset), params.bands, params.cloud_filter)
            assert list(fetch_sample(first, archive))
            every = replace(first, cloud_filter=all_dates(params.cloud_filter), traffic=type(first.traffic)())
            with hub(archive, name) as server:
                few, few_files = download(first, Path(scratch, "few"), server.root)
                all_, all_files = download(every, Path(scratch, "all"), server.root)
        print(
            f"{dataset}: clouds first {few / 1e6:.2f} MB in {few_files} files, every date {all_ / 1e6:.2f} MB in "
            f"{all_files} files, ratio {few / all_:.2f}"
        )


if __name__ == "__main__":
    main()
