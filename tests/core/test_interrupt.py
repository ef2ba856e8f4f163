"""Ctrl-C, sent to real processes that hang at a chosen point."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.core.interrupt import INTERRUPTED, MESSAGE, thread_pool
from tests.sources.faulty import Fault
from tests.sources.hub import Hub, hub
from tests.sources.world import files_below, small_landcovernet
from tests.studies.world import DVC
from tests.world import archive, orthophoto, write_params

ROOT = Path(__file__).parents[2]
TILE = ("tile", "raw", "out/chips", "out/failures.csv")
TIMEOUT = 120
"""Seconds after which a process counts as hanging rather than slow."""


def start(folder: Path, *command: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a process group of its own; Ctrl-C goes to a whole group, as on a terminal."""
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
    """Send Ctrl-C once `ready()`; return exit code and output."""
    until = time.monotonic() + TIMEOUT
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    return process.returncode, out + err


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Three scenes; the last mask is a pipe without a writer, so its thread hangs."""
    for name in "abc":
        orthophoto(archive(tmp_path / "raw", "landcoverai"), name)
    write_params(tmp_path)
    (tmp_path / "raw/masks/c.tif").rename(tmp_path / "c.tif")
    os.mkfifo(tmp_path / "raw/masks/c.tif")
    return tmp_path


def finished(folder: Path) -> bool:
    """Whether the first two scenes are cached."""
    return len(list((folder / "cache").glob("stages/tile/*/[!.]*/result.json"))) == 2


def test_a_stage_with_a_hanging_thread_exits_and_keeps_finished_work(scenes: Path) -> None:
    assert interrupt(stage(scenes, *TILE), lambda: finished(scenes)) == (INTERRUPTED, f"tile: error: {MESSAGE}\n")
    assert list((scenes / "out").iterdir()) == []
    assert finished(scenes)
    (scenes / "c.tif").replace(scenes / "raw/masks/c.tif")
    again = stage(scenes, *TILE)
    assert again.communicate()[1] == ""
    assert again.returncode == 0
    assert len(files_below(scenes / "out/chips/images")) == 18


def test_under_dvc_a_stage_prints_one_line_and_dvc_fails(scenes: Path) -> None:
    subprocess.run([*DVC, "init", "--quiet", "--no-scm"], cwd=scenes, check=True)
    command = f"{sys.executable} -m pipeline.{' '.join(TILE)}"
    stages = {"tile": {"cmd": command, "outs": ["out/chips"]}, "later": {"cmd": "touch later", "deps": ["out/chips"]}}
    (scenes / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    code, output = interrupt(start(scenes, "dvc", "repro"), lambda: finished(scenes))
    assert output.count(f"tile: error: {MESSAGE}\n") == 1
    assert re.search(r"exited with (130|-2)\b", output)  # -2: the shell that ran the stage also died of SIGINT
    assert (code != 0, "Traceback" in output, (scenes / "later").exists()) == (True, False, False)


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Hub]:
    """A server that never completes a file, so that a download keeps retrying."""
    with hub(small_landcovernet(tmp_path / "served"), "ref_landcovernet_af_v1") as running:
        running.blobs.every = (1, Fault("stall", 0))
        yield running


def test_a_download_does_not_wait_for_the_server(silent: Hub, tmp_path: Path) -> None:
    write_params(tmp_path, **{"download.landcovernet.source": "mlhub"})
    command = ("download", "landcovernet", "out/raw", "out/failures.csv")
    process = stage(tmp_path, *command, MLHUB_ROOT_URL=silent.root, MLHUB_API_KEY=silent.key)
    code, output = interrupt(process, silent.blobs.gets)
    assert (code, output) == (INTERRUPTED, f"download landcovernet: error: {MESSAGE}\n")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("command", ["check", "evaluate", "compare"])
def test_imports_are_interrupted_in_one_line(tmp_path: Path, command: str) -> None:
    slow = "open('loading', 'w').close(); import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: import no_such\n"
    (tmp_path / "numpy.py").write_text(slow)  # like numpy, which raises ImportError when interrupted
    shutil.copy(tmp_path / "numpy.py", tmp_path / "yaml.py")
    process = stage(tmp_path, command, PYTHONPATH=f"{tmp_path}:{ROOT}")
    code, output = interrupt(process, (tmp_path / "loading").exists)
    assert (code, output) == (INTERRUPTED, f"{command}: error: {MESSAGE}\n")


@pytest.mark.parametrize("reason", [KeyboardInterrupt, GeneratorExit])
def test_running_threads_are_not_waited_for_after_ctrl_c(reason: type[BaseException]) -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    with pytest.raises(reason), thread_pool(1) as pool:
        pool.submit(work)
        raise reason
    assert not ended.is_set()
    release.set()
    assert ended.wait(TIMEOUT)
