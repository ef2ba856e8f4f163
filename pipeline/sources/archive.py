"""The source `archive`: LandCover.ai's zip, from its server or already on disk."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.core.files import sha256
from pipeline.sources.base import Fetched, Request
from pipeline.sources.settings import LandcoveraiSettings
from pipeline.sources.transfer import Remote, Transfer, new_session
from pipeline.sources.unpack import unzip


def fetch_archive(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Unpack the zip that `path` names or, if that is a folder, the one at `archive.url`, once its checksum is right.

    Raises:
        PipelineError: the zip cannot be had, is another one, or is hostile.
    """
    settings = request.settings
    assert isinstance(settings, LandcoveraiSettings)
    wanted = settings.archive.sha256
    here = Path(settings.path)
    if here.is_file():
        if (found := sha256(here)) != wanted:
            raise PipelineError(f"{here} has the SHA-256 {found}; download.landcoverai.archive.sha256 is {wanted}")
    else:
        address = urlsplit(settings.archive.url)
        name = PurePosixPath(address.path).name or "archive.zip"
        origin = f"{name} of {address.netloc.rpartition('@')[2]} (download.landcoverai.archive.url)"
        here = cache_folder() / "downloads" / "archive" / wanted[:16] / name
        transfer = Transfer(new_session(1), request.statistics)
        transfer.fetch(Remote(settings.archive.url, origin, checksum=("sha256", wanted)), here)
    for unpacked in unzip(here, folder):
        yield unpacked if isinstance(unpacked, Failure) else Fetched(unpacked, unpacked.as_posix())
