import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.studies.world import commit, environment, git, make_repository, started


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "Über uns" / "repository")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "pipeline.sweep", "study.yaml", *arguments]


def sweep(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = environment(folder) | more
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, env=environ, timeout=300)


def experiments(folder: Path) -> list[str]:
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    return sorted(ref.split("/")[-1] for ref in refs if re.match(r"refs/exps/[0-9a-f]{2}/", ref))


def states(folder: Path, *arguments: str) -> list[str]:
    run = sweep(folder, "--dry-run", *arguments)
    assert run.returncode == 0, run.stderr
    return [line.split()[0] for line in run.stdout.splitlines()[1:]]


def test_what_is_done_is_not_run_again(repository: Path) -> None:
    first = sweep(repository, "--seeds", "2", "--jobs", "2")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("4 runs: 0 done, 4 to run, no estimate: no training has finished yet\n")
    assert "study-focal-2-32711dd2e0: mean IoU 0.5200" in first.stdout
    names = experiments(repository)
    assert len(names) == 4
    assert git(repository, "status", "--porcelain") == ""  # the working tree is not used

    (repository / "notes.txt").write_text("unrelated")
    commit(repository, "an unrelated commit")
    again = sweep(repository, "--seeds", "2")
    assert (again.returncode, again.stdout) == (0, "4 runs: 4 done, 0 to run\n")

    more = sweep(repository, "--seeds", "3", "--only", "focal")
    assert more.stdout.startswith("3 runs: 2 done, 1 to run, about 61 s and 0.1 GB of cache (by 2 finished runs)\n")
    assert sorted(started(repository)) == ["dice-1", "dice-2", "focal-1", "focal-2", "focal-3"]

    with (repository / "code/train.py").open("a") as code:
        code.write("# changed\n")
    commit(repository, "train.py")
    assert states(repository, "--seeds", "2") == ["outdated"] * 4
    assert sweep(repository, "--only", "focal").returncode == 0
    assert states(repository, "--seeds", "2") == ["outdated", "done", "outdated", "outdated"]
    assert set(experiments(repository)) > set(names)  # those of the earlier commit are kept

    (repository / "params.yaml").write_text((repository / "params.yaml").read_text().replace("epochs: 5", "epochs: 6"))
    commit(repository, "params.yaml")
    assert states(repository) == ["outdated", "outdated"]
    assert states(repository, "--set", "train.epochs=5") == ["missing", "missing"]


def test_one_failure_does_not_stop_the_others(repository: Path) -> None:
    run = sweep(repository, "--seeds", "3", "--set", "encoder=resnet34")
    assert run.returncode == 1
    log = repository / ".pipeline_cache/sweep/logs"
    assert re.search(
        rf"study-dice-3-\w+ failed: evaluate: error: no luck with dice; its log: {log}/study-dice-3", run.stdout
    )
    assert run.stderr == "sweep: error: 1 of 6 runs failed, see above; mend the cause and run this again\n"
    assert len(experiments(repository)) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "sweep: error: --jobs is 0; give 1 or more\n"),
        (["--set", "train.epoch=1"], "sweep: error: study-dice, study-focal: train.epoch is not a key of params.yaml"),
        (
            ["--set", "train.epochs=0"],
            "study-dice, study-focal: params.yaml: train.epochs is 0; input should be greater",
        ),
        (["--set", "encoder=resnet33"], "encoder is 'resnet33'"),
        (["--only", "x"], "sweep: error: --only is 'x'; allowed: dice, focal\n"),
    ],
)
def test_mistakes_are_one_line_before_anything_runs(repository: Path, arguments: list[str], message: str) -> None:
    run = sweep(repository, *arguments)
    assert run.returncode == 1
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert started(repository) == []


def test_uncommitted_code_is_refused(repository: Path) -> None:
    (repository / "params.yaml").write_text((repository / "params.yaml").read_text().replace("epochs: 5", "epochs: 6"))
    run = sweep(repository)
    assert run.returncode == 1
    assert run.stderr.startswith("sweep: error: params.yaml has uncommitted changes; commit or stash them")


def wait_for(condition: "object", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize("group", [False, True], ids=["the sweep alone", "all its processes"])
def test_killed_half_way_nothing_is_lost_and_nothing_runs_twice(repository: Path, group: bool) -> None:
    environ = environment(repository) | {"SECONDS": "3"}
    arguments = command("--seeds", "2", "--jobs", "2")
    process = subprocess.Popen(arguments, cwd=repository, env=environ, start_new_session=True)
    wait_for(lambda: len(started(repository)) == 3)
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    begun = started(repository)
    (repository / "notes.txt").write_text("unrelated")
    commit(repository, "an unrelated commit")

    run = sweep(repository, "--seeds", "2", "--jobs", "2", SECONDS="3")
    assert run.returncode == 0, run.stderr
    assert len(experiments(repository)) == 4
    counts = Counter(started(repository))
    assert set(counts) == {"dice-1", "dice-2", "focal-1", "focal-2"}
    if group:  # what was killed in the middle of its training starts again; what had finished does not
        assert sum(counts.values()) <= 4 + 2
        assert counts[begun[0]] == 1 or counts[begun[1]] == 1
    else:  # what was running went on
        assert set(counts.values()) == {1}
        assert "of an interrupted sweep; waiting for it" in run.stdout
    assert sweep(repository, "--seeds", "2").stdout == "4 runs: 4 done, 0 to run\n"


def test_two_sweeps_at_once_are_refused(repository: Path) -> None:
    environ = environment(repository) | {"SECONDS": "30"}
    process = subprocess.Popen(command(), cwd=repository, env=environ, start_new_session=True)
    try:
        wait_for(lambda: started(repository))
        run = sweep(repository)
        assert run.returncode == 1
        assert run.stderr.startswith("sweep: error: another sweep runs in this repository")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
