"""The sources that params.yaml may name."""

from typing import Literal

from pydantic import field_validator

from pipeline.sources.base import Source, SourceSettings
from pipeline.sources.local import fetch_local
from pipeline.sources.sample import fetch_sample

SOURCES: dict[str, Source] = {"sample": fetch_sample, "local": fetch_local}

LandcoveraiSource = Literal["sample", "local", "archive"]
CollectionSource = Literal["sample", "local", "mlhub", "source_coop"]


class _BuiltSource(SourceSettings):
    source: str

    @field_validator("source", check_fields=False)
    @classmethod
    def _is_built(cls, source: str) -> str:
        if source not in SOURCES:
            raise ValueError(f"the source {source!r} comes next and is not built yet; until then: {', '.join(SOURCES)}")
        return source


class LandcoveraiSettings(_BuiltSource):
    """`download.landcoverai` of params.yaml."""

    source: LandcoveraiSource


class CollectionSettings(_BuiltSource):
    """`download.landcovernet` and `download.ghana` of params.yaml."""

    source: CollectionSource
