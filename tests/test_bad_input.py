"""Each data stage as a command: its summary, and its errors, are one line."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.world import (
    TWO_CLASSES,
    archive,
    ghana_item,
    gradient,
    halves,
    landcovernet_item,
    orthophoto,
    write_params,
)

Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Run a stage in `tmp_path` with changes to params.yaml."""

    def started(stage: str, *arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        write_params(tmp_path, **changes)
        return subprocess.run(
            [sys.executable, "-m", f"pipeline.{stage}", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
        )

    return started


def require_one_line(result: subprocess.CompletedProcess[str], message: str) -> None:
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr
    assert (result.returncode, result.stdout) == (1, "")


def test_a_successful_stage_prints_one_line(tmp_path: Path, start: Start) -> None:
    orthophoto(archive(tmp_path / "raw", "landcoverai", TWO_CLASSES), "a")
    result = start("tile", "raw", "chips", "failures.csv")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("tile: 1 scenes in, 6 chips kept, dropped: 0 partial, 0 without a label, ")
    assert result.stdout.endswith(" s\n")


def test_the_stages_of_a_dataset_run_in_sequence(tmp_path: Path, start: Start) -> None:
    orthophoto(archive(tmp_path / "in put", "landcoverai"), 'it\'s "one"', gradient(64, 192))
    changes = {"download.landcoverai.path": "in put", "split.train": 0.5, "split.val": 0.25, "split.test": 0.25}
    for stage, *arguments in (
        ("download", "landcoverai", "raw", "failures.csv"),
        ("tile", "raw", "chips", "failures.csv"),
        ("split", "landcoverai", "chips", "split", "metrics/landcoverai.json", "plots/a.md", "plots/a.png"),
    ):
        ended = start(stage, *arguments, **changes)
        assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("split landcoverai: 12 chips in 1 group: 6 train / 3 val / 3 test, ")


def test_an_unknown_source(tmp_path: Path, start: Start) -> None:
    ended = start("download", "ghana", "raw", "failures.csv", **{"download.ghana.source": "mlhup"})
    require_one_line(
        ended,
        "download ghana: error: params.yaml: download.ghana.source is 'mlhup'; did you mean 'mlhub'? allowed: "
        "sample, local, mlhub, source_coop\n",
    )
    assert not (tmp_path / "raw").exists()


def test_an_empty_source_folder(tmp_path: Path, start: Start) -> None:
    (tmp_path / "input").mkdir()
    result = start("download", "landcoverai", "raw", "failures.csv")
    require_one_line(
        result, "download landcoverai: error: download.landcoverai.path is 'input', which contains no files; "
    )
    assert not (tmp_path / "raw").exists()


def test_every_date_rejected(tmp_path: Path, start: Start) -> None:
    ghana_item(archive(tmp_path / "raw", "ghana"), "000001", date(2020, 1, 1), code=1, hidden=256)
    result = start("cloud_filter", "ghana", "raw", "clear.csv", "failures.csv")
    require_one_line(
        result, "cloud_filter ghana: error: all 1 dates in input are dropped (1 cloud); in the clearest, 000001_"
    )
    assert not (tmp_path / "clear.csv").exists()


def test_a_missing_input(tmp_path: Path, start: Start) -> None:
    landcovernet_item(archive(tmp_path / "raw", "landcovernet"), "31PGS_01", date(2020, 1, 1))
    result = start("tif_to_png", "landcovernet", "raw", "clear.csv", "chips", "failures.csv")
    require_one_line(result, "tif_to_png landcovernet: error: [Errno 2] No such file or directory: 'clear.csv'")
    assert not (tmp_path / "chips").exists()


def test_a_label_value_outside_the_table(tmp_path: Path, start: Start) -> None:
    orthophoto(archive(tmp_path / "raw", "landcoverai", TWO_CLASSES), "a", mask_HW=halves(64, 96, right=7))
    require_one_line(
        start("tile", "raw", "chips", "failures.csv"),
        "tile: error: input/masks/a.tif contains label values outside the class table: 7 in 3072 px; classes are ",
    )
    assert not (tmp_path / "chips").exists()


def test_a_part_that_would_be_empty(tmp_path: Path, start: Start) -> None:
    orthophoto(archive(tmp_path / "raw", "landcoverai", TWO_CLASSES), "a", gradient(32, 64))
    assert start("tile", "raw", "chips", "failures.csv").returncode == 0
    result = start("split", "landcoverai", "chips", "split", "split.json", "card.md", "card.png")
    require_one_line(result, "split landcoverai: error: the part val would be empty: 2 chips at ")
    assert not (tmp_path / "split").exists()
    assert not (tmp_path / "split.json").exists()
