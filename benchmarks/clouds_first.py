"""Bytes over the network with cloud masks first, against fetching every date: the sample archives from a local server.

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

NAMES: dict[DatasetName, str] = {"landcovernet": "ref_landcovernet_af_v1", "ghana": "su_african_crops_ghana"}
EVERYTHING = {"max_cloud": 1.0, "max_shadow": 1.0, "max_haze": 1.0, "max_no_data": 1.0, "dates": 999}


def all_dates(section: CloudFilterSection) -> CloudFilterSection:
    """Thresholds that keep every date."""
    widened: dict[str, Any] = {name: getattr(section, name).model_copy(update=EVERYTHING) for name in NAMES}
    return section.model_copy(update=widened)


def transferred(asked: Request, folder: Path, server: str) -> tuple[int, int]:
    """Bytes, and files, that a download into an empty folder and an empty cache brings."""
    folder.mkdir()
    os.environ |= {"PIPELINE_CACHE": str(folder / "cache"), "MLHUB_ROOT_URL": server, "MLHUB_API_KEY": "the-secret-key"}
    found = list(fetch_mlhub(asked, folder))
    assert not [each for each in found if isinstance(each, Failure)]
    return asked.traffic.received, sum(each.path.suffix == ".tif" for each in found if not isinstance(each, Failure))


def main() -> None:
    """Print both sides for each dataset."""
    logging.disable()
    params = load_params(DownloadParams)
    for dataset, name in NAMES.items():
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch, "archive")
            archive.mkdir()
            first = Request(dataset, getattr(params.download, dataset), params.bands, params.cloud_filter)
            assert list(fetch_sample(first, archive))
            every = replace(first, cloud_filter=all_dates(params.cloud_filter), traffic=type(first.traffic)())
            with hub(archive, name) as server:
                few, few_files = transferred(first, Path(scratch, "few"), server.root)
                all_, all_files = transferred(every, Path(scratch, "all"), server.root)
        print(
            f"{dataset}: clouds first {few / 1e6:.2f} MB in {few_files} files, every date {all_ / 1e6:.2f} MB in "
            f"{all_files} files, ratio {few / all_:.2f}"
        )


if __name__ == "__main__":
    main()
