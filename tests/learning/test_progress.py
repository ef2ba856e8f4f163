import io
import json
import sys
from pathlib import Path

import pytest

from pipeline.learning.fit import Epoch, fit
from pipeline.learning.progress import Watch, line
from tests.learning.test_fit import CPU, pixels, tiny

EPOCH = Epoch(2, {"loss": 0.51239}, {"loss": 0.7, "mean_iou": 0.25}, 4.0)
CURVES = ["f_score", "loss", "mean_iou"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def watched(folder: Path, epochs: int = 2) -> list[Epoch]:
    watch = Watch(folder, 10)
    try:
        return fit(tiny(epochs=epochs), (pixels(6), pixels(4)), CPU, watch).epochs
    finally:
        watch.close()


def test_an_epoch_in_words() -> None:
    assert line(EPOCH, 5, 10) == ("epoch 2/5: loss 0.5124, validation loss 0.7000, mean IoU 0.2500, 2.5 chips/s")


def test_the_curves_hold_a_point_an_epoch(tmp_path: Path) -> None:
    epochs = watched(tmp_path / "curves")
    for part in ("train", "val"):
        folder = tmp_path / "curves/plots/metrics" / part
        assert sorted(path.stem for path in folder.iterdir()) == CURVES
        for name in CURVES:
            rows = [row.split("\t") for row in (folder / f"{name}.tsv").read_text().splitlines()]
            assert rows == [["step", name]] + [[str(one.number), str(getattr(one, part)[name])] for one in epochs]


def test_the_last_values_are_summed_up_and_dvc_yaml_is_left_alone(tmp_path: Path) -> None:
    epochs = watched(tmp_path / "curves")
    said = json.loads((tmp_path / "curves/metrics.json").read_text())
    assert (said["step"], said["val"]["loss"]) == (2, epochs[-1].val["loss"])
    assert not list(tmp_path.rglob("dvc.yaml"))


def test_an_epoch_is_a_line_and_a_log_file_gets_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    watched(tmp_path / "curves")
    out, err = capfd.readouterr()
    assert [text.split(":")[0] for text in out.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert out.splitlines()[-1].endswith(" chips/s, about 0 s left")
    assert err == ""


def test_a_terminal_gets_a_bar_with_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    watched(tmp_path / "curves", epochs=1)
    assert "train: epoch 1/1" in terminal.getvalue()
