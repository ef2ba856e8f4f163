"""Real processes that hang in a place of our choosing get a real Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from pipeline.interrupt import INTERRUPTED, STOPPED, threads
from tests.sources.faulty import Fault, Hub
from tests.sources.hub import hub
from tests.sources.world import files_below, small_landcovernet
from tests.world import archive, orthophoto, write_params

ROOT = Path(__file__).parents[1]
TILE = ("tile", "raw", "out/chips", "out/failures.csv")
HANG = 120
"""Seconds after which a process that does not end is a failure, not a slow machine."""


def start(folder: Path, *command: str, **environment: str) -> "subprocess.Popen[str]":
    """A process group of its own, which Ctrl-C reaches as it does on a terminal."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PIPELINE_CACHE": str(folder / "cache")} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def stage(folder: Path, *command: str, **environment: str) -> "subprocess.Popen[str]":
    return start(folder, f"pipeline.{command[0]}", *command[1:], **environment)


def interrupt(process: "subprocess.Popen[str]", ready: Callable[[], object]) -> tuple[int, str]:
    """Press Ctrl-C once the process is where it should be; its exit code and what it said."""
    until = time.monotonic() + HANG
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=HANG)
    finally:
        process.kill()
    return process.returncode, out + err


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Three scenes, of which the last one's mask is a pipe that nobody writes to: its thread waits for ever."""
    for name in "abc":
        orthophoto(archive(tmp_path / "raw", "landcoverai"), name)
    write_params(tmp_path)
    (tmp_path / "raw/masks/c.tif").rename(tmp_path / "c.tif")
    os.mkfifo(tmp_path / "raw/masks/c.tif")
    return tmp_path


def finished(folder: Path) -> bool:
    """Whether the first two scenes are kept."""
    return len(list((folder / "cache").glob("pieces/tile/*/[!.]*/result.json"))) == 2


def test_a_stage_ends_though_a_thread_of_it_hangs_and_keeps_what_it_finished(scenes: Path) -> None:
    assert interrupt(stage(scenes, *TILE), lambda: finished(scenes)) == (INTERRUPTED, f"tile: error: {STOPPED}\n")
    assert list((scenes / "out").iterdir()) == []
    assert finished(scenes)
    (scenes / "c.tif").replace(scenes / "raw/masks/c.tif")
    again = stage(scenes, *TILE)
    assert again.communicate()[1] == ""
    assert again.returncode == 0
    assert len(files_below(scenes / "out/chips/images")) == 18


def test_under_dvc_a_stage_says_its_line_and_dvc_that_it_failed(scenes: Path) -> None:
    dvc = (sys.executable, "-W", "ignore", "-m", "dvc")
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], cwd=scenes, check=True)
    command = f"{sys.executable} -m pipeline.{' '.join(TILE)}"
    stages = {"tile": {"cmd": command, "outs": ["out/chips"]}, "later": {"cmd": "touch later", "deps": ["out/chips"]}}
    (scenes / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    code, said = interrupt(start(scenes, "dvc", "repro"), lambda: finished(scenes))
    assert said.count(f"tile: error: {STOPPED}\n") == 1
    assert re.search(r"exited with (130|-2)\b", said)  # some shells that DVC runs a stage in, dash for one, die of SIGINT too
    assert (code != 0, "Traceback" in said, (scenes / "later").exists()) == (True, False, False)


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Hub]:
    """A server that breaks off every file, so that a download tries on and on."""
    with hub(small_landcovernet(tmp_path / "served"), "ref_landcovernet_af_v1") as running:
        running.blobs.every = (1, Fault("stall", 0))
        yield running


def test_a_download_does_not_wait_for_its_server(silent: Hub, tmp_path: Path) -> None:
    write_params(tmp_path, **{"download.landcovernet.source": "mlhub"})
    command = ("download", "landcovernet", "out/raw", "out/failures.csv")
    process = stage(tmp_path, *command, MLHUB_ROOT_URL=silent.root, MLHUB_API_KEY=silent.key)
    code, said = interrupt(process, silent.blobs.gets)
    assert (code, said) == (INTERRUPTED, f"download landcovernet: error: {STOPPED}\n")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("command", ["check", "evaluate", "compare"])
def test_libraries_that_load_are_interrupted_in_one_line(tmp_path: Path, command: str) -> None:
    slow = "open('loading', 'w').close(); import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: import no_such\n"
    (tmp_path / "numpy.py").write_text(slow)  # as the real one does: an interrupted import is an ImportError
    shutil.copy(tmp_path / "numpy.py", tmp_path / "yaml.py")
    process = stage(tmp_path, command, PYTHONPATH=f"{tmp_path}:{ROOT}")
    code, said = interrupt(process, (tmp_path / "loading").exists)
    assert (code, said) == (INTERRUPTED, f"{command}: error: {STOPPED}\n")


def test_compare_is_interrupted_in_one_line(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    (tmp_path / "metrics").mkdir()
    os.mkfifo(tmp_path / "metrics/evaluate.json")
    process, pipe = stage(tmp_path, "compare", "workspace", "workspace"), []

    def reads() -> bool:
        """Whether it has opened the pipe, in which it then waits for words."""
        with suppress(OSError):
            pipe.append(os.open(tmp_path / "metrics/evaluate.json", os.O_WRONLY | os.O_NONBLOCK))
        return bool(pipe)

    code, said = interrupt(process, reads)
    os.close(pipe[0])
    assert (code, said) == (INTERRUPTED, f"compare: error: {STOPPED}\n")


@pytest.mark.parametrize("reason", [KeyboardInterrupt, GeneratorExit])
def test_work_that_was_begun_is_not_waited_for_when_a_person_stops_it(reason: type[BaseException]) -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait()
        ended.set()

    with pytest.raises(reason), threads(1) as pool:
        pool.submit(work)
        raise reason
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(HANG)
