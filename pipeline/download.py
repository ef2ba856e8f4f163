"""Fetch a dataset's archive to data/raw/, in the archive's own layout."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from pipeline.core.cli import progress, run
from pipeline.core.failures import OnError, partition_results, report_failures
from pipeline.core.files import atomic_path, sha256, write_text
from pipeline.core.params import Params
from pipeline.formats.classes import user_classes, write_classes
from pipeline.formats.datasets import CLASSES, BandsSection, DatasetName
from pipeline.importing.rules import rules_kind
from pipeline.raster.layout import MANIFEST, WRITTEN_BY_DOWNLOAD, write_source
from pipeline.raster.originals import Originals
from pipeline.sources.archive import fetch_archive
from pipeline.sources.base import Fetched, Request, Source
from pipeline.sources.local import fetch_local
from pipeline.sources.mlhub import fetch_mlhub
from pipeline.sources.sample import fetch_sample
from pipeline.sources.settings import CollectionSettings, GhanaSettings, LandcoveraiSettings, LandcovernetSettings
from pipeline.sources.source_coop import fetch_source_coop

SOURCES: dict[str, Source] = {
    "sample": fetch_sample,
    "local": fetch_local,
    "archive": fetch_archive,
    "mlhub": fetch_mlhub,
    "source_coop": fetch_source_coop,
}
"""By their names in params.yaml."""


class DownloadSection(Params):
    """`download` of params.yaml; each dataset has its own source."""

    landcoverai: LandcoveraiSettings
    landcovernet: LandcovernetSettings
    ghana: GhanaSettings


class DownloadParams(Params):
    """Parameters of the stage."""

    on_error: OnError
    bands: BandsSection
    """A network source fetches no other bands."""
    download: DownloadSection


def manifest(folder: Path, files: Iterable[Fetched]) -> list[tuple[str, int, str, str]]:
    """Return rows (path, size in bytes, SHA-256, origin) sorted by path, without files that the stage itself writes."""
    rows = []
    for file in files:
        if file.path.as_posix() in WRITTEN_BY_DOWNLOAD:  # of an earlier download, now the source
            continue
        path = folder / file.path
        rows.append((file.path.as_posix(), path.stat().st_size, sha256(path), file.origin))
    return sorted(rows)


def download(dataset: DatasetName, raw: Path, failures: Path, params: DownloadParams) -> str:
    """Fetch the archive of DATASET from its source into RAW.

    The stage adds `manifest.csv`, `source.json` and `classes.json`, made from the archive's own `classes.yaml` if it
    has one. Failures are listed in the table FAILURES.
    """
    settings: LandcoveraiSettings | CollectionSettings = getattr(params.download, dataset)
    known_as = Originals(dataset, settings.source, settings.path).location(raw)
    kind = rules_kind(dataset, settings.source)
    request = Request(dataset, settings, params.bands)
    with atomic_path(raw) as folder:
        folder.mkdir()
        files = SOURCES[settings.source](request, folder)
        fetched, failed = partition_results(progress(files, f"download {dataset}", status=request.statistics.status))
        if dataset == "landcoverai":  # class table, lists and vector files alone make no chip
            failed.succeeded = sum(file.path.parts[0] == "images" for file in fetched)
        failures_summary = report_failures(failed, params.on_error, failures, Path(settings.path))
        rows = manifest(folder, fetched)
        write_classes(folder / "classes.json", user_classes(folder, known_as, kind) or CLASSES[dataset])
        write_source(folder, settings.source)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("path", "size", "sha256", "origin"), *rows])
        write_text(folder / MANIFEST, text.getvalue())
    details = "".join((request.statistics.summary(), failures_summary, *(f"; {note}" for note in request.notes)))
    return f"{len(rows)} files, {sum(row[1] for row in rows) / 1e6:.1f} MB from {settings.source}{details}"


if __name__ == "__main__":
    run(download)
