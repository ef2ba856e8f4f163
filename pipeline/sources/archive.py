"""The source `archive`: the zip of LandCover.ai, from its server or from disk."""

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
    """Check and unpack the zip at `path` or, if that is a folder, the one at `archive.url`.

    Raises:
        PipelineError: the zip cannot be downloaded, has another checksum, or is unsafe.
    """
    settings = request.settings
    assert isinstance(settings, LandcoveraiSettings)
    expected = settings.archive.sha256
    archive = Path(settings.path)
    if archive.is_file():
        if (actual := sha256(archive)) != expected:
            raise PipelineError(
                f"{archive} has the SHA-256 {actual}; download.landcoverai.archive.sha256 is {expected}: "
                "download the zip again, or set the other checksum"
            )
    else:
        url = urlsplit(settings.archive.url)
        name = PurePosixPath(url.path).name or "archive.zip"
        origin = f"{name} of {url.netloc.rpartition('@')[2]} (download.landcoverai.archive.url)"
        archive = cache_folder() / "downloads" / "archive" / expected[:16] / name
        transfer = Transfer(new_session(1), request.statistics)
        transfer.fetch(Remote(settings.archive.url, origin, checksum=("sha256", expected)), archive)
    for unpacked in unzip(archive, folder):
        yield unpacked if isinstance(unpacked, Failure) else Fetched(unpacked, unpacked.as_posix())
