"""What a source is to the stage `download`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.core.failures import Failure
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.sentinel.date_selection import CloudFilterSection
from pipeline.sources.settings import CollectionSettings, LandcoveraiSettings
from pipeline.sources.transfer_statistics import TransferStatistics


@dataclass(frozen=True)
class Request:
    """What a source is asked for."""

    dataset: DatasetName
    settings: LandcoveraiSettings | CollectionSettings
    bands: BandsSection
    """The bands that are used; no others are fetched over a network."""
    cloud_filter: CloudFilterSection
    """Which dates are clear enough to fetch their bands over a network."""
    traffic: TransferStatistics = field(default_factory=TransferStatistics)
    """Counts what comes over the network."""


@dataclass(frozen=True)
class Fetched:
    """A file of the archive that now lies in the raw folder."""

    path: Path
    """Relative to the raw folder."""
    origin: str
    """Where it came from, relative to the source: no host and no absolute path, which would change the hash."""


class Source(Protocol):
    """Brings a dataset's archive into a folder, in the archive's own layout."""

    def __call__(self, request: Request, folder: Path) -> Iterator[Fetched | Failure]:
        """Write the archive below `folder`, which exists and is empty; yield each file once it is finished or failed.

        Raises:
            PipelineError: the archive as a whole cannot be had; what is wrong and what to do next.
        """
