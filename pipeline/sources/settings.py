"""The section `download` of params.yaml."""

import re
from datetime import date
from typing import Annotated, Literal

import requests
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.core.params import Params, Share
from pipeline.sentinel.date_selection import GhanaClouds, LandcovernetClouds, Thresholds

LandcoveraiSource = Literal["sample", "local", "archive"]
CollectionSource = Literal["sample", "local", "mlhub", "source_coop"]
NETWORK_SOURCES = ("mlhub", "source_coop")
"""Sources that fetch cloud masks first."""

Name = Annotated[str, Field(min_length=1)]

Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]


def http_address(url: str) -> str:
    """Validate an HTTP URL by the client that will send it; pydantic's `AnyHttpUrl` accepts `https:host`.

    Raises:
        ValueError: it is not valid.
    """
    try:
        prepared = requests.Request("GET", url).prepare().url or ""
    except (requests.RequestException, ValueError):
        prepared = ""
    if not prepared.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not a URL; expected https:// and a host")
    return url


def _pattern(*groups: str) -> AfterValidator:
    """Validate a regular expression with these groups."""

    def validate(text: str) -> str:
        try:
            present = re.compile(text).groupindex
        except re.error as error:
            raise ValueError(f"{text!r} is not a regular expression: {error}") from None
        if missing := [f"(?P<{group}>…)" for group in groups if group not in present]:
            raise ValueError(f"{text!r} lacks the group {', '.join(missing)}")
        return text

    return AfterValidator(validate)


def _folder(text: str) -> str:
    """Normalise to one slash at the end; the root is empty."""
    return f"{text.strip('/')}/".lstrip("/")


def _box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = box
    if not (west < east and south < north):
        raise ValueError(f"{list(box)} is not [west, south, east, north] in degrees")
    return box


Url = Annotated[str, AfterValidator(http_address)]
Folder = Annotated[str, AfterValidator(_folder)]
Box = Annotated[tuple[Longitude, Latitude, Longitude, Latitude], AfterValidator(_box)]


class SourceSettings(Params):
    """Settings of every source."""

    path: str = Field(min_length=1)
    """Folder of the source `local`; for `archive` the zip, if it is already on disk."""
    sample_seed: int = Field(ge=0)
    """Seed of the source `sample`."""


class ArchiveSettings(Params):
    """`download.landcoverai.archive`: one zip."""

    url: Url
    sha256: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]


class LandcoveraiSettings(SourceSettings):
    """`download.landcoverai` of params.yaml."""

    source: LandcoveraiSource
    archive: ArchiveSettings


class MlhubSettings(Params):
    """`download.D.mlhub`; server and key come from the environment."""

    dataset: str = Field(pattern=r"^\w+$")
    """The dataset's id."""


class SourceCoopSettings(Params):
    """`download.D.source_coop`: a public bucket."""

    endpoint: Url
    bucket: Name
    prefix: Folder
    """Prefix of all keys; patterns and folders are relative to it."""
    folders: list[Folder] = Field(min_length=1)
    """Folders to list below the prefix; {tile} stands for each of `select.tiles`, or for all tiles."""
    etag: Literal["md5", "none"]
    """Whether the ETag of a file stored in one part is its MD5; not so with SSE-KMS."""
    images: Annotated[str, _pattern("chip", "date", "asset")]
    """Matches the key of a band or cloud mask below the prefix; `date` is digits with or without - and _."""
    labels: Annotated[str, _pattern("chip")]
    """Matches the key of a label."""

    @property
    def patterns(self) -> dict[str, str]:
        """The patterns by kind of file."""
        kinds = ("images", "clouds", "labels")
        return {kind: getattr(self, kind) for kind in kinds if hasattr(self, kind)}


class GhanaCoopSettings(SourceCoopSettings):
    """`download.ghana.source_coop`: one file with all bands, and one with the cloud mask."""

    images: Annotated[str, _pattern("chip", "date")]
    """Matches the key of the asset `source` below the prefix."""
    clouds: Annotated[str, _pattern("chip", "date")]
    """Matches the key of the asset `cloudmask`."""


class CloudsFirstSettings(Params):
    """`download.D.clouds_first`: for which dates a network source fetches bands, judged by cloud masks."""

    max_cloud: Share
    """Largest share of a chip's pixels that cloud, shadow and haze may each hide."""
    max_no_data: Share
    dates: int = Field(ge=1)
    """Dates per chip that `cloud_filter` may keep."""

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds of each kind."""
        clouds = {f"max_{kind}": self.max_cloud for kind in ("cloud", "shadow", "haze")}
        return Thresholds.model_validate(clouds | {"max_no_data": self.max_no_data, "dates": self.dates})


class LandcovernetCloudsFirst(CloudsFirstSettings, LandcovernetClouds):
    """`download.landcovernet.clouds_first` of params.yaml."""


class GhanaCloudsFirst(CloudsFirstSettings, GhanaClouds):
    """`download.ghana.clouds_first` of params.yaml."""


class Selection(Params):
    """`download.D.select`: the part of an archive to fetch; `none` selects all."""

    bbox: Literal["none"] | Box
    """[west, south, east, north] in degrees; chips that touch it match."""
    tiles: Literal["none"] | Annotated[list[Name], Field(min_length=1)]
    """Sentinel-2 tiles, such as 31PGS."""
    dates: Literal["none"] | tuple[date, date]
    """First and last day; quoted in params.yaml, because DVC does not accept dates."""
    chips: Literal["none"] | Annotated[int, Field(ge=1)]
    """Maximum number of chips: the first by name."""


class CollectionSettings(SourceSettings):
    """Settings of Sentinel-2 datasets."""

    source: CollectionSource
    connections: int = Field(ge=1, le=64)
    """Concurrent downloads."""
    select: Selection
    clouds_first: LandcovernetCloudsFirst | GhanaCloudsFirst
    mlhub: MlhubSettings
    source_coop: SourceCoopSettings

    @model_validator(mode="after")
    def _require_positions_for_bbox(self) -> "CollectionSettings":
        if self.source == "source_coop" and self.select.bbox != "none":
            raise ValueError("select.bbox: the source source_coop has no positions; use select.tiles")
        return self


class LandcovernetSettings(CollectionSettings):
    """`download.landcovernet` of params.yaml."""

    clouds_first: LandcovernetCloudsFirst


class GhanaSettings(CollectionSettings):
    """`download.ghana` of params.yaml."""

    clouds_first: GhanaCloudsFirst
    source_coop: GhanaCoopSettings
