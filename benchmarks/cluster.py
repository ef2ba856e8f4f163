"""The stage `tile` on one core, on all cores, and on a Dask cluster of this machine, of which a worker is killed.

    python -m benchmarks.cluster [--scenes N] [--side PIXELS]

The scenes are noisy orthophotos in a temporary folder. The cluster is a scheduler and two workers of one thread, which
are pinned to a core each; it is started before the clock. In the last run, one worker is killed with SIGKILL as soon as
the first scene is finished. Print seconds, start-up included, and the peak memory of the stage or of its workers; the
chips of all runs are compared byte by byte.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from benchmarks._tile_scenes import write_scenes

ROOT = Path(__file__).parents[1]
CORES = sorted(os.sched_getaffinity(0))


def start(program: Sequence[str | Path], cores: Sequence[int], **variables: str) -> subprocess.Popen[bytes]:
    """Start a Python program on some of the cores."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    command = ["taskset", "--cpu-list", ",".join(map(str, cores)), sys.executable, *map(str, program)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def peak_megabytes(processes: Sequence[psutil.Process]) -> float:
    """Return the largest peak of resident memory among processes; 0 if they have ended."""
    lines = [line for each in processes for line in Path(f"/proc/{each.pid}/status").read_text().splitlines()]
    return max((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), default=0)


@contextmanager
def cluster(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run a scheduler and two workers; yield the supervisors of the workers."""
    file = folder / "dask.json"
    options = ("--scheduler-file", file, "--no-dashboard")
    workers = ("-m", "dask", "worker", *options, "--nthreads", "1", "--local-directory", folder)
    started = [start(("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", *options), CORES)]
    started += [start(workers, (core,)) for core in (CORES[0], CORES[-1])]
    try:
        while sum(len(workers_of(each)) for each in started[1:]) < 2:
            time.sleep(0.1)
        time.sleep(3)  # until they have joined
        yield started[1:]
    finally:
        for each in started:
            for child in psutil.Process(each.pid).children(recursive=True):
                child.kill()
            each.kill()
            each.wait()
        file.unlink()


def workers_of(supervisor: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the running workers of a supervisor."""
    children = psutil.Process(supervisor.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


class Run:
    """A run of the stage, with outputs and cache in its own folder."""

    def __init__(self, folder: Path, raw: Path, cores: Sequence[int], **variables: str) -> None:
        """Start it."""
        self.folder, self.peak, self.begin = folder, 0.0, time.perf_counter()
        stage = ("-m", "pipeline.tile", raw, folder / "chips", folder / "failures.csv")
        self.process = start(stage, cores, PIPELINE_CACHE=str(folder / "cache"), **variables)

    def finish(self) -> float:
        """Return the seconds that it took, and set its peak memory in MB."""
        while (state := os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
            self.peak = max(self.peak, peak_megabytes([psutil.Process(self.process.pid)]))
            time.sleep(0.02)
        seconds = time.perf_counter() - self.begin
        assert self.process.wait() == 0, state
        return seconds

    def wait_for_first_scene(self) -> None:
        """Wait until a scene is finished."""
        while not any(self.folder.glob("cache/stages/tile/*/*/result.json")):
            time.sleep(0.01)

    def digest(self) -> str:
        """Digest the chips folder."""
        hashes = hashlib.sha256()
        for path in sorted(self.folder.glob("chips/**/*.*")):
            hashes.update(path.name.encode() + path.read_bytes())
        return hashes.hexdigest()[:12]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--side", type=int, default=5000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        raw, side = folder / "raw", arguments.side
        write_scenes(raw, arguments.scenes, side, side)
        print(f"{arguments.scenes} scenes of {arguments.side} x {arguments.side} px, {len(CORES)} cores")
        runs = []
        for label, cores in (("one core", CORES[:1]), (f"{len(CORES)} cores", CORES)):
            (folder / label).mkdir()
            runs.append(Run(folder / label, raw, cores))
            seconds = runs[-1].finish()
            print(f"one process, {label}: {seconds:.1f} s, {runs[-1].peak:.0f} MB")
        for label in ("two workers", "two workers, one killed"):
            (folder / label).mkdir()
            with cluster(folder) as supervisors:
                runs.append(Run(folder / label, raw, CORES, DASK_SCHEDULER_FILE=str(folder / "dask.json")))
                if label.endswith("killed"):
                    runs[-1].wait_for_first_scene()
                    os.kill(workers_of(supervisors[0])[0].pid, signal.SIGKILL)
                seconds = runs[-1].finish()
                peak = peak_megabytes([worker for each in supervisors for worker in workers_of(each)])
                print(f"cluster, {label}: {seconds:.1f} s, {peak:.0f} MB a worker")
        digests = {run.digest() for run in runs}
        print(f"chips: {'equal bytes' if len(digests) == 1 else f'DIFFERENT: {digests}'}")


if __name__ == "__main__":
    main()
