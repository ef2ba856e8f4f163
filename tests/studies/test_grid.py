"""A row of a grid is the run that was written, whatever its values, and is never run in two clones at once."""

import io
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.studies.grid import Row, free_worker, read_row, write_grid
from pipeline.studies.study import Arm, Run
from pipeline.studies.workers import Clones, Worker
from tests.studies.test_values import VALUES

AWKWARD = "$(touch x); 'a' \"b\"\t\\ \n\u2028\u0085 é"


def run(value: Any = "focal", study: str = "losses") -> Run:
    return Run(study, Arm({"loss": "focal"}, {"loss": "focal"}), 1, "none", {"loss": value, "seed": 1})


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_what_is_read_is_what_was_written_under_the_same_name(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    grid = tmp_path_factory.mktemp("grid") / "grid.txt"
    rows = [Row("0123456789", run(value)) for value in values]
    write_grid(grid, rows)
    read = [read_row(grid, number) for number in range(1, len(rows) + 1)]
    assert read == rows
    assert [row.run.name for row in read] == [row.run.name for row in rows]


def test_a_row_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = tmp_path / "grid.txt"
    write_grid(grid, [Row("1", run(AWKWARD)), Row("2", run())])
    assert subprocess.check_output(["wc", "-l", grid]).split()[0] == b"2"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(grid.read_bytes())))
    assert read_row(Path("-"), 1).run.overrides["loss"] == AWKWARD


@pytest.mark.parametrize(
    ("number", "message"),
    [(0, "ROW is 0; .*grid.txt has 1 rows"), (2, "ROW is 2; .*"), (1, "line 1 is not a row of a grid; write it with")],
)
def test_mistakes(tmp_path: Path, number: int, message: str) -> None:
    grid = tmp_path / "grid.txt"
    grid.write_text("losses-focal-1 -S loss=focal\n")
    with pytest.raises(PipelineError, match=message):
        read_row(grid, number)


def test_a_job_takes_the_first_clone_that_is_free(tmp_path: Path) -> None:
    clones = Clones(tmp_path, "1", tmp_path, tmp_path, {})
    with free_worker(clones, run()) as (first, _), free_worker(clones, run("dice")) as (second, _):
        assert (first.number, second.number) == (1, 2)
    with free_worker(clones, run()) as (again, _):
        assert again.number == 1


def test_a_job_waits_for_the_clone_where_its_run_goes_on(tmp_path: Path) -> None:
    clones = Clones(tmp_path, "1", tmp_path, tmp_path, {})
    taken: list[int] = []

    def take() -> None:
        with free_worker(clones, run()) as (worker, _):
            taken.append(worker.number)

    for number in ("1", "2"):
        (tmp_path / number).mkdir()
    with Worker(clones, 2, {}).locked() as lock:  # clone 1 is free
        lock.write(run().name)
        lock.flush()
        job = threading.Thread(target=take)
        job.start()
        job.join(0.5)
        assert taken == []
    job.join()
    assert taken == [2]
