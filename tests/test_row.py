"""A sweep over machines, on one: two checkouts with caches of their own, a Git remote and a DVC remote between them."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.report import main as report
from pipeline.sweep import main as sweep
from tests.cluster import wait_for
from tests.pages import ROOT
from tests.studies.world import call, commit, environment, git, make_repository, run_command, started

STUDY = ("study.yaml", "--seeds", "2")


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """The checkout where the sweep is planned, with its remotes; and the grid of its four runs beside it."""
    head = make_repository(tmp_path / "head")
    call(head, ["dvc", "remote", "add", "--quiet", "--default", "storage", str(tmp_path / "storage")])
    commit(head, "remote")
    git(head, "clone", "--quiet", "--bare", str(head), str(tmp_path / "origin.git"))
    git(head, "remote", "add", "origin", "../origin.git")
    assert "4 to run" in run_command(head, sweep, *STUDY, "--grid", "../grid.txt")
    return head


def machine(head: Path, name: str) -> Path:
    """Make another checkout."""
    folder = head.parent / name
    git(head, "clone", "--quiet", str(head.parent / "origin.git"), str(folder))
    return folder


def jobs(folder: Path, *numbers: int) -> list[str]:
    """Run some jobs of the array in a checkout, one after the other, and return the last line of each."""
    lines = []
    for number in numbers:
        job = environment(folder) | {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_JOB_ID": "1"}
        command = ["bash", str(ROOT / "tools/cluster/sweep.slurm"), "../grid.txt", "--push", "origin"]
        ended = subprocess.run(command, cwd=folder, env=job, capture_output=True, text=True, check=False)
        lines.append((ended.stdout + ended.stderr).splitlines()[-1])
    return lines


def models(folder: Path) -> list[bytes]:
    """The models in a DVC cache or remote."""
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return sorted(data for path in files if (data := path.read_bytes()).endswith(b" resnet18"))


@pytest.mark.soak
@pytest.mark.short
def test_two_machines_run_half_a_sweep_each_and_both_are_reported(head: Path) -> None:
    first, second = machine(head, "first"), machine(head, "second")
    with ThreadPoolExecutor() as pool:
        # two at once, which need a clone each, and two one after the other, which do not
        halves = [pool.submit(jobs, first, 1), pool.submit(jobs, first, 2), pool.submit(jobs, second, 3, 4)]
    assert [line for half in halves for line in half.result()] == [
        "row 1: study-dice-1-6f3f23dec6: mean IoU 0.2600, done, pushed to origin",
        "row 2: study-focal-1-97c2e8d3ac: mean IoU 0.5100, done, pushed to origin",
        "row 3: study-dice-2-17edca7167: mean IoU 0.2700, done, pushed to origin",
        "row 4: study-focal-2-32711dd2e0: mean IoU 0.5200, done, pushed to origin",
    ]
    clones = [
        sorted(path.name for path in each.glob(".pipeline_cache/sweep/*/machines/*/[12]")) for each in (first, second)
    ]
    assert clones == [["1", "2"], ["1"]]
    halves_of_models = [b"dice 1 resnet18", b"focal 1 resnet18"], [b"dice 2 resnet18", b"focal 2 resnet18"]
    assert (models(first / ".dvc/cache"), models(second / ".dvc/cache")) == halves_of_models
    assert models(head.parent / "storage") == sorted(sum(halves_of_models, []))
    assert sorted(started(head)) == ["dice-1", "dice-2", "focal-1", "focal-2"]

    assert "4 to run" in run_command(head, sweep, *STUDY, "--dry-run")
    git(head, "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*")
    assert run_command(head, sweep, *STUDY, "--dry-run").startswith("4 runs: 4 done, 0 to run\n")
    assert "1 study, 4 of 4 runs" in run_command(head, report, *STUDY)
    rows = [line for line in (head / "plots/report/report.md").read_text().splitlines() if " of 2 runs |" in line]
    assert rows == [
        "| dice | 2 of 2 runs | 0.2650 | range 0.2600 to 0.2700 of 2 seeds |",
        "| focal | 2 of 2 runs | 0.5150 | range 0.5100 to 0.5200 of 2 seeds |",
    ]
    for action in (["pull", "origin"], ["apply"]):
        call(head, ["dvc", "exp", *action, "study-focal-2-32711dd2e0"])
    assert (head / "data/model").read_bytes() == b"focal 2 resnet18"


@pytest.mark.soak
def test_what_a_killed_job_left_running_is_waited_for_and_a_failed_push_is_made_up_for(head: Path) -> None:
    first, origin = machine(head, "first"), head.parent / "origin.git"
    command = [sys.executable, "-W", "ignore", "-m", "pipeline.row", "../grid.txt", "1"]
    job = subprocess.Popen(command, cwd=first, env=environment(first) | {"SECONDS": "3"})
    wait_for(lambda: len(started(first)) == 1)
    job.kill()
    job.wait()
    origin.rename(origin.with_name("away"))
    (line,) = jobs(first, 1)
    assert re.match(r"row: error: study-dice-1-6f3f23dec6 failed: ERROR: .*origin.git.*; its log: .*dec6\.log$", line)
    origin.with_name("away").rename(origin)
    assert jobs(first, 1, 9) == [
        "row 1: study-dice-1-6f3f23dec6: mean IoU 0.2600, was done, pushed to origin",
        "row: error: ROW is 9; ../grid.txt has 4 rows, numbered from 1",
    ]
    assert started(first) == ["dice-1"]
    assert git(origin, "for-each-ref", "--format=%(refname)", "refs/exps").endswith("/study-dice-1-6f3f23dec6")
    assert models(head.parent / "storage") == [b"dice 1 resnet18"]
