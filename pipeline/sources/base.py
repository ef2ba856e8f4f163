"""The interface between the stage `download` and a source."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.core.failures import Failure
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.sentinel.items import ReadOptions
from pipeline.sources.settings import CollectionSettings, LandcoveraiSettings
from pipeline.sources.transfer_statistics import TransferStatistics


@dataclass(frozen=True)
class Request:
    """What to fetch."""

    dataset: DatasetName
    settings: LandcoveraiSettings | CollectionSettings
    bands: BandsSection
    """The bands that are used; a network source fetches no others."""
    statistics: TransferStatistics = field(default_factory=TransferStatistics)
    notes: list[str] = field(default_factory=list)
    """What the user should read about the files, one line each; the source adds them."""

    @property
    def collection(self) -> CollectionSettings:
        """The settings, of a Sentinel-2 dataset."""
        assert isinstance(self.settings, CollectionSettings)
        return self.settings

    @property
    def read_options(self) -> ReadOptions:
        """How a network source reads the items of a Sentinel-2 dataset to judge their clouds."""
        clouds = self.collection.clouds_first
        return ReadOptions(self.dataset, self.bands, clouds.clouds, clouds.cld_threshold)


@dataclass(frozen=True)
class Fetched:
    """A file of the archive that is now in the raw folder."""

    path: Path
    """Relative to the raw folder."""
    origin: str
    """Relative to the source: a host or an absolute path would change the hash of the raw folder."""


class Source(Protocol):
    """Provide a dataset's archive in a folder, in the archive's own layout."""

    def __call__(self, request: Request, folder: Path) -> Iterator[Fetched | Failure]:
        """Write the archive below `folder`, which exists and is empty; yield each file once it is finished or failed.

        Raises:
            PipelineError: the archive as a whole cannot be fetched.
        """
