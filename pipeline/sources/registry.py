"""The sources by their names in params.yaml."""

from pipeline.sources.archive import fetch_archive
from pipeline.sources.base import Source
from pipeline.sources.local import fetch_local
from pipeline.sources.mlhub import fetch_mlhub
from pipeline.sources.sample import fetch_sample
from pipeline.sources.source_coop import fetch_source_coop

SOURCES: dict[str, Source] = {
    "sample": fetch_sample,
    "local": fetch_local,
    "archive": fetch_archive,
    "mlhub": fetch_mlhub,
    "source_coop": fetch_source_coop,
}
