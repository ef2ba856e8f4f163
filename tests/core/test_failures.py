"""A bad file fails alone and is listed with its reason; a full disk ends the stage; on_error decides what follows."""

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, Failures, catch_failures, partition_results, report_failures

RAW = Path("data/raw/landcoverai")


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number), "a.png")


def halve(number: int) -> int:
    if number % 2:
        raise PipelineError(f"{number} is\nodd")
    return number // 2


def test_failures_are_recorded_and_the_other_items_succeed() -> None:
    results = map(catch_failures(halve, lambda number: f"n{number}"), [4, 3, 8, 1])
    succeeded, failed = partition_results(results)
    assert (succeeded, failed, failed.succeeded) == ([2, 4], [Failure("n1", "1 is odd"), Failure("n3", "3 is odd")], 2)


def test_os_errors_are_failures_and_bugs_are_not(tmp_path: Path) -> None:
    failure = catch_failures(Path.read_text, str)(tmp_path / "gone")
    assert isinstance(failure, Failure)
    assert "No such file" in failure.reason
    with pytest.raises(ZeroDivisionError):
        catch_failures(lambda number: 1 // number, str)(0)


def test_running_out_of_memory_is_a_failure() -> None:
    failure = catch_failures(Mock(side_effect=MemoryError), str)("a.tif")
    assert failure == Failure("a.tif", "a.tif needs more memory than is available")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (os_error(errno.ENOSPC), "No space left on device: a.png; free disk space, or set PIPELINE_CACHE to a folder"),
        (os_error(errno.EDQUOT), "Disk quota exceeded: a.png; free disk space, "),
        (os_error(errno.EMFILE), "Too many open files: a.png; raise `ulimit -n` and run again"),
        (StageError("come back in an hour"), "come back in an hour"),
    ],
)
def test_what_affects_every_file_ends_the_stage(error: Exception, message: str) -> None:
    with pytest.raises(StageError, match=f"^{message}"):
        catch_failures(Mock(side_effect=error), str)("a")


def test_skip_writes_the_table_and_reports_the_count(tmp_path: Path) -> None:
    table = tmp_path / "failures.csv"
    assert report_failures(Failures(), "skip", table, RAW) == ""
    assert table.read_text() == "file,reason\n"
    failed = [Failure("b.tif", f"{RAW}/b.tif is worse"), Failure("a.tif", 'is "bad", truly')]
    summary = report_failures(Failures(failed, succeeded=1), "skip", table, RAW)
    assert summary == f"; 2 failed and skipped, see {table}"
    assert table.read_text() == 'file,reason\na.tif,"is ""bad"", truly"\nb.tif,b.tif is worse\n'


def test_skip_is_an_error_if_every_file_failed(tmp_path: Path) -> None:
    advice = r"no file is left for on_error: skip to continue with: fix or remove the failed files and run again"
    with pytest.raises(PipelineError, match=rf"^2 files failed, as listed above; {advice}$") as error:
        report_failures(
            Failures([Failure("a.tif", "is bad"), Failure("b.tif", "is bad")]), "skip", tmp_path / "failures.csv", RAW
        )
    assert error.value.table == ["a.tif  is bad", "b.tif  is bad"]
    assert list(tmp_path.iterdir()) == []


def test_stop_with_several_failures_lists_them(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^2 files failed, as listed above; ") as error:
        failed = Failures([Failure("a.tif", "is bad"), Failure("long.tif", "is worse")], succeeded=1)
        report_failures(failed, "stop", tmp_path / "failures.csv", RAW)
    assert error.value.table == ["a.tif     is bad", "long.tif  is worse"]


def test_a_long_list_is_shortened_and_written_to_a_file(tmp_path: Path, own_cache: Path) -> None:
    failures = Failures(Failure(f"{number:03}.tif", "is bad") for number in range(100))
    with pytest.raises(
        PipelineError, match=r"100 files failed, the first 20 above and all in .*/failures/\w{12}.csv; "
    ) as error:
        report_failures(failures, "stop", tmp_path / "failures.csv", RAW)
    assert len(error.value.table) == 20
    (written,) = (own_cache / "failures").iterdir()
    assert len(written.read_text().splitlines()) == 101


def test_stop_with_one_failure_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    for failure, message in (
        (Failure("images/a.tif", "holds more than it claims"), "images/a.tif: holds more than it claims"),
        (Failure("images/a.tif", "masks/a.tif is empty"), "masks/a.tif is empty"),
    ):
        with pytest.raises(PipelineError) as error:
            report_failures(Failures([failure], succeeded=1), "stop", tmp_path / "failures.csv", RAW)
        assert str(error.value).startswith(f"{message} (finished work is kept: fix ")
        assert list(tmp_path.iterdir()) == []
