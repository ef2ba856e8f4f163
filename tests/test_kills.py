"""A download or data stage killed at a random moment and run again gives the output of an undisturbed run."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.formats.classes import write_classes
from pipeline.formats.datasets import CLASSES
from pipeline.raster.layout import write_source
from tests.sources.faulty import Fault
from tests.sources.hub import Hub, hub
from tests.sources.world import files_below, small_landcovernet
from tests.world import archive, gradient, halves, orthophoto, write_params

ROOT = Path(__file__).parents[1]
MLHUB = {"download.landcovernet.source": "mlhub", "download.landcovernet.connections": 2}
CHIPS = tuple(f"31PGS_{number:02}" for number in range(8))
few_or_many = pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.soak)])


@dataclass
class World:
    """A folder to run stages in as under DVC."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, stage: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "DVC_ROOT": str(self.folder)}
        command = [sys.executable, "-m", f"pipeline.{stage}", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment | self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def finish(self, stage: str, *arguments: str) -> float:
        start = time.monotonic()
        run = self.start(stage, *arguments)
        out, err = run.communicate()
        assert (run.returncode, err) == (0, b"")
        assert (out.startswith(stage.encode()), out.count(b"\n"), out.endswith(b" s\n")) == (True, 1, True)
        return time.monotonic() - start

    def kill(self, after: float, stage: str, *arguments: str) -> bool:
        """Kill the stage after some seconds; return whether it was still running."""
        run = self.start(stage, *arguments)
        time.sleep(after)
        run.kill()
        run.communicate()
        return run.returncode == -9

    @property
    def finished(self) -> set[str]:
        """Server paths of the files completed in the cache."""
        folder = self.folder / ".pipeline_cache/downloads"
        names = {name.split("/", 2)[2] for name in files_below(folder)} if folder.exists() else set()
        return {f"/{name}" for name in names if not name.endswith((".part", ".part.json"))}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Hub]:
    with hub(small_landcovernet(tmp_path / "served", CHIPS), "ref_landcovernet_af_v1") as running:
        running.blobs.every = (7, Fault("drop", 700))
        yield running


def world(folder: Path, server: Hub | None = None) -> World:
    folder.mkdir()
    write_params(folder, **(MLHUB if server else {}))
    environment = {"MLHUB_ROOT_URL": server.root, "MLHUB_API_KEY": server.key} if server else {}
    return World(folder, environment)


def outcome(world: World, *names: str) -> dict[str, bytes]:
    return {f"{name}/{path}": body for name in names for path, body in files_below(world.folder / name).items()}


def survive_download(server: Hub, tmp_path: Path, kills: int) -> int:
    arguments = "download", "landcovernet", "out/raw", "out/failures.csv"
    undisturbed = world(tmp_path / "undisturbed", server)
    seconds = undisturbed.finish(*arguments)
    expected, raw = outcome(undisturbed, "out"), outcome(undisturbed, "out/raw")
    survived, rng = 0, random.Random(kills)
    while survived < kills:
        killed = world(tmp_path / f"killed-{time.monotonic_ns()}", server)
        while survived < kills and killed.kill(rng.uniform(0.2, seconds), *arguments):
            survived += 1
            assert outcome(killed, "out/raw") in ({}, raw)  # nothing; or everything, if killed after the end
            finished, requests = killed.finished, len(server.blobs.received)
            if rng.randrange(2):
                killed.finish(*arguments)
                again = {received.path for received in server.blobs.received[requests:] if received.method == "GET"}
                assert again & finished == set()
                assert outcome(killed, "out") == expected
                break
        killed.finish(*arguments)
        assert outcome(killed, "out") == expected
    return survived


def scenes(world: World) -> tuple[str, ...]:
    raw = archive(world.folder / "raw", "landcoverai")
    for number in range(12):
        orthophoto(raw, f'it\'s "{number}"', gradient(320, 320), halves(320, 320))
    return "tile", "raw", "out/chips", "out/failures.csv"


def dates(world: World) -> tuple[str, ...]:
    small_landcovernet(world.folder / "raw", CHIPS)
    write_classes(world.folder / "raw/classes.json", CLASSES["landcovernet"])
    write_source(world.folder / "raw", "local")
    return "cloud_filter", "landcovernet", "raw", "out/clear.csv", "out/failures.csv"


def images(world: World) -> tuple[str, ...]:
    stage, dataset, raw, _, failures = dates(world)
    world.finish(stage, dataset, raw, "clear.csv", failures)
    return "tif_to_png", dataset, raw, "clear.csv", "out/chips", failures


def lists(world: World) -> tuple[str, ...]:
    world.finish(*scenes(world)[:2], "chips", "failures.csv")
    return "split", "landcoverai", "chips", "out/lists", "out/split.json", "out/card.md", "out/card.png"


STAGES = {"tile": scenes, "cloud_filter": dates, "tif_to_png": images, "split": lists}


def survive(stage: str, tmp_path: Path, kills: int) -> int:
    undisturbed = world(tmp_path / "undisturbed")
    arguments = STAGES[stage](undisturbed)
    seconds = undisturbed.finish(*arguments)
    expected = outcome(undisturbed, "out")
    survived, rng = 0, random.Random(kills)
    while survived < kills:
        killed = world(tmp_path / f"killed-{time.monotonic_ns()}")
        STAGES[stage](killed)
        for _ in range(2):
            survived += killed.kill(rng.uniform(0.1, seconds), *arguments)
        killed.finish(*arguments)
        assert outcome(killed, "out") == expected
        assert list((killed.folder / "out").rglob(".*")) == []
    return survived


@few_or_many
def test_a_download_survives_kills(server: Hub, tmp_path: Path, kills: int) -> None:
    assert survive_download(server, tmp_path, kills) >= kills


@few_or_many
@pytest.mark.parametrize("stage", list(STAGES))
def test_a_data_stage_survives_kills(stage: str, tmp_path: Path, kills: int) -> None:
    assert survive(stage, tmp_path, kills) >= kills


def test_the_key_is_on_no_command_line(server: Hub, tmp_path: Path) -> None:
    server.blobs.every = (3, Fault("stall", 100))
    killed = world(tmp_path / "killed", server)
    run = killed.start("download", "landcovernet", "out/raw", "out/failures.csv")
    seen = set()
    while run.poll() is None and not server.blobs.received:
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen.add((process / "cmdline").read_bytes())
        except OSError:
            continue
    run.kill()
    output = b"".join(run.communicate())
    assert any(b"pipeline.download" in line for line in seen)
    assert not [line for line in seen if server.key.encode() in line]
    assert server.key.encode() not in output
    assert os.environ.get("MLHUB_API_KEY") != server.key
