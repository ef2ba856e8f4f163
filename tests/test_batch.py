import errno
import os
from pathlib import Path

import pytest

from pipeline.batch import Failure, Failures, guarded, parted, settle
from pipeline.errors import PipelineError, StageError

RAW = Path("data/raw/landcoverai")


def halve(number: int) -> int:
    if number % 2:
        raise PipelineError(f"{number} is\nodd")
    return number // 2


def test_what_fails_is_named_and_the_rest_goes_on() -> None:
    results = map(guarded(halve, lambda number: f"n{number}"), [4, 3, 8, 1])
    made, failed = parted(results)
    assert (made, failed, failed.made) == ([2, 4], [Failure("n1", "1 is odd"), Failure("n3", "3 is odd")], 2)


def test_errors_of_the_system_are_failures_and_bugs_are_not(tmp_path: Path) -> None:
    failure = guarded(Path.read_text, str)(tmp_path / "gone")
    assert isinstance(failure, Failure)
    assert "No such file" in failure.reason
    with pytest.raises(ZeroDivisionError):
        guarded(lambda number: 1 // number, str)(0)


def test_a_file_that_needs_more_memory_than_there_is_is_named() -> None:
    def large(_: str) -> bytearray:
        return bytearray(1 << 62)

    assert guarded(large, str)("a.tif") == Failure("a.tif", "a.tif needs more memory than there is")


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
        guarded(full, str)("a")
    assert str(error.value).startswith(f"{os.strerror(number)}: a.png; {advice}")


def test_what_concerns_the_whole_stage_ends_it() -> None:
    def refused(_: object) -> None:
        raise StageError("come back in an hour")

    with pytest.raises(StageError, match="^come back in an hour$"):
        guarded(refused, str)("a")


def test_without_failures_the_table_has_its_header_alone(tmp_path: Path) -> None:
    assert settle(Failures(), "stop", tmp_path / "failures.csv", RAW) == ""
    assert (tmp_path / "failures.csv").read_text() == "file,reason\n"


def test_skip_writes_the_table_and_says_how_many(tmp_path: Path) -> None:
    table = tmp_path / "failures.csv"
    failed = [Failure("b.tif", f"{RAW}/b.tif is worse"), Failure("a.tif", 'is "bad", truly')]
    said = settle(Failures(failed, made=1), "skip", table, RAW)
    assert said == f"; 2 failed and left out, see {table}"
    assert table.read_text() == 'file,reason\na.tif,"is ""bad"", truly"\nb.tif,b.tif is worse\n'


def test_skip_with_nothing_left_is_an_error_all_the_same(tmp_path: Path) -> None:
    advice = r"nothing is left that on_error: skip could go on with: mend or remove what failed and run again"
    with pytest.raises(PipelineError, match=rf"^2 files failed, as listed above; {advice}$") as error:
        settle(
            Failures([Failure("a.tif", "is bad"), Failure("b.tif", "is bad")]), "skip", tmp_path / "failures.csv", RAW
        )
    assert error.value.table == ["a.tif  is bad", "b.tif  is bad"]
    assert list(tmp_path.iterdir()) == []


def test_stop_with_one_failure_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^a.tif is bad \(what was finished is kept: mend .* set on_error to skip"):
        settle(Failures([Failure("a.tif", "a.tif is bad")], made=1), "stop", tmp_path / "failures.csv", RAW)
    assert not (tmp_path / "failures.csv").exists()


def test_stop_with_several_failures_lists_them(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^2 files failed, as listed above; ") as error:
        failed = Failures([Failure("a.tif", "is bad"), Failure("long.tif", "is worse")], made=1)
        settle(failed, "stop", tmp_path / "failures.csv", RAW)
    assert error.value.table == ["a.tif     is bad", "long.tif  is worse"]


def test_a_long_list_is_cut_and_written_whole(tmp_path: Path, own_cache: Path) -> None:
    failures = Failures(Failure(f"{number:03}.tif", "is bad") for number in range(100))
    with pytest.raises(
        PipelineError, match=r"100 files failed, the first 20 above and all in .*/failures/\w{12}.csv; "
    ) as error:
        settle(failures, "stop", tmp_path / "failures.csv", RAW)
    assert len(error.value.table) == 20
    (written,) = (own_cache / "failures").iterdir()
    assert len(written.read_text().splitlines()) == 101


def test_a_reason_that_does_not_say_which_file_gets_its_name(tmp_path: Path) -> None:
    for failure, said in (
        (Failure("images/a.tif", "holds more than it claims"), "images/a.tif: holds more than it claims"),
        (Failure("images/a.tif", "masks/a.tif is empty"), "masks/a.tif is empty"),
    ):
        with pytest.raises(PipelineError) as error:
            settle(Failures([failure], made=1), "stop", tmp_path / "failures.csv", RAW)
        assert str(error.value).startswith(f"{said} (what was finished is kept: ")


def test_the_list_of_one_stage_is_not_replaced_by_that_of_another(tmp_path: Path, own_cache: Path) -> None:
    for stage in ("one", "other"):
        with pytest.raises(PipelineError):
            settle(
                Failures(Failure(f"{stage}{number}", "is bad") for number in range(50)), "stop", tmp_path / "a.csv", RAW
            )
    texts = [path.read_text() for path in (own_cache / "failures").iterdir()]
    assert sorted(text.splitlines()[1].split(",")[0] for text in texts) == ["one0", "other0"]
