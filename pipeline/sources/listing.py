"""What lies in a bucket that speaks S3 and asks for no key; each answer is kept, so that a later run asks nobody."""

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


@dataclass(frozen=True)
class Bucket:
    """The part of a bucket below a prefix."""

    endpoint: str
    name: str
    prefix: str
    """Empty, or ends in a slash."""
    kept: Path
    """The folder in which answers are kept."""

    @property
    def root(self) -> str:
        """Bucket and prefix, as messages name them."""
        return f"{self.name}/{self.prefix}"

    @property
    def where(self) -> str:
        """The same with the endpoint."""
        return f"{self.endpoint.rstrip('/')}/{self.root}"

    def keys(self, folder: str) -> dict[str, dict[str, Any]]:
        """Every key in a folder below the prefix, sorted: from the key, relative to the prefix, to `size` and `md5`.

        The folder is part of the request, so that nothing else is listed. `md5` is None where the ETag is none.

        Raises:
            PipelineError: nobody answers, or there is no such bucket.
        """
        path = self.kept / f"keys-{digest(folder)[:12]}.json"
        if not path.exists():
            with self._asked(folder) as files:
                found: dict[str, dict[str, Any]] = files.find(f"{self.root}{folder}", detail=True)
            listing = {
                key[len(self.root) :]: {"size": facts["size"], "md5": _md5(str(facts.get("ETag", "")))}
                for key, facts in sorted(found.items())
            }
            if not listing:  # which may be a slip, and is asked again
                return {}
            write_json(path, listing)
        kept: dict[str, dict[str, Any]] = read_json(path)
        return kept

    def folders(self, folder: str) -> list[str]:
        """The names of the folders that lie directly in `folder` below the prefix, sorted.

        Raises:
            PipelineError: nobody answers.
        """
        path = self.kept / f"folders-{digest(folder)[:12]}.json"
        if not path.exists():
            with self._asked(folder) as files:
                try:
                    found = files.ls(f"{self.root}{folder}".rstrip("/"), detail=True)
                except FileNotFoundError:
                    return []
            write_json(path, sorted(Path(each["name"]).name for each in found if each["type"] == "directory"))
        kept: list[str] = read_json(path)
        return kept

    @contextmanager
    def _asked(self, folder: str) -> Iterator["S3FileSystem"]:
        """A client; its errors in words."""
        import s3fs  # a second to import, which the other sources need not wait for
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with _anonymous():
                yield s3fs.S3FileSystem(
                    anon=True, endpoint_url=self.endpoint, config_kwargs=OPTIONS, skip_instance_cache=True
                )
        except (OSError, ValueError, BotoCoreError, ClientError) as error:  # ValueError: an endpoint botocore dislikes
            raise PipelineError(f"{self.where}{folder} cannot be listed: {' '.join(str(error).split())}") from None


@contextmanager
def _anonymous() -> Iterator[None]:
    """Hide what a person has set for buckets of their own: even an anonymous client looks for their profile."""
    theirs = {name: value for name, value in os.environ.items() if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"}
    for name in theirs:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ |= theirs


def _md5(etag: str) -> str | None:
    """An ETag is the MD5 of what was stored in one part, by convention; else it has a dash."""
    text = etag.strip('"')
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None
