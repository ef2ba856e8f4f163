"""Many files, of which some may be bad: what fails is recorded, and the rest goes on."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pipeline.cache import cache_folder
from pipeline.errors import PipelineError
from pipeline.files import write_text

T = TypeVar("T")
R = TypeVar("R")

OnError = Literal["stop", "skip"]
"""Whether a stage with files that failed ends with an error, or goes on without them."""
SHOWN = 20


@dataclass(frozen=True, order=True)
class Failure:
    """A file that could not be used."""

    file: str
    """Its name, relative to the archive."""
    reason: str


def guarded(function: Callable[[T], R], name: Callable[[T], str]) -> Callable[[T], R | Failure]:
    """`function`, with a `Failure` called `name(item)` in place of a `PipelineError` or an error of the system."""

    def attempt(item: T) -> R | Failure:
        try:
            return function(item)
        except (PipelineError, OSError) as error:
            return Failure(name(item), " ".join(str(error).split()))

    return attempt


def parted(results: Iterable[R | Failure]) -> tuple[list[R], list[Failure]]:
    """What was made, in order, and what failed, sorted."""
    made: list[R] = []
    failures: list[Failure] = []
    for result in results:
        if isinstance(result, Failure):
            failures.append(result)
        else:
            made.append(result)
    return made, sorted(failures)


def settle(failures: Sequence[Failure], on_error: OnError, table: Path) -> str:
    """Write the failures to `table`, a CSV with columns file and reason, or end the stage because of them.

    Returns:
        What the stage adds to its summary: nothing, or how many failed.

    Raises:
        PipelineError: something failed and `on_error` is `stop`.
    """
    text = _csv(failures)
    if failures and on_error == "stop":
        raise _stopped(failures, text)
    write_text(table, text)
    return f"; {len(failures)} failed and left out, see {table}" if failures else ""


def _stopped(failures: Sequence[Failure], text: str) -> PipelineError:
    advice = "what was finished is kept: mend or remove what failed and run again, or set on_error to skip"
    if len(failures) == 1:
        return PipelineError(f"{failures[0].reason} ({advice})")
    shown = failures[:SHOWN]
    error = PipelineError(f"{len(failures)} files failed, as listed above; {advice}")
    if len(failures) > SHOWN:
        path = cache_folder() / "failures.csv"
        write_text(path, text)
        error = PipelineError(f"{len(failures)} files failed, the first {SHOWN} above and all in {path}; {advice}")
    width = max(len(failure.file) for failure in shown)
    error.table = [f"{failure.file:{width}}  {failure.reason}" for failure in shown]
    return error


def _csv(failures: Sequence[Failure]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *map(astuple, failures)])
    return text.getvalue()
