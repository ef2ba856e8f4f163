"""Per-file failures: record the files that fail and continue with the others."""

import csv
import errno
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError, StageError
from pipeline.core.files import write_text
from pipeline.core.fingerprint import digest

T = TypeVar("T")
R = TypeVar("R")

OnError = Literal["stop", "skip"]
"""Whether failed files end the stage or are left out."""

MAX_LISTED = 20
"""The most failures printed; longer lists are also written to a file."""
_FREE_DISK = "free disk space, or set PIPELINE_CACHE to a folder on a larger disk, and run again"
_RAISE_LIMIT = "raise `ulimit -n` and run again"
_FIX = "fix or remove the failed files and run again"
EXHAUSTED = {
    errno.ENOSPC: _FREE_DISK,
    errno.EDQUOT: _FREE_DISK,
    errno.EMFILE: _RAISE_LIMIT,
    errno.ENFILE: _RAISE_LIMIT,
}
"""System errors that would affect every other file too, and what to do about them."""


@dataclass(frozen=True, order=True)
class Failure:
    """A file that could not be processed."""

    file: str
    """Path relative to the archive."""
    reason: str


class Failures(list[Failure]):
    """The failures of a stage, sorted, and the number of files that succeeded."""

    def __init__(self, failures: Iterable[Failure] = (), succeeded: int = 0) -> None:
        super().__init__(sorted(failures))
        self.succeeded = succeeded


def reraise_stage_errors(error: Exception) -> None:
    """Re-raise errors that affect the whole stage; return for those of a single file.

    Raises:
        StageError: `error` is one, or reports that the disk is full or too many files are open.
    """
    if isinstance(error, StageError):
        raise error
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        path = f": {error.filename}" if error.filename else ""
        raise StageError(f"{error.strerror}{path}; {EXHAUSTED[error.errno]}; finished work is kept") from None


def catch_failures(function: Callable[[T], R], name: Callable[[T], str]) -> Callable[[T], R | Failure]:
    """Wrap `function` to return a `Failure` named `name(item)` instead of raising.

    Catches `PipelineError`, `OSError` and `MemoryError`, except those that affect the whole stage. Library errors over
    a file are converted to `PipelineError` where the file is read (`raster/geotiff.py`); anything else is a bug.
    """

    def wrapped(item: T) -> R | Failure:
        try:
            return function(item)
        except (PipelineError, OSError, MemoryError) as error:
            reraise_stage_errors(error)
            reason = " ".join(_text(error).split())
            return Failure(name(item), reason or f"{name(item)} needs more memory than is available")

    return wrapped


def _text(error: Exception) -> str:
    """Return the message; of a system error, without its number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def partition_results(results: Iterable[R | Failure]) -> tuple[list[R], Failures]:
    """Split results into those that succeeded, in order, and the failures, sorted."""
    succeeded: list[R] = []
    failures: list[Failure] = []
    for result in results:
        if isinstance(result, Failure):
            failures.append(result)
        else:
            succeeded.append(result)
    return succeeded, Failures(failures, len(succeeded))


def report_failures(failures: Failures, on_error: OnError, table: Path, root: Path) -> str:
    """Write the failures to a CSV file, or end the stage because of them.

    Args:
        failures: of this stage.
        on_error: whether they end the stage.
        table: path of the CSV file, columns file and reason.
        root: folder of the files, removed from the paths in the reasons: the table must be the same on every machine.

    Returns:
        Text for the stage's summary: the number of failures, or empty.

    Raises:
        PipelineError: a file failed and `on_error` is `stop`, or every file failed.
    """
    text = _to_csv(failures, root)
    if failures and on_error == "stop":
        raise _summary_error(failures, text, f"finished work is kept: {_FIX}, or set on_error to skip")
    if failures and not failures.succeeded:
        raise _summary_error(failures, text, f"no file is left for on_error: skip to continue with: {_FIX}")
    write_text(table, text)
    return f"; {len(failures)} failed and skipped, see {table}" if failures else ""


def _summary_error(failures: Sequence[Failure], text: str, advice: str) -> PipelineError:
    if len(failures) == 1:
        return PipelineError(f"{_describe(failures[0])} ({advice})")
    listed = failures[:MAX_LISTED]
    message = f"{len(failures)} files failed, as listed above; {advice}"
    if len(failures) > MAX_LISTED:
        path = cache_folder() / "failures" / f"{digest(text)[:12]}.csv"  # other stages write their tables here too
        write_text(path, text)
        message = f"{len(failures)} files failed, the first {MAX_LISTED} above and all in {path}; {advice}"
    error = PipelineError(message)
    width = max(len(failure.file) for failure in listed)
    error.table = [f"{failure.file:{width}}  {failure.reason}" for failure in listed]
    return error


def _describe(failure: Failure) -> str:
    """Return the reason, prefixed with the file's path unless it already contains its name."""
    return failure.reason if Path(failure.file).name in failure.reason else f"{failure.file}: {failure.reason}"


def _to_csv(failures: Sequence[Failure], root: Path) -> str:
    text, rows = io.StringIO(), [(failure.file, failure.reason.replace(f"{root}/", "")) for failure in failures]
    csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *rows])
    return text.getvalue()
