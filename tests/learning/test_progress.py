"""The log has a line an epoch, a terminal a bar, and the curves a point an epoch."""

import io
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


def fit_with_progress(epochs: int = 2) -> list[Epoch]:
    progress = TrainingProgress(Path("curves"), 10)
    try:
        return fitted(tiny_task(epochs=epochs), progress).epochs
    finally:
        progress.close()


def test_line_of_an_epoch() -> None:
    assert epoch_line(EPOCH, 5, 10) == ("epoch 2/5: loss 0.5124, validation loss 0.7000, mean IoU 0.2500, 2.5 chips/s")


def test_a_log_file_gets_a_line_and_the_curves_a_point_per_epoch(capfd: pytest.CaptureFixture[str]) -> None:
    epochs = fit_with_progress()
    out, err = capfd.readouterr()
    assert [text.split(":")[0] for text in out.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert out.splitlines()[-1].endswith(" chips/s, about 0 s left")
    assert err == ""
    for part in ("train", "val"):
        folder = Path("curves/plots/metrics", part)
        assert sorted(path.stem for path in folder.iterdir()) == CURVES
        for name in CURVES:
            rows = [row.split("\t") for row in (folder / f"{name}.tsv").read_text().splitlines()]
            assert rows == [["step", name]] + [[str(epoch.number), str(getattr(epoch, part)[name])] for epoch in epochs]
    assert not list(Path().rglob("dvc.yaml"))


def test_a_terminal_gets_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    fit_with_progress(epochs=1)
    assert "train: epoch 1/1" in terminal.getvalue()
