import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256
from pipeline.core.stage_cache import StageCache, stage_cache


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("a")
    return tmp_path / "a.txt"


class Build:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> Any:
        self.calls += 1
        (folder / "made.txt").write_text("made")
        return {"rows": [1, 0.1, None]}


def made(pieces: StageCache, source: Path, build: Build, name: str = "a") -> int:
    folder, result = pieces.make(name, [source], build)
    assert (folder / "made.txt").read_text() == "made"
    assert result == {"rows": [1, 0.1, None]}
    return build.calls


def interrupted(source: Path, build: Build, *settings: Any) -> int:
    """Make one piece in a run that then fails; how often anything was built so far."""
    with pytest.raises(RuntimeError, match="later"), stage_cache("tile", sha256, *settings) as pieces:
        made(pieces, source, build)
        raise RuntimeError("later")
    return build.calls


def test_a_piece_of_a_run_that_failed_is_not_made_again(source: Path) -> None:
    build = Build()
    assert interrupted(source, build) == 1
    assert interrupted(source, build) == 1


def test_success_removes_the_pieces(source: Path, own_cache: Path) -> None:
    build = Build()
    for calls in (1, 2):
        with stage_cache("tile", sha256) as pieces:
            assert made(pieces, source, build) == calls
    assert [path for path in own_cache.rglob("*") if path.is_dir()] == [own_cache / "pieces", own_cache / "pieces/tile"]


def test_other_inputs_settings_or_names_make_another_piece(source: Path) -> None:
    build = Build()
    assert interrupted(source, build) == 1
    assert interrupted(source, build, {"size": 512}) == 2
    source.write_text("b")
    assert interrupted(source, build) == 3
    with stage_cache("tile", sha256) as pieces:
        assert made(pieces, source, build, name="b") == 4
        assert made(pieces, source, build, name="a") == 4


def test_a_build_that_fails_leaves_nothing(source: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise ValueError("no")

    with stage_cache("tile", sha256) as pieces:
        with pytest.raises(ValueError, match="no"):
            pieces.make("a", [source], fail)
        assert list(pieces.folder.iterdir()) == []


def _hang(source: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        (source.parent / "began").touch()
        time.sleep(60)

    with stage_cache("tile", sha256) as pieces:
        pieces.make("first", [source], lambda _: None)
        pieces.make("second", [source], build)


def test_a_kill_leaves_what_was_finished_and_nothing_half_made(source: Path, own_cache: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_hang, args=(source,))
    child.start()
    while not (source.parent / "began").exists():
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with stage_cache("tile", sha256) as pieces:
        assert [path.name.startswith(".partial-") for path in pieces.folder.iterdir()] == [False]
        assert pieces.make("first", [source], lambda _: "again")[1] is None


def test_a_kill_while_pieces_are_removed_leaves_no_half_of_one(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(folder: Path) -> None:
        next(folder.rglob("made.txt")).unlink()
        raise KeyboardInterrupt

    build = Build()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), stage_cache("tile", sha256) as pieces:
        made(pieces, source, build)
        patch.setattr("pipeline.core.stage_cache.remove", killed)
    with stage_cache("tile", sha256) as pieces:
        assert made(pieces, source, build) == 2


def test_an_input_that_is_refused_is_not_built_from(source: Path) -> None:
    def refuse(path: Path) -> str:
        raise PipelineError(f"{path.name} is not what it was")

    build = Build()
    with stage_cache("tile", refuse) as pieces, pytest.raises(PipelineError, match=r"^a.txt is not what it was$"):
        made(pieces, source, build)
    assert build.calls == 0
