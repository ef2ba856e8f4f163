"""A sweep runs what is missing, once, and goes on after any interruption; its mistakes are one line before it runs."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.fingerprint import digest
from pipeline.studies.arguments import planned
from pipeline.studies.grid import read_row
from pipeline.studies.schedule import distinct
from pipeline.studies.workers import exclusive
from pipeline.sweep import check_runs, environments, main, parser
from tests.cluster import wait_for
from tests.pages import ROOT
from tests.studies.world import commit, edit, environment, git, make_repository, run_command, started

Sweep = Callable[..., list[str]]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_repository(tmp_path / "Über uns" / "repository")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sweep(repository: Path) -> Sweep:
    """Run the command, and return the lines it printed."""
    return lambda *arguments: run_command(repository, main, "study.yaml", *arguments).splitlines()


def start(folder: Path, seconds: int, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-m", "pipeline.sweep", "study.yaml", *arguments]
    environ = environment(folder) | {"SECONDS": str(seconds)}
    return subprocess.Popen(command, cwd=folder, env=environ, start_new_session=True, stdout=subprocess.DEVNULL)


def experiments(folder: Path) -> list[str]:
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    return sorted(ref.split("/")[-1] for ref in refs if re.match(r"refs/exps/[0-9a-f]{2}/", ref))


def states(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[1:]]


def test_what_is_done_is_not_run_again(repository: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "dice")
    with pytest.raises(SystemExit, match="1 of 2 runs failed, see above; mend the cause and run this again") as raised:
        sweep("--jobs", "2")
    monkeypatch.delenv("FAILS")
    (printed,) = raised.value.__notes__
    assert printed.startswith("2 runs: 0 done, 2 to run, no estimate: no training has finished yet\n")
    assert "study-focal-1-97c2e8d3ac: mean IoU 0.5100" in printed
    log = re.escape(str(repository / ".pipeline_cache/sweep")) + r"/\w+/logs/study-dice-1"
    assert re.search(rf"study-dice-1-\w+ failed: evaluate: error: no luck with dice; its log: {log}", printed)
    assert experiments(repository) == ["study-focal-1-97c2e8d3ac"]
    assert sweep()[0].startswith("2 runs: 1 done, 1 to run, about ")
    names = experiments(repository)
    assert len(names) == 2
    assert git(repository, "status", "--porcelain") == ""  # the working tree is not used

    (repository / "notes.txt").write_text("unrelated")
    commit(repository, "an unrelated commit")
    assert sweep() == ["2 runs: 2 done, 0 to run"]
    (written,) = sweep("--seeds", "2", "--only", "focal", "--grid", "../grid.txt")
    assert written.startswith("2 runs: 1 done, 1 to run, about ")
    assert Path("../grid.txt").read_text().count("\n") == 1
    assert read_row(Path("../grid.txt"), 1).run.name == "study-focal-2-32711dd2e0"
    more = sweep("--seeds", "2", "--only", "focal")
    assert more[0] == "2 runs: 1 done, 1 to run, about 70 s and 0.1 GB of cache (by 1 finished run)"
    assert sorted(started(repository)) == ["dice-1", "dice-1", "focal-1", "focal-2"]  # what failed is done again

    # what a killed dvc leaves behind, whose process id is another process's now
    for clone in repository.glob(".pipeline_cache/sweep/*/[12]"):
        held = {str(clone / name): {"write": {"pid": os.getpid(), "cmd": "dvc"}} for name in ("code/train.py", "data")}
        for name in ("rwlock", "exps/rwlock"):
            (clone / ".dvc/tmp" / name).write_text(json.dumps(held))
    edit(repository / "code/train.py", "import os", "# changed\nimport os")
    commit(repository, "train.py")
    assert states(sweep("--dry-run")) == ["outdated"] * 2
    sweep("--only", "focal")
    assert states(sweep("--dry-run")) == ["outdated", "done"]
    assert set(experiments(repository)) > set(names)  # those of the earlier commit are kept

    edit(repository / "params.yaml", "epochs: 5", "epochs: 6")
    with pytest.raises(SystemExit, match=r"sweep: error: params.yaml has uncommitted changes; commit or stash them"):
        sweep()
    commit(repository, "params.yaml")
    assert states(sweep("--dry-run")) == ["outdated", "outdated"]
    assert states(sweep("--dry-run", "--set", "train.epochs=5")) == ["missing", "missing"]


def test_mistakes_are_one_line_before_anything_runs(repository: Path, sweep: Sweep) -> None:
    for arguments, message in (
        (["--jobs", "0"], "sweep: error: --jobs is 0; give 1 or more"),
        (
            ["--set", "train.epoch=1"],
            "study-dice, study-focal: params.yaml: train.epoch is not a known key; did you mean 'epochs'?",
        ),
        (
            ["--set", "train.epochs=0"],
            "study-dice, study-focal: params.yaml: train.epochs is 0; input should be greater",
        ),
        (["--set", "encoder=resnet33"], "encoder is 'resnet33'"),
        (["--set", "download.ghana.select.dates=[2018-01-01, 2018-06-30]"], "study-dice, study-focal: "),
    ):
        with pytest.raises(SystemExit) as raised:
            sweep(*arguments)
        assert message in str(raised.value)
    assert started(repository) == []


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize("group", [False, True], ids=["the sweep alone", "all its processes"])
def test_killed_half_way_nothing_is_lost_and_nothing_runs_twice(repository: Path, sweep: Sweep, group: bool) -> None:
    process = start(repository, 5, "--seeds", "2", "--jobs", "2")
    wait_for(lambda: len(started(repository)) == 3)
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    finished = len(experiments(repository))
    (repository / "notes.txt").write_text("unrelated")
    commit(repository, "an unrelated commit")

    lines = sweep("--seeds", "2", "--jobs", "2")
    assert len(experiments(repository)) == 4
    counts = Counter(started(repository))
    assert set(counts) == {"dice-1", "dice-2", "focal-1", "focal-2"}
    if group:  # what was killed in the middle of its training starts again; what had finished does not
        assert finished >= 1
        assert sum(counts.values()) <= 4 + 2
    else:  # what was running went on
        assert set(counts.values()) == {1}
        assert any("of an interrupted sweep; waiting for it" in line for line in lines)
    assert sweep("--seeds", "2") == ["4 runs: 4 done, 0 to run"]


def test_two_sweeps_at_once_are_refused(repository: Path, sweep: Sweep) -> None:
    lock = repository / ".pipeline_cache/sweep" / digest(str(repository))[:8] / "sweep.lock"
    with exclusive(lock), pytest.raises(SystemExit, match="sweep: error: another sweep runs in this repository"):
        sweep()


def test_every_arm_of_the_paper_has_valid_params() -> None:
    """With random weights: the hub of ImageNet's cannot be reached in tests."""
    arguments = parser().parse_args(["--settings", "paper", "--set", "encoder_weights=none"])
    runs = [run for _, of_study in planned(arguments).values() for run in of_study]
    assert len(runs) == 4 + 3 + 9 + 4 + 2 + 2
    check_runs(distinct(runs), ROOT)


@pytest.mark.parametrize(
    ("gpus", "jobs", "environ", "expected"),
    [
        (4, 3, {}, [{"CUDA_VISIBLE_DEVICES": number} for number in ("0", "1", "2")]),
        (2, 3, {"CUDA_VISIBLE_DEVICES": "5,7"}, [{"CUDA_VISIBLE_DEVICES": number} for number in ("5", "7", "5")]),
        (1, 2, {}, [{}, {}]),
        (0, 1, {}, [{}]),
        (0, 2, {"OMP_NUM_THREADS": "3"}, [{}, {}]),
        (0, 10_000, {}, [{"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}] * 10_000),
    ],
)
def test_workers_get_a_gpu_each_or_a_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, gpus: int, jobs: int, environ: dict[str, str], expected: list[dict[str, str]]
) -> None:
    monkeypatch.setattr("pipeline.sweep.gpu_count", lambda: gpus)
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert environments(jobs) == expected
