"""The log has a line an epoch, a terminal a bar, and the curves a point an epoch."""

import io
import json
import sys
from pathlib import Path

import pytest

from pipeline.learning.fit import Epoch
from pipeline.learning.progress import TrainingProgress, epoch_line
from tests.learning.test_fit import fitted
from tests.learning.world import tiny_task

EPOCH = Epoch(2, {"loss": 0.51239}, {"loss": 0.7, "mean_iou": 0.25}, 4.0)
CURVES = ["f_score", "loss", "mean_iou"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit_with_progress(folder: Path, epochs: int = 2) -> list[Epoch]:
    progress = TrainingProgress(folder, 10)
    try:
        return fitted(tiny_task(epochs=epochs), progress).epochs
    finally:
        progress.close()


def test_line_of_an_epoch() -> None:
    assert epoch_line(EPOCH, 5, 10) == ("epoch 2/5: loss 0.5124, validation loss 0.7000, mean IoU 0.2500, 2.5 chips/s")


def test_the_curves_have_a_point_per_epoch(tmp_path: Path) -> None:
    epochs = fit_with_progress(tmp_path / "curves")
    for part in ("train", "val"):
        folder = tmp_path / "curves/plots/metrics" / part
        assert sorted(path.stem for path in folder.iterdir()) == CURVES
        for name in CURVES:
            rows = [row.split("\t") for row in (folder / f"{name}.tsv").read_text().splitlines()]
            assert rows == [["step", name]] + [[str(epoch.number), str(getattr(epoch, part)[name])] for epoch in epochs]


def test_the_last_values_are_in_metrics_json_and_no_dvc_yaml_is_written(tmp_path: Path) -> None:
    epochs = fit_with_progress(tmp_path / "curves")
    summary = json.loads((tmp_path / "curves/metrics.json").read_text())
    assert (summary["step"], summary["val"]["loss"]) == (2, epochs[-1].val["loss"])
    assert not list(tmp_path.rglob("dvc.yaml"))


def test_a_log_file_gets_one_line_per_epoch(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fit_with_progress(tmp_path / "curves")
    out, err = capfd.readouterr()
    assert [text.split(":")[0] for text in out.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert out.splitlines()[-1].endswith(" chips/s, about 0 s left")
    assert err == ""


def test_a_terminal_gets_a_progress_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    fit_with_progress(tmp_path / "curves", epochs=1)
    assert "train: epoch 1/1" in terminal.getvalue()
