"""Many files, of which some may be bad: what fails is recorded, and the rest goes on."""

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
"""Whether a stage with files that failed ends with an error, or goes on without them."""
SHOWN = 20
ROOM = "make room on the disk, or set PIPELINE_CACHE to a folder on a larger one, and run again"
MEND = "mend or remove what failed and run again"
FILES = "raise `ulimit -n` and run again"
SPENT = {errno.ENOSPC: ROOM, errno.EDQUOT: ROOM, errno.EMFILE: FILES, errno.ENFILE: FILES}
"""Errors of the system that the next file meets too, and what to do about them."""


@dataclass(frozen=True, order=True)
class Failure:
    """A file that could not be used."""

    file: str
    """Its name, relative to the archive."""
    reason: str


class Failures(list[Failure]):
    """What failed of many files, and how many did not."""

    def __init__(self, failures: Iterable[Failure] = (), made: int = 0) -> None:
        super().__init__(sorted(failures))
        self.made = made


def reraise_stage_errors(error: Exception) -> None:
    """Pass on what says nothing of one file: a `StageError`, or that the machine has no room or no handle left.

    Raises:
        StageError: `error` is one of these.
    """
    if isinstance(error, StageError):
        raise error
    if isinstance(error, OSError) and error.errno in SPENT:
        where = f": {error.filename}" if error.filename else ""
        raise StageError(f"{error.strerror}{where}; {SPENT[error.errno]}, what was finished is kept") from None


def catch_failures(function: Callable[[T], R], name: Callable[[T], str]) -> Callable[[T], R | Failure]:
    """`function`, with a `Failure` called `name(item)` in place of a `PipelineError` or an error of the system.

    What libraries raise over a file is a `PipelineError` where the file is read (`raster/geotiff.py`); anything else is
    a bug of ours. Errors that every other item would meet too are passed on.
    """

    def attempt(item: T) -> R | Failure:
        try:
            return function(item)
        except (PipelineError, OSError, MemoryError) as error:
            reraise_stage_errors(error)
            reason = " ".join(str(error).split())
            return Failure(name(item), reason or f"{name(item)} needs more memory than there is")

    return attempt


def partition_results(results: Iterable[R | Failure]) -> tuple[list[R], Failures]:
    """What was made, in order, and what failed, sorted."""
    made: list[R] = []
    failures: list[Failure] = []
    for result in results:
        if isinstance(result, Failure):
            failures.append(result)
        else:
            made.append(result)
    return made, Failures(failures, len(made))


def report_failures(failures: Failures, on_error: OnError, table: Path, root: Path) -> str:
    """Write the failures to `table`, a CSV with columns file and reason, or end the stage because of them.

    Args:
        failures: what failed.
        on_error: whether that ends the stage.
        table: where the CSV goes.
        root: the folder of the files, which the table leaves out where a reason names a file in it: the table must
            not differ between machines, and a file is mended elsewhere than in the folder that a stage reads.

    Returns:
        What the stage adds to its summary: nothing, or how many failed.

    Raises:
        PipelineError: something failed, and `on_error` is `stop` or nothing else is left to go on with.
    """
    text = _csv(failures, root)
    if failures and on_error == "stop":
        raise _stopped(failures, text, f"what was finished is kept: {MEND}, or set on_error to skip")
    if failures and not failures.made:
        raise _stopped(failures, text, f"nothing is left that on_error: skip could go on with: {MEND}")
    write_text(table, text)
    return f"; {len(failures)} failed and left out, see {table}" if failures else ""


def _stopped(failures: Sequence[Failure], text: str, advice: str) -> PipelineError:
    if len(failures) == 1:
        return PipelineError(f"{_named(failures[0])} ({advice})")
    shown = failures[:SHOWN]
    error = PipelineError(f"{len(failures)} files failed, as listed above; {advice}")
    if len(failures) > SHOWN:
        path = cache_folder() / "failures" / f"{digest(text)[:12]}.csv"  # other stages' tables lie there too
        write_text(path, text)
        error = PipelineError(f"{len(failures)} files failed, the first {SHOWN} above and all in {path}; {advice}")
    width = max(len(failure.file) for failure in shown)
    error.table = [f"{failure.file:{width}}  {failure.reason}" for failure in shown]
    return error


def _named(failure: Failure) -> str:
    """The reason, with the file's name before it unless it says that itself."""
    return failure.reason if Path(failure.file).name in failure.reason else f"{failure.file}: {failure.reason}"


def _csv(failures: Sequence[Failure], root: Path) -> str:
    text, rows = io.StringIO(), [(failure.file, failure.reason.replace(f"{root}/", "")) for failure in failures]
    csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *rows])
    return text.getvalue()
