"""What `download` of params.yaml may say of each dataset's source."""

import ipaddress
import re
from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.params import Params

LandcoveraiSource = Literal["sample", "local", "archive"]
CollectionSource = Literal["sample", "local", "mlhub", "source_coop"]

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


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    if "chip" not in groups or "asset" not in groups:
        raise ValueError(f"{text!r} lacks the groups (?P<chip>…) and (?P<asset>…)")
    return text


def _box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = box
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError(f"{list(box)} is no [west, south, east, north] in degrees")
    return box


Url = Annotated[str, AfterValidator(http_address)]
Pattern = Annotated[str, AfterValidator(_pattern)]
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
    prefix: str
    etag: Literal["md5", "none"]
    """What the ETag of a file that was stored in one part is: its MD5, or nothing that can be checked (SSE-KMS)."""
    images: Pattern
    """Finds an image's key below the prefix; groups `chip`, `date` (digits with or without - and _), `asset`."""
    labels: Pattern
    """The same for a label; groups `chip`, `asset`."""

    @model_validator(mode="after")
    def _images_have_dates(self) -> "SourceCoopSettings":
        if "date" not in re.compile(self.images).groupindex:
            raise ValueError(f"source_coop.images is {self.images!r}, which lacks the group (?P<date>…)")
        return self


class Selection(Params):
    """`download.D.select`: the part of an archive that is fetched; `none` is all of it."""

    bbox: Literal["none"] | Box
    """[west, south, east, north] in degrees: chips that touch it."""
    tiles: Literal["none"] | list[Name]
    """Sentinel-2 tiles, such as 31PGS: chips of these."""
    dates: Literal["none"] | tuple[date, date]
    """First and last day; in params.yaml in quotes, without which DVC refuses them."""
    chips: Literal["none"] | Annotated[int, Field(ge=1)]
    """The largest number of chips: the first ones by name."""


class CollectionSettings(SourceSettings):
    """`download.landcovernet` and `download.ghana` of params.yaml."""

    source: CollectionSource
    connections: int = Field(ge=1, le=64)
    """Files that are fetched at the same time."""
    select: Selection
    mlhub: MlhubSettings
    source_coop: SourceCoopSettings
