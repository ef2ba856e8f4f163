"""A map whose process is killed at a random moment is continued by the same command, with the same bytes."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.files import read_json
from pipeline.inference.layers import DONE, PROGRESS
from tests.maps import MEMORY, outputs, write_model, write_scene

ROWS = 4
"""Rows of windows of the scene."""


def command(arguments: list[str], run: str) -> None:
    """Run in a process of its own; a byte is written for each window that goes through the network."""
    import pipeline.predict
    from pipeline.inference.estimate import SIDE
    from pipeline.inference.network import LoadedModel

    logits = LoadedModel.logits

    def counted(self: LoadedModel, images_NHWC: np.ndarray) -> Any:
        if images_NHWC.shape[1] != SIDE:  # which the estimate is made with
            with Path(run, "windows").open("ab") as file:
                file.write(b"x" * len(images_NHWC))
        return logits(self, images_NHWC)

    LoadedModel.logits = counted  # type: ignore[method-assign]
    os.environ["PIPELINE_CACHE"] = f"{run}/cache"
    with Path(run, "log").open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["predict", *arguments]
    pipeline.predict.main()


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """A server that forks processes in which torch is imported, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["pipeline.predict"])
        yield context


@dataclass
class World:
    """A scene, a model, and the command that maps it."""

    folder: Path
    processes: ForkServerContext
    arguments: list[str]
    windows: int = 0
    """That an undisturbed run computes."""
    expected: dict[str, bytes] = field(default_factory=dict)
    """The files that it writes."""
    names: int = 0
    """How many names, hidden ones included, it creates beside the map."""
    seconds: float = 0.0
    """From the estimate to the end."""

    def start(self, run: Path) -> Any:
        (run / "out").mkdir(parents=True, exist_ok=True)
        (run / "log").unlink(missing_ok=True)
        (run / "windows").unlink(missing_ok=True)
        arguments = [*self.arguments, "-o", str(run / "out/map.tif"), "--preview", str(run / "out/map.png")]
        process = self.processes.Process(target=command, args=(arguments, str(run)))
        process.start()
        while process.is_alive() and " of memory, at most " not in log(run):
            time.sleep(0.002)
        return process

    def finish(self, run: Path) -> str:
        process = self.start(run)
        process.join()
        assert process.exitcode == 0, log(run)
        return log(run)

    def undisturbed(self) -> None:
        run, seen = self.folder / "undisturbed", set()
        process, start = self.start(run), time.monotonic()
        while process.is_alive():
            seen |= set(names(run))
            time.sleep(0.001)
        self.seconds, self.names = time.monotonic() - start, len(seen)
        assert process.exitcode == 0, log(run)
        self.windows, self.expected = computed(run), outputs(run / "out")

    def survive(self, run: Path, wait: Callable[[Path], None]) -> bool:
        """Kill a run, and run it again; return whether it was killed before its end."""
        process = self.start(run)
        wait(run)
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            return False
        before, done = computed(run), rows_done(run)
        if done is None and before:  # killed after the end of the work
            assert left(run) == self.expected
            return True
        text = self.finish(run)
        assert left(run) == self.expected
        assert not [path for path in (run / "cache/predict").iterdir() if path.is_dir()]
        assert (f"note: {done} of {ROWS} rows of windows were finished before\n" in text) == bool(done)
        assert computed(run) == self.windows - (done or 0) * self.windows // ROWS
        assert computed(run) + before >= self.windows
        return True


def left(run: Path) -> dict[str, bytes]:
    """The files beside the map, without those of processes killed in the moment between creating a hidden folder and
    locking it, which `atomic_path` removes a day later."""
    return {name: body for name, body in outputs(run / "out").items() if not name.endswith(".partial/unlocked")}


def log(run: Path) -> str:
    return (run / "log").read_text() if (run / "log").exists() else ""


def computed(run: Path) -> int:
    """Windows that went through the network in the last run."""
    return (run / "windows").stat().st_size if (run / "windows").exists() else 0


def names(run: Path) -> list[str]:
    """Names beside the map, and in hidden folders."""
    return [f"{folder}/{name}" for folder, below, files in os.walk(run / "out") for name in (*below, *files)]


def rows_done(run: Path) -> int | None:
    """Rows of windows that unfinished work has; None without unfinished work."""
    folders = [path for path in (run / "cache/predict").glob("*") if path.is_dir() and path.suffix != DONE]
    progress = [path / PROGRESS for path in folders]
    return sum(read_json(path) for path in progress if path.exists()) if folders else None


@pytest.fixture(scope="module")
def world(processes: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("kills")
    model, scene = write_model(folder / "model"), write_scene(folder / "scene.tif", 1000, 900)
    layers = ["--confidence", "--probabilities", "--mmu", "0.3", "--undecided", "40"]
    world = World(folder, processes, [str(scene), "--model", str(model), "--memory", MEMORY, *layers])
    world.undisturbed()
    return world


def after(seconds: float) -> Callable[[Path], None]:
    return lambda run: time.sleep(seconds)


def at_name(count: int) -> Callable[[Path], None]:
    """Wait until so many names, hidden ones included, have appeared beside the map."""

    def wait(run: Path) -> None:
        seen: set[str] = set()
        deadline = time.monotonic() + 60
        while len(seen) < count and not (run / "out/map.tif").exists() and time.monotonic() < deadline:
            seen |= set(names(run))
            time.sleep(0.001)

    return wait


def test_an_undisturbed_run_writes_every_file(world: World) -> None:
    layers = {"map.tif", "map.confidence.tif", "map.probabilities.tif"}
    assert set(world.expected) == layers | {"map.png", "map.qml", "map.tif.aux.xml"}
    assert world.windows == 4 * ROWS


def test_a_map_survives_kills(world: World) -> None:
    assert world.survive(world.folder / "in-network", after(world.seconds / 3))
    assert world.survive(world.folder / "in-writing", at_name(world.names // 2))


@pytest.mark.soak
def test_a_map_survives_many_kills(world: World) -> None:
    survived, rng = 0, random.Random(20)
    while survived < 20:
        run = world.folder / f"killed-{time.monotonic_ns()}"
        moment = after(rng.uniform(0, world.seconds)) if rng.random() < 0.5 else at_name(rng.randint(1, world.names))
        survived += world.survive(run, moment)
