"""What a source is to the stage `download`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import Field

from pipeline.datasets import DatasetName
from pipeline.params import Params


class SourceSettings(Params):
    """What `download.D` of params.yaml tells every source; each dataset adds the names of its sources."""

    path: str = Field(min_length=1)
    """The folder that the source `local` reads."""
    sample_seed: int = Field(ge=0)
    """Seed of the source `sample`."""


@dataclass(frozen=True)
class Fetched:
    """A file of the archive that now lies in the raw folder."""

    path: Path
    """Relative to the raw folder."""
    origin: str
    """Where it came from, relative to the source: no host and no absolute path, which would change the hash."""


class Source(Protocol):
    """Brings a dataset's archive into a folder, in the archive's own layout."""

    def __call__(self, dataset: DatasetName, settings: SourceSettings, folder: Path) -> Iterator[Fetched]:
        """Write the archive below `folder`, which exists and is empty; yield each file once it is finished.

        Raises:
            PipelineError: the archive cannot be had; what is wrong and what to do next.
        """
