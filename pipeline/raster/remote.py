"""GeoTIFFs on a web server or in S3-compatible storage, of which GDAL reads only the parts that are needed."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.core.errors import PipelineError

SCHEMES = ("https://", "http://", "s3://")
HTTP_OPTIONS = {
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "GTIFF_USE_DEFER_STRILE_LOADING": "NO",
    "VSI_CACHE": "TRUE",
}
"""GDAL's options for remote files, each unless the environment sets it: timeouts in seconds, retries with growing
delays, and few requests. https://gdal.org/en/stable/user/configoptions.html#networking-options

With deferred loading, rasterio would fetch the block index in many requests and while it holds Python's lock."""


@dataclass(frozen=True)
class RemoteFile:
    """A GeoTIFF by URL. It has no sidecars."""

    url: str
    """`https://…`, `http://…` or `s3://bucket/key`; the first two may hold a signature or a password."""

    def __str__(self) -> str:
        """Return the URL for messages, without its secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def redact(self, text: str) -> str:
        """Return GDAL's text about the file without the secrets of the URL."""
        query = urlsplit(self.url).query
        text = text.replace(self.gdal_path, str(self)).replace(self.url, str(self))
        return text.replace(f"?{query}", "") if query else text

    @property
    def name(self) -> str:
        """Last part of the path."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def gdal_path(self) -> str:
        """The file in GDAL's virtual file systems."""
        if self.url.startswith("s3://"):
            return "/vsis3/" + self.url.removeprefix("s3://")
        return "/vsicurl/" + self.url


Location = Path | RemoteFile
"""Where a GeoTIFF is."""


class NetworkError(PipelineError):
    """A remote file, intact or not, could not be fetched; running again may help."""


def locate(source: str) -> Location:
    """Return the location of a path or URL that the user gave."""
    scheme, separator, rest = source.partition("://")
    is_url = f"{scheme.lower()}{separator}" in SCHEMES
    return RemoteFile(f"{scheme.lower()}{separator}{rest}") if is_url else Path(source)


def gdal_options(location: Location) -> dict[str, str]:
    """Return GDAL's options for the file; S3 storage, keys and unsigned requests are those of the user's environment.

    GDAL itself reads AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_NO_SIGN_REQUEST and the like, but the endpoint only as a host.
    """
    if isinstance(location, Path):
        return {}
    options = {name: value for name, value in HTTP_OPTIONS.items() if name not in os.environ}
    endpoint = next(
        filter(None, map(os.environ.get, ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))), ""
    )
    if location.url.startswith("s3://") and endpoint:
        scheme, _, host = endpoint.rpartition("://")
        options["AWS_S3_ENDPOINT"] = host.rstrip("/")
        if scheme:
            options["AWS_HTTPS"] = "NO" if scheme == "http" else "YES"
        if "AWS_VIRTUAL_HOSTING" not in os.environ:  # bucket.host needs a name server
            options["AWS_VIRTUAL_HOSTING"] = "FALSE"
    return options


def network_problem(text: str) -> str | None:
    """Explain a network error in GDAL's text: what happened and what to do; None for other errors."""
    if status := re.search(r"(?:HTTP response code:? |response_code=|HTTP error code ?:? ?)(\d{3})", text):
        return _status_problem(int(status[1]))
    if re.search(r"specified (?:key|bucket) does not exist", text):
        return _status_problem(404)
    if re.search(r"Access ?Denied|InvalidAccessKey|access key ID|signature we calculated", text, re.IGNORECASE):
        return _status_problem(403)
    if re.search(r"InvalidCredentials|No valid AWS credentials|AWS_SECRET_ACCESS_KEY", text):
        return (
            "needs AWS credentials, and there are none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_NO_SIGN_REQUEST=YES if the bucket is public"
        )
    if "not recognized as being in a supported file format" in text:
        return "is not a GeoTIFF, or its server does not send parts of files (range requests); download it"
    if re.search(r"got \d+ bytes, expected \d+", text):  # GDAL keeps nothing of the response
        return "was not sent in full, after retries; run again, or download it if it ends too early"
    if error := re.search(r"CURL error: ([^\n]+)", text):
        return f"cannot be reached: {error[1].strip()}; check the URL and the network, and run again"
    return None


def _status_problem(status: int) -> str:
    if status == 404:
        return "does not exist on its server (HTTP 404); check the URL"
    if status in (401, 403):
        return (
            f"may not be read (HTTP {status}); check the URL, a signature may have expired, and for s3:// set "
            "AWS_NO_SIGN_REQUEST=YES if the bucket is public"
        )
    return f"cannot be fetched, its server answers HTTP {status}; run again later"
