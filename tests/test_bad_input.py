"""Each data stage as a command: its summary, and its errors, are one line, and an error leaves no output."""

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.cloud_filter import cloud_filter
from pipeline.core.cli import Stage, run
from pipeline.download import download
from pipeline.tif_to_png import tif_to_png
from pipeline.tile import tile
from tests.world import TWO_CLASSES, archive, ghana_item, gradient, halves, orthophoto, write_params


def test_the_stages_of_a_dataset_run_in_sequence(tmp_path: Path) -> None:
    orthophoto(archive(tmp_path / "in put", "landcoverai"), 'it\'s "one"', gradient(64, 192))
    changes = {"download.landcoverai.path": "in put", "split.train": 0.5, "split.val": 0.25, "split.test": 0.25}
    write_params(tmp_path, **changes)
    for arguments, summary in (
        ("download landcoverai raw failures.csv", "download landcoverai: "),
        ("tile raw chips failures.csv", "tile: 1 scenes in, 12 chips kept, dropped: 0 partial, 0 without a label, "),
        (
            "split landcoverai chips split metrics/landcoverai.json plots/a.md plots/a.png",
            "split landcoverai: 12 chips in 1 group: 6 train / 3 val / 3 test, ",
        ),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *f"pipeline.{arguments}".split()],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith(summary)
        assert ended.stdout.endswith(" s\n")


@pytest.mark.parametrize(
    ("stage", "arguments", "changes", "message"),
    [
        (
            download,
            "ghana out failures.csv",
            {"download.ghana.source": "mlhup"},
            "params.yaml: download.ghana.source is 'mlhup'; did you mean 'mlhub'? allowed: sample, local, mlhub, "
            "source_coop\n",
        ),
        (
            cloud_filter,
            "ghana ghana out failures.csv",
            {},
            "all 1 dates in input are dropped (1 cloud); in the clearest, 000001_",
        ),
        (tif_to_png, "ghana ghana clear.csv out failures.csv", {}, "[Errno 2] No such file or directory: 'clear.csv'"),
        (tile, "raw out failures.csv", {}, "input/masks/a.tif contains label values outside the class table: 7 in "),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: Stage,
    arguments: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    ghana_item(archive(tmp_path / "ghana", "ghana"), "000001", date(2020, 1, 1), code=1, hidden=256)
    orthophoto(archive(tmp_path / "raw", "landcoverai", TWO_CLASSES), "a", mask_HW=halves(64, 96, right=7))
    write_params(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [stage.__name__, *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        run(stage)
    printed = capsys.readouterr()
    dataset = "ghana " if "ghana" in arguments else ""
    assert printed.err.startswith(f"{stage.__name__} {dataset}".rstrip() + f": error: {message}")
    assert (ended.value.code, printed.out, printed.err.count("\n")) == (1, "", 1)
    assert not (tmp_path / "out").exists()
