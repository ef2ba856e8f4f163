"""GDAL through rasterio: settings, opening files, and errors as one line about a file."""

import errno
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.env import getenv, hasenv
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.session import DummySession

from pipeline.core.errors import PipelineError
from pipeline.raster.remote import Location, NetworkError, RemoteFile, gdal_options, network_problem

LIBRARY_ERRORS = (RasterioError, CPLE_BaseError, ValueError, TypeError, LookupError, OverflowError, MemoryError)
"""Errors that rasterio, GDAL and numpy raise over a bad file; caught only around calls into these libraries."""
CACHE_MIB = 32
"""GDAL's block cache unless GDAL_CACHEMAX is set, for blocks that two rows of an orthophoto's chips share.

GDAL's default, 5 % of memory, is too much where many workers share a machine."""
os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_MIB))
logging.getLogger("rasterio").addHandler(logging.NullHandler())
"""It logs the retries of requests with their addresses, which may contain a signature; without a handler to stderr."""
ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""Open files alone: GDAL would open a .msk or .ovr beside one with any driver that fits, such as VRT."""
SIDECARS = {"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"}
"""Let GDAL find what lies beside a file as it opens; what it opens later, overviews and a mask, is never read here."""
WARNINGS_LOCK = Lock()
"""Warning filters are global to the process."""


def quiet_gdal(**options: Any) -> AbstractContextManager[Any]:
    """Return a GDAL environment that prints nothing and ignores the user's cloud credentials.

    Without DummySession, rasterio looks up the user's AWS profile and fails if that does not exist. Inside another of
    these, without options of its own, it enters nothing: entering takes half as long as reading a small file, for each
    of several checks.
    """
    if not options and hasenv() and ALONE.items() <= getenv().items():
        return nullcontext()
    environment: AbstractContextManager[Any] = rasterio.Env(session=DummySession(), **(ALONE | options))
    return environment


def open_dataset(
    path: Location, mode: str = "r", driver: str = "GTiff", with_sidecars: bool = False, **options: Any
) -> Any:
    """Open a file with one driver only, without a warning if it has no georeference, which is common here.

    Args:
        path: the file.
        mode: `r` or `w`.
        driver: GDAL's name of the format.
        with_sidecars: whether GDAL reads `.aux.xml`, world file and `.tab`.
        options: of the driver.
    """
    env = quiet_gdal(**gdal_options(path), **(SIDECARS if with_sidecars else {}))
    name = path.gdal_path if isinstance(path, RemoteFile) else path
    with WARNINGS_LOCK, env, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name, mode, driver=driver, **options)


@contextmanager
def file_errors(path: Location, problem: str) -> Iterator[None]:
    """Re-raise library errors as "`path` `problem`: reason".

    Raises:
        NetworkError: a remote file could not be fetched.
        PipelineError: a library failed on the file.
        OSError: the process is out of file handles, which GDAL reports only in its text.
    """
    try:
        with quiet_gdal(**gdal_options(path)):
            yield
    except LIBRARY_ERRORS as error:
        if os.strerror(errno.EMFILE) in str(error):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path)) from None
        if isinstance(path, RemoteFile) and (network := network_problem(_causes(error))):
            raise NetworkError(f"{path} {path.redact(network)}") from None
        reason = " ".join(str(error.__cause__ or error).split())  # rasterio keeps GDAL's message as the cause
        reason = path.redact(reason) if isinstance(path, RemoteFile) else reason
        raise PipelineError(f"{path} {problem}: {reason or type(error).__name__}") from None


def _causes(error: BaseException | None) -> str:
    """Return the texts of an error and of those that caused it, one a line."""
    texts = []
    while error:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)
