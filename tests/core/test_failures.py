import errno
import os
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, Failures, catch_failures, partition_results, report_failures

RAW = Path("data/raw/landcoverai")


def halve(number: int) -> int:
    if number % 2:
        raise PipelineError(f"{number} is\nodd")
    return number // 2


def test_what_fails_is_named_and_the_rest_goes_on() -> None:
    results = map(catch_failures(halve, lambda number: f"n{number}"), [4, 3, 8, 1])
    made, failed = partition_results(results)
    assert (made, failed, failed.made) == ([2, 4], [Failure("n1", "1 is odd"), Failure("n3", "3 is odd")], 2)


def test_errors_of_the_system_are_failures_and_bugs_are_not(tmp_path: Path) -> None:
    failure = catch_failures(Path.read_text, str)(tmp_path / "gone")
    assert isinstance(failure, Failure)
    assert "No such file" in failure.reason
    with pytest.raises(ZeroDivisionError):
        catch_failures(lambda number: 1 // number, str)(0)


def test_a_file_that_needs_more_memory_than_there_is_is_named() -> None:
    def large(_: str) -> bytearray:
        return bytearray(1 << 62)

    assert catch_failures(large, str)("a.tif") == Failure("a.tif", "a.tif needs more memory than there is")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room on the disk, or set PIPELINE_CACHE to a folder on a larger one, and run again"),
        (errno.EDQUOT, "make room on the disk"),
        (errno.EMFILE, "raise `ulimit -n` and run again"),
    ],
)
def test_a_full_disk_is_no_fault_of_a_file_and_ends_the_stage(number: int, advice: str) -> None:
    def full(_: object) -> None:
        raise OSError(number, os.strerror(number), "a.png")

    with pytest.raises(StageError) as error:
        catch_failures(full, str)("a")
    assert str(error.value).startswith(f"{os.strerror(number)}: a.png; {advice}")


def test_what_concerns_the_whole_stage_ends_it() -> None:
    def refused(_: object) -> None:
        raise StageError("come back in an hour")

    with pytest.raises(StageError, match="^come back in an hour$"):
        catch_failures(refused, str)("a")


def test_without_failures_the_table_has_its_header_alone(tmp_path: Path) -> None:
    assert report_failures(Failures(), "stop", tmp_path / "failures.csv", RAW) == ""
    assert (tmp_path / "failures.csv").read_text() == "file,reason\n"


def test_skip_writes_the_table_and_says_how_many(tmp_path: Path) -> None:
    table = tmp_path / "failures.csv"
    failed = [Failure("b.tif", f"{RAW}/b.tif is worse"), Failure("a.tif", 'is "bad", truly')]
    said = report_failures(Failures(failed, made=1), "skip", table, RAW)
    assert said == f"; 2 failed and left out, see {table}"
    assert table.read_text() == 'file,reason\na.tif,"is ""bad"", truly"\nb.tif,b.tif is worse\n'


def test_skip_with_nothing_left_is_an_error_all_the_same(tmp_path: Path) -> None:
    advice = r"nothing is left that on_error: skip could go on with: mend or remove what failed and run again"
    with pytest.raises(PipelineError, match=rf"^2 files failed, as listed above; {advice}$") as error:
        report_failures(
            Failures([Failure("a.tif", "is bad"), Failure("b.tif", "is bad")]), "skip", tmp_path / "failures.csv", RAW
        )
    assert error.value.table == ["a.tif  is bad", "b.tif  is bad"]
    assert list(tmp_path.iterdir()) == []


def test_stop_with_one_failure_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^a.tif is bad \(what was finished is kept: mend .* set on_error to skip"):
        report_failures(Failures([Failure("a.tif", "a.tif is bad")], made=1), "stop", tmp_path / "failures.csv", RAW)
    assert not (tmp_path / "failures.csv").exists()


def test_stop_with_several_failures_lists_them(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^2 files failed, as listed above; ") as error:
        failed = Failures([Failure("a.tif", "is bad"), Failure("long.tif", "is worse")], made=1)
        report_failures(failed, "stop", tmp_path / "failures.csv", RAW)
    assert error.value.table == ["a.tif     is bad", "long.tif  is worse"]


def test_a_long_list_is_cut_and_written_whole(tmp_path: Path, own_cache: Path) -> None:
    failures = Failures(Failure(f"{number:03}.tif", "is bad") for number in range(100))
    with pytest.raises(
        PipelineError, match=r"100 files failed, the first 20 above and all in .*/failures/\w{12}.csv; "
    ) as error:
        report_failures(failures, "stop", tmp_path / "failures.csv", RAW)
    assert len(error.value.table) == 20
    (written,) = (own_cache / "failures").iterdir()
    assert len(written.read_text().splitlines()) == 101


def test_a_reason_that_does_not_say_which_file_gets_its_name(tmp_path: Path) -> None:
    for failure, said in (
        (Failure("images/a.tif", "holds more than it claims"), "images/a.tif: holds more than it claims"),
        (Failure("images/a.tif", "masks/a.tif is empty"), "masks/a.tif is empty"),
    ):
        with pytest.raises(PipelineError) as error:
            report_failures(Failures([failure], made=1), "stop", tmp_path / "failures.csv", RAW)
        assert str(error.value).startswith(f"{said} (what was finished is kept: ")


def test_the_list_of_one_stage_is_not_replaced_by_that_of_another(tmp_path: Path, own_cache: Path) -> None:
    for stage in ("one", "other"):
        with pytest.raises(PipelineError):
            report_failures(
                Failures(Failure(f"{stage}{number}", "is bad") for number in range(50)), "stop", tmp_path / "a.csv", RAW
            )
    texts = [path.read_text() for path in (own_cache / "failures").iterdir()]
    assert sorted(text.splitlines()[1].split(",")[0] for text in texts) == ["one0", "other0"]
