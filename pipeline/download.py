"""Brings a dataset's archive to data/raw/, in the archive's own layout."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from pipeline.catalog import write_source
from pipeline.classes import read_classes, write_classes
from pipeline.command import progress, run
from pipeline.datasets import CLASSES, DatasetName
from pipeline.files import published, sha256, write_text
from pipeline.params import Params
from pipeline.sources.base import Fetched
from pipeline.sources.registry import SOURCES, CollectionSettings, LandcoveraiSettings

WRITTEN_HERE = ("classes.json", "manifest.csv", "source.json")
"""What the stage adds to the archive's files, or replaces."""


class DownloadSection(Params):
    """Each dataset has its own source, so that one person's archive never triggers another's."""

    landcoverai: LandcoveraiSettings
    landcovernet: CollectionSettings
    ghana: CollectionSettings


class DownloadParams(Params):
    """What `download` reads of params.yaml."""

    download: DownloadSection


def manifest(folder: Path, files: Iterable[Fetched]) -> list[tuple[str, int, str, str]]:
    """(path, size in bytes, SHA-256, origin) of each file, sorted by path; without those that the stage writes."""
    rows = []
    for file in files:
        if file.path.as_posix() in WRITTEN_HERE:  # by an earlier download, which was copied
            continue
        path = folder / file.path
        rows.append((file.path.as_posix(), path.stat().st_size, sha256(path), file.origin))
    return sorted(rows)


def download(dataset: DatasetName, raw: Path, params: DownloadParams) -> str:
    """Fetch the archive of DATASET from the source that params name into RAW.

    Beside the archive's files RAW gets `manifest.csv`, `source.json`, and `classes.json`: the table of the archive's
    own `classes.yaml` if it brings one, else the dataset's usual classes.
    """
    settings: LandcoveraiSettings | CollectionSettings = getattr(params.download, dataset)
    with published(raw) as folder:
        folder.mkdir()
        files = SOURCES[settings.source](dataset, settings, folder)
        rows = manifest(folder, progress(files, f"download {dataset}"))
        own = folder / "classes.yaml"
        write_classes(folder / "classes.json", read_classes(own) if own.is_file() else CLASSES[dataset])
        write_source(folder, settings.source)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("path", "size", "sha256", "origin"), *rows])
        write_text(folder / "manifest.csv", text.getvalue())
    size = sum(row[1] for row in rows)
    return f"{len(rows)} files, {size / 1e6:.1f} MB from {settings.source}"


if __name__ == "__main__":
    run(download)
