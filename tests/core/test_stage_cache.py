"""Finished results of a failed or killed run are reused, and those of other inputs or settings are not."""

import multiprocessing
import os
import signal
import threading
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
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> Any:
        self.calls += 1
        (folder / "output.txt").write_text("output")
        return {"rows": [1, 0.1, None]}


def builds(cache: StageCache, source: Path, build: Build, name: str = "a") -> int:
    """Get a result; return the number of builds so far."""
    folder, result = cache.get(name, [source], build)
    assert (folder / "output.txt").read_text() == "output"
    assert result == {"rows": [1, 0.1, None]}
    return build.calls


def builds_in_failed_run(source: Path, build: Build, *settings: Any) -> int:
    with pytest.raises(RuntimeError, match="later"), stage_cache("tile", sha256, *settings) as cache:
        builds(cache, source, build)
        raise RuntimeError("later")
    return build.calls


def test_results_of_a_failed_run_are_reused(source: Path) -> None:
    build = Build()
    assert builds_in_failed_run(source, build) == 1
    assert builds_in_failed_run(source, build) == 1


def test_success_removes_the_cache(source: Path, own_cache: Path) -> None:
    build = Build()
    for calls in (1, 2):
        with stage_cache("tile", sha256) as cache:
            assert builds(cache, source, build) == calls
    assert [path for path in own_cache.rglob("*") if path.is_dir()] == [own_cache / "stages", own_cache / "stages/tile"]


def test_other_inputs_settings_or_names_are_built_separately(source: Path) -> None:
    build = Build()
    assert builds_in_failed_run(source, build) == 1
    assert builds_in_failed_run(source, build, {"size": 512}) == 2
    source.write_text("b")
    assert builds_in_failed_run(source, build) == 3
    with stage_cache("tile", sha256) as cache:
        assert builds(cache, source, build, name="b") == 4
        assert builds(cache, source, build, name="a") == 4


def test_a_failed_build_leaves_nothing(source: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "partial.txt").write_text("partial")
        raise ValueError("no")

    with stage_cache("tile", sha256) as cache:
        with pytest.raises(ValueError, match="no"):
            cache.get("a", [source], fail)
        assert list(cache.folder.iterdir()) == []


def _hang(source: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "partial.txt").write_text("partial")
        (source.parent / "started").touch()
        time.sleep(60)

    with stage_cache("tile", sha256) as cache:
        cache.get("first", [source], lambda _: None)
        cache.get("second", [source], build)


def test_a_kill_keeps_finished_results_only(source: Path, own_cache: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_hang, args=(source,))
    child.start()
    while not (source.parent / "started").exists():
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with stage_cache("tile", sha256) as cache:
        assert [path.name.startswith(".partial-") for path in cache.folder.iterdir()] == [False]
        assert cache.get("first", [source], lambda _: "again")[1] is None


def test_a_kill_during_removal_leaves_no_partial_result(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(folder: Path) -> None:
        next(folder.rglob("output.txt")).unlink()
        raise KeyboardInterrupt

    build = Build()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), stage_cache("tile", sha256) as cache:
        builds(cache, source, build)
        patch.setattr("pipeline.core.stage_cache.remove", killed)
    with stage_cache("tile", sha256) as cache:
        assert builds(cache, source, build) == 2


def test_a_changed_input_is_refused(source: Path) -> None:
    def refuse(path: Path) -> str:
        raise PipelineError(f"{path.name} was changed")

    build = Build()
    with stage_cache("tile", refuse) as cache, pytest.raises(PipelineError, match=r"^a.txt was changed$"):
        builds(cache, source, build)
    assert build.calls == 0


def test_a_worker_that_still_writes_for_a_stage_that_ended_leaves_nothing(source: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        (folder / "first.txt").touch()
        begun.set()
        assert go_on.wait(30)
        (folder / "second.txt").touch()

    errors: list[OSError] = []

    def work(cache: StageCache) -> None:
        try:
            cache.get("a", [source], slow)
        except OSError as error:
            errors.append(error)

    with pytest.raises(RuntimeError), stage_cache("tile", sha256) as cache:
        worker = threading.Thread(target=work, args=(cache,))
        worker.start()
        assert begun.wait(30)
        raise RuntimeError  # the stage ends, and the worker goes on
    build = Build()
    with stage_cache("tile", sha256) as cache:
        go_on.set()
        worker.join()
        assert builds(cache, source, build) == 1
    assert [type(error) for error in errors] == [FileNotFoundError]
