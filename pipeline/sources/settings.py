"""What `download` of params.yaml may say of each dataset's source."""

import ipaddress
import re
from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.core.params import Params, Share
from pipeline.sentinel.date_selection import GhanaClouds, LandcovernetClouds, Thresholds

LandcoveraiSource = Literal["sample", "local", "archive"]
CollectionSource = Literal["sample", "local", "mlhub", "source_coop"]
NETWORK_SOURCES = ("mlhub", "source_coop")
"""Sources that fetch cloud masks first."""

Name = Annotated[str, Field(min_length=1)]


HOST = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(\.(?!-)[\w-]{1,63}(?<!-))*\.?")
"""Names between dots, of which none is empty."""


def http_address(url: str) -> str:
    """`url`, if it is an address of the web.

    Raises:
        ValueError: it is none, and the clients of HTTP would raise what they like.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        good = parts.scheme in ("http", "https") and parts.port != 0 and url.isprintable()
        good = good and bool(ipaddress.ip_address(host) if ":" in host else HOST.fullmatch(host))
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{url!r} is no address; expected one that begins with https:// and names a host")
    return url


def _pattern(*groups: str) -> AfterValidator:
    """Allow a regular expression that has these groups."""

    def checked(text: str) -> str:
        try:
            there = re.compile(text).groupindex
        except re.error as error:
            raise ValueError(f"{text!r} is no regular expression: {error}") from None
        if lacking := [f"(?P<{group}>…)" for group in groups if group not in there]:
            raise ValueError(f"{text!r} lacks the group {', '.join(lacking)}")
        return text

    return AfterValidator(checked)


def _folder(text: str) -> str:
    """With one slash at its end, and none for the root."""
    return f"{text.strip('/')}/".lstrip("/")


def _box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = box
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError(f"{list(box)} is no [west, south, east, north] in degrees")
    return box


Url = Annotated[str, AfterValidator(http_address)]
Folder = Annotated[str, AfterValidator(_folder)]
Box = Annotated[tuple[float, float, float, float], AfterValidator(_box)]


class SourceSettings(Params):
    """What every source is told."""

    path: str = Field(min_length=1)
    """The folder that the source `local` reads; for `archive` the zip, if it is on disk already."""
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
    """`download.D.mlhub`; the server is `MLHUB_ROOT_URL`, the key `MLHUB_API_KEY` or a profile of the client."""

    dataset: str = Field(pattern=r"^\w+$")
    """The dataset's id."""


class SourceCoopSettings(Params):
    """`download.D.source_coop`: a bucket that anyone may read."""

    endpoint: Url
    bucket: Name
    prefix: Folder
    """What all keys begin with; patterns and folders count from there."""
    folders: list[Folder] = Field(min_length=1)
    """The folders below the prefix that are listed; {tile} stands for each of `select.tiles`, or all there are."""
    etag: Literal["md5", "none"]
    """What the ETag of a file that was stored in one part is: its MD5, or nothing that can be checked (SSE-KMS)."""
    images: Annotated[str, _pattern("chip", "date", "asset")]
    """Finds a band's or a cloud mask's key below the prefix; `date` is digits with or without - and _."""
    labels: Annotated[str, _pattern("chip")]
    """The same for a label."""

    @property
    def patterns(self) -> dict[str, str]:
        """From the kind of file to its pattern."""
        return {"images": self.images, "labels": self.labels}


class GhanaCoopSettings(SourceCoopSettings):
    """`download.ghana.source_coop`: all bands are one file, and the cloud mask is another."""

    images: Annotated[str, _pattern("chip", "date")]
    """Finds the key of the asset `source` below the prefix."""
    clouds: Annotated[str, _pattern("chip", "date")]
    """Finds the key of the asset `cloudmask`."""

    @property
    def patterns(self) -> dict[str, str]:
        """From the kind of file to its pattern."""
        return {"images": self.images, "clouds": self.clouds, "labels": self.labels}


class CloudsFirst(Params):
    """`download.D.clouds_first`: the dates whose bands a network source fetches, judged by their cloud masks."""

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


class LandcovernetCloudsFirst(CloudsFirst, LandcovernetClouds):
    """`download.landcovernet.clouds_first` of params.yaml."""


class GhanaCloudsFirst(CloudsFirst, GhanaClouds):
    """`download.ghana.clouds_first` of params.yaml."""


class Selection(Params):
    """`download.D.select`: the part of an archive that is fetched; `none` is all of it."""

    bbox: Literal["none"] | Box
    """[west, south, east, north] in degrees: chips that touch it."""
    tiles: Literal["none"] | Annotated[list[Name], Field(min_length=1)]
    """Sentinel-2 tiles, such as 31PGS: chips of these."""
    dates: Literal["none"] | tuple[date, date]
    """First and last day; in params.yaml in quotes, without which DVC refuses them."""
    chips: Literal["none"] | Annotated[int, Field(ge=1)]
    """The largest number of chips: the first ones by name."""


class CollectionSettings(SourceSettings):
    """What `download.landcovernet` and `download.ghana` have in common."""

    source: CollectionSource
    connections: int = Field(ge=1, le=64)
    """Files that are fetched at the same time."""
    select: Selection
    clouds_first: LandcovernetCloudsFirst | GhanaCloudsFirst
    mlhub: MlhubSettings
    source_coop: SourceCoopSettings

    @model_validator(mode="after")
    def _bbox_needs_places(self) -> "CollectionSettings":
        if self.source == "source_coop" and self.select.bbox != "none":
            raise ValueError("select.bbox: the source source_coop does not say where chips lie; use select.tiles")
        return self


class LandcovernetSettings(CollectionSettings):
    """`download.landcovernet` of params.yaml."""

    clouds_first: LandcovernetCloudsFirst


class GhanaSettings(CollectionSettings):
    """`download.ghana` of params.yaml."""

    clouds_first: GhanaCloudsFirst
    source_coop: GhanaCoopSettings
