"""A command prints a summary or one line of error, progress only on a terminal, and a bug its traceback."""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.cli import number, progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.params import Params
from pipeline.formats.datasets import DatasetName


class DrillParams(Params):
    depth: int


def drill(dataset: DatasetName, raw: Path, hole: Path, params: DrillParams) -> str:
    """Drill a HOLE."""
    assert isinstance(raw, Path)
    hole.write_text(f"{dataset} {raw} {params.depth}")
    return "1 hole in"


def refuse(raw: Path, params: DrillParams) -> str:
    raise PipelineError(f"{raw} is rock;\n   use another drill")


def miss(raw: Path, params: DrillParams) -> str:
    return raw.read_text()


def stumble(raw: Path, params: DrillParams) -> str:
    raise KeyError(raw)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("depth: 7\n")

    def started(stage: Callable[..., str], *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [f"{stage.__name__}.py", *arguments])
        run(stage)

    return started


def test_arguments_become_paths_and_the_summary_is_one_line(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    start(drill, "ghana", "data/raw dir", "hole")
    assert Path("hole").read_text() == "ghana data/raw dir 7"
    out, err = capsys.readouterr()
    assert out.startswith("drill ghana: 1 hole in, 0.")
    assert out.endswith(" s\n")
    assert err == ""


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (refuse, "refuse: error: rocks is rock; use another drill"),
        (miss, "miss: error: [Errno 2] No such file or directory: 'rocks'"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_1(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str], stage: Callable[..., str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        start(stage, "rocks")
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == f"{message}\n"


def test_a_bug_shows_its_traceback(start: Callable[..., None]) -> None:
    with pytest.raises(KeyError):
        start(stumble, "rocks")


def test_an_unknown_dataset_is_refused_with_the_known_ones(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        start(drill, "gana", "raw", "hole")
    assert exit_info.value.code != 0
    message = capsys.readouterr().err.splitlines()[-1]
    assert "'gana'" in message
    for name in ("landcoverai", "landcovernet", "ghana"):
        assert name in message


def test_progress_is_silent_in_a_log_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress("abc", "letters", 3)) == ["a", "b", "c"]
    assert "letters" in terminal.getvalue()


def test_numbers_are_finite() -> None:
    assert [number(text) for text in ("-1", "2.5", "1e3")] == [-1, 2.5, 1000]
    for text in ("", "1m", "nan", "inf"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a number$"):
            number(text)
