"""The source `archive`: the zip of LandCover.ai, or of chips that its own script cut, from a server or from disk."""

import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, partition_results
from pipeline.core.files import sha256
from pipeline.importing.cut_chips import CutChips, find_top
from pipeline.importing.importer import IMAGES
from pipeline.raster.layout import CHIPS, EXCERPT
from pipeline.sources.base import Fetched, Request
from pipeline.sources.settings import LandcoveraiSettings
from pipeline.sources.transfer import Remote, Transfer, new_session
from pipeline.sources.unpack import member_names, unzip


def fetch_archive(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Check and unpack the zip at `path` or, if that is a folder, the one at `archive.url`.

    Chips that were cut before are imported as images, see `pipeline.importing.cut_chips`.

    Raises:
        PipelineError: the zip cannot be downloaded, has another checksum, or is unsafe.
    """
    archive = _checked_zip(request)
    if (top := find_top(member_names(archive))) is not None:
        yield from _import_cut(request, archive, top, folder)
        return
    for unpacked in unzip(archive, folder):
        yield unpacked if isinstance(unpacked, Failure) else Fetched(unpacked, unpacked.as_posix())


def _checked_zip(request: Request) -> Path:
    """Return the zip, downloaded if it is not on disk; its checksum is the expected one."""
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
    return archive


def _import_cut(request: Request, archive: Path, top: str, folder: Path) -> Iterator[Fetched | Failure]:
    images = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacked.") as unpacked:
        files, failed = partition_results(unzip(archive, Path(unpacked)))
        yield from failed
        for result in CutChips(Path(unpacked), top, archive.name).import_files(files, folder):
            if isinstance(result, Failure):
                yield result
            else:
                images += result.path.parts[0] == IMAGES
                yield Fetched(result.path, result.origin.as_posix())
    if images < CHIPS:
        request.notes.append(EXCERPT)
