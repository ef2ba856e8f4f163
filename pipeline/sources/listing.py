"""List a public S3 bucket; listings are cached, so that a later run sends no request.

By botocore's paginator: s3fs, which is built on it, sends the same requests and takes a second longer to import.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, write_json
from pipeline.core.fingerprint import digest
from pipeline.sources.transfer import USER_AGENT

OPTIONS = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}, "user_agent": USER_AGENT}
PROFILE = {"profile": (None, None, None, None)}
"""No profile: even an anonymous client reads that of the user."""

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
    """The folder of cached listings; an empty listing may be of a wrong folder, and is not cached."""

    @property
    def url(self) -> str:
        """Endpoint, bucket and prefix."""
        return f"{self.endpoint.rstrip('/')}/{self.name}/{self.prefix}"

    def keys(self, folder: str) -> Listing:
        """List all keys in a folder below the prefix; the request is limited to this folder.

        Raises:
            PipelineError: the server does not respond, or there is no such bucket.
        """
        path = self.cache / f"keys-{digest(folder)[:12]}.json"
        if path.exists():
            cached: Listing = read_json(path)
            return cached
        listing = {
            entry["Key"].removeprefix(self.prefix): {"size": entry["Size"], "md5": _md5(entry.get("ETag", ""))}
            for entry in self._list(folder, "Contents")
        }
        if listing:
            write_json(path, listing)
        return listing

    def folders(self, folder: str) -> list[str]:
        """List the names of folders directly in `folder` below the prefix.

        Raises:
            PipelineError: the server does not respond, or there is no such bucket.
        """
        path = self.cache / f"folders-{digest(folder)[:12]}.json"
        if path.exists():
            cached: list[str] = read_json(path)
            return cached
        names = [Path(entry["Prefix"]).name for entry in self._list(folder, "CommonPrefixes", Delimiter="/")]
        if names:
            write_json(path, names)
        return names

    def _list(self, folder: str, kind: str, **options: str) -> list[dict[str, Any]]:
        """Return the entries of a kind on all pages of a listing."""
        import botocore.session  # which other sources do not need
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = botocore.session.Session(PROFILE).create_client(
                "s3", "us-east-1", endpoint_url=self.endpoint, config=Config(signature_version=UNSIGNED, **OPTIONS)
            )
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{self.prefix}{folder}", **options
            )
            return [entry for page in pages for entry in page.get(kind, ())]
        except (ValueError, BotoCoreError, ClientError) as error:  # ValueError: an invalid endpoint
            raise PipelineError(f"{self.url}{folder} cannot be listed: {' '.join(str(error).split())}") from None


def _md5(etag: str) -> str | None:
    """Return the MD5 in an ETag; None for a multipart upload, whose ETag contains a dash."""
    text = etag.strip('"')
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None
