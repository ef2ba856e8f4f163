"""List a public S3 bucket; listings are cached, so that a later run sends no request."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, write_json
from pipeline.core.fingerprint import digest
from pipeline.sources.transfer import USER_AGENT

if TYPE_CHECKING:
    from s3fs import S3FileSystem

OPTIONS = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}, "user_agent": USER_AGENT}

Listing = dict[str, dict[str, Any]]
"""From key, relative to the prefix, to `size` in bytes and `md5`, None where the ETag is not an MD5."""


@dataclass(frozen=True)
class Bucket:
    """The part of a bucket below a prefix."""

    endpoint: str
    name: str
    prefix: str
    """Empty, or ends in a slash."""
    cache: Path
    """The folder of cached listings."""

    @property
    def root(self) -> str:
        """Bucket and prefix."""
        return f"{self.name}/{self.prefix}"

    @property
    def url(self) -> str:
        """Endpoint, bucket and prefix."""
        return f"{self.endpoint.rstrip('/')}/{self.root}"

    def keys(self, folder: str) -> Listing:
        """List all keys in a folder below the prefix, sorted; the request is limited to this folder.

        Raises:
            PipelineError: the server does not respond, or there is no such bucket.
        """
        path = self.cache / f"keys-{digest(folder)[:12]}.json"
        if not path.exists():
            with self._client(folder) as client:
                entries: Listing = client.find(f"{self.root}{folder}", detail=True)
            listing = {
                key[len(self.root) :]: {"size": entry["size"], "md5": _md5(str(entry.get("ETag", "")))}
                for key, entry in sorted(entries.items())
            }
            if not listing:  # possibly a wrong folder: not cached
                return {}
            write_json(path, listing)
        cached: Listing = read_json(path)
        return cached

    def folders(self, folder: str) -> list[str]:
        """List the names of folders directly in `folder` below the prefix, sorted.

        Raises:
            PipelineError: the server does not respond.
        """
        path = self.cache / f"folders-{digest(folder)[:12]}.json"
        if not path.exists():
            with self._client(folder) as client:
                try:
                    entries = client.ls(f"{self.root}{folder}".rstrip("/"), detail=True)
                except FileNotFoundError:
                    return []
            write_json(path, sorted(Path(entry["name"]).name for entry in entries if entry["type"] == "directory"))
        cached: list[str] = read_json(path)
        return cached

    @contextmanager
    def _client(self, folder: str) -> Iterator["S3FileSystem"]:
        """Open an anonymous client, whose errors become `PipelineError`."""
        import s3fs  # takes a second to import, which other sources do not need
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with _without_credentials():
                yield s3fs.S3FileSystem(
                    anon=True, endpoint_url=self.endpoint, config_kwargs=OPTIONS, skip_instance_cache=True
                )
        except (OSError, ValueError, BotoCoreError, ClientError) as error:  # ValueError: an invalid endpoint
            raise PipelineError(f"{self.url}{folder} cannot be listed: {' '.join(str(error).split())}") from None


@contextmanager
def _without_credentials() -> Iterator[None]:
    """Hide AWS settings of the user: even an anonymous client reads their profile."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ |= hidden


def _md5(etag: str) -> str | None:
    """Return the MD5 in an ETag; None for a multipart upload, whose ETag contains a dash."""
    text = etag.strip('"')
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None
