"""The scripts for clusters start every machine, and requeue at a time limit but not after a failure."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.core.files import read_json
from tests.learning.world import World, train_params
from tests.tools.fake import ROOT, script

BIN = Path(sys.executable).parent
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("tools/**/*.sh"), *ROOT.glob("tools/**/*.slurm")])
SLURM = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_ID": "65536"}
SLURM |= {"SLURM_ARRAY_TASK_ID": "3"}


@pytest.mark.parametrize("name", [*SCRIPTS, ".ci/run"])
def test_a_shell_script_is_linted(name: str) -> None:
    lint = subprocess.run([BIN / "shellcheck", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout


def torchrun_sh(*arguments: str, folder: Path = ROOT, **environment: str) -> "subprocess.Popen[str]":
    clean = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(folder), "MASTER_ADDR": "127.0.0.1", **environment}
    command = [str(folder / "tools/cluster/torchrun.sh"), *arguments]
    return subprocess.Popen(command, cwd=folder, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize(
    ("rank", "arguments", "command"),
    [
        ("0", (), "dvc repro "),
        ("0", ("exp", "run", "-S", "loss=dice"), "dvc exp run -S loss=dice "),
        (
            "1",
            (),
            "bash -c env\\ GLIBC_TUNABLES=glibc.malloc.hugetlb=1\\ \\$LAUNCHER\\ python\\ -m\\ pipeline.train\\ data/",
        ),
    ],
)
def test_the_first_node_runs_dvc_and_the_others_the_stage(rank: str, arguments: tuple[str, ...], command: str) -> None:
    output, _ = torchrun_sh(*arguments, NNODES="2", NODE_RANK=rank, DRY_RUN="1").communicate()
    launcher, dry_run = output.splitlines()
    assert launcher.startswith(f"LAUNCHER=torchrun --nnodes=2 --node-rank={rank} --nproc-per-node=gpu --master-addr=")
    assert dry_run.startswith(command)


def test_a_missing_setting_is_reported() -> None:
    run = torchrun_sh(NNODES="2")
    output, _ = run.communicate()
    assert (run.returncode, "NODE_RANK: rank of this machine, from 0" in output) == (1, True)


@pytest.mark.soak
@pytest.mark.short
def test_dvc_records_a_training_on_two_nodes(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world", 32, train=6, val=2)
    folder = tmp_path / "check out"
    shutil.copytree(ROOT / "tools/cluster", folder / "tools/cluster")
    values = train_params(batch_size=2, epochs=2, devices="auto").model_dump(mode="json")
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    paths = " ".join(map(str, [*world.inputs, "model", "train.json", "cost.json", "plots"]))
    stage = {"cmd": f"$LAUNCHER python -m tests.learning.frozen {paths}", "params": ["train"], "outs": ["model"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    subprocess.run([BIN / "dvc", "init", "--quiet", "--no-scm"], cwd=folder, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {"NNODES": "2", "MASTER_PORT": port, "NPROC_PER_NODE": "1", "WAIT": "120", "PYTHONPATH": str(ROOT)}
    environment |= {"OMP_NUM_THREADS": "1", "PIPELINE_CACHE": os.environ["PIPELINE_CACHE"]}
    second, first = (torchrun_sh(folder=folder, NODE_RANK=rank, **environment) for rank in ("1", "0"))
    output = {name: run.communicate(timeout=300)[0] for name, run in (("first", first), ("second", second))}
    assert (first.returncode, second.returncode) == (0, 0), output
    assert "epoch 2/2" in output["first"]
    assert "epoch" not in output["second"]
    assert read_json(folder / "cost.json")["devices"] == 2
    assert sorted(path.name for path in folder.glob("seen-*")) == ["seen-0.txt", "seen-1.txt"]
    assert list(yaml.safe_load((folder / "dvc.lock").read_text())["stages"]) == ["train"]


def slurm(tmp_path: Path, name: str, *arguments: str, python: str = "", srun: str = "") -> "subprocess.Popen[str]":
    """Start a SLURM script from a checkout, with a fake Python and fake SLURM commands."""
    folder = tmp_path / "check out"
    shutil.copytree(ROOT / "tools/cluster", folder / "tools/cluster")
    script(folder / ".venv/bin/python", python)
    names = "echo n1; sleep 0.2; echo n2"
    script(tmp_path / "bin/scontrol", f'if [ "$1" = show ]; then {names}; else echo "scontrol $*"; fi')
    script(tmp_path / "bin/srun", srun)
    return subprocess.Popen(
        ["bash", f"tools/cluster/{name}.slurm", *arguments],
        cwd=folder,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), **SLURM},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_slurm_job_starts_a_task_per_node(tmp_path: Path) -> None:
    srun = 'echo "srun $1 $2"; shift 2; SLURM_NODEID=1 DRY_RUN=1 exec "$@"'
    run = slurm(tmp_path, "train", "exp", "run", "-S", "loss=dice", python="echo the command of train", srun=srun)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 0, output
    assert output.splitlines()[0] == "srun --wait=60 --kill-on-bad-exit=1"
    assert "--nnodes=2 --node-rank=1 --nproc-per-node=gpu --master-addr=n1 --master-port=25536" in output


@pytest.mark.parametrize("code", [0, 1])
def test_a_job_of_an_array_runs_its_row_and_ends_as_it_does(tmp_path: Path, code: int) -> None:
    python = f"printf '<%s>' \"$@\"; exit {code}"
    run = slurm(tmp_path, "sweep", "my grid.txt", "--push", "origin", python=python)
    output, _ = run.communicate(timeout=30)
    assert (run.returncode, output) == (code, "<-m><pipeline.row><my grid.txt><3><--push><origin>")


@pytest.mark.parametrize(
    ("name", "commands", "stopped"),
    [
        (
            "train",
            {"srun": 'trap "echo task stopped; exit 75" TERM; echo started; while :; do sleep 0.1; done'},
            ["task stopped"],
        ),
        ("sweep", {"python": "echo started; exec sleep 1"}, []),  # SLURM would end it
    ],
)
def test_a_slurm_job_at_its_time_limit_is_requeued(
    tmp_path: Path, name: str, commands: dict[str, str], stopped: list[str]
) -> None:
    with slurm(tmp_path, name, "grid.txt", **commands) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
        run.terminate()
        output, _ = run.communicate(timeout=30)
    assert (run.returncode, output.splitlines()) == (0, [*stopped, "scontrol requeue 65536"])


def test_a_failed_slurm_job_is_not_requeued(tmp_path: Path) -> None:
    run = slurm(tmp_path, "train", srun="exit 255")
    output, _ = run.communicate(timeout=30)
    assert (run.returncode, output) == (255, "")


def over_ssh(tmp_path: Path, row: str, *machines: str) -> "subprocess.CompletedProcess[str]":
    """Run a grid of six rows; each machine is a home folder with a checkout, in which `row` stands for Python."""
    for machine in machines:
        script(tmp_path / machine / "my checkout/.venv/bin/python", row)
    (tmp_path / "grid.txt").write_text("".join(f"row {number}\n" for number in range(1, 7)))
    script(tmp_path / "bin/ssh", f'cd "{tmp_path}/$3" && exec /bin/sh -c "$4"')
    command = [str(ROOT / "tools/cluster/sweep_ssh.sh"), "grid.txt", *machines]
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "CHECKOUT": "my checkout"}
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_machines_share_the_rows_of_a_grid(tmp_path: Path) -> None:
    # each waits until both have taken a row
    row = (
        'read line; echo "$1 $2 $3 of $line: $4 $5 $6"; touch ../ran; until [ -e ../../first/ran ]; do sleep 0.1; done'
    )
    second = "until [ -e ../../second/ran ]; do sleep 0.1; done"
    run = over_ssh(tmp_path, f"{row}; {second}", "first", "second")
    assert (run.returncode, run.stderr) == (0, "")
    assert sorted(run.stdout.splitlines()) == [
        f"-m pipeline.row - of row 1: {number} --push origin" for number in range(1, 7)
    ]


def test_a_failed_row_does_not_stop_the_others_and_a_machine_that_is_away_takes_none(tmp_path: Path) -> None:
    run = over_ssh(tmp_path, 'echo "$4"; [ "$4" != 2 ]', "first")
    assert (run.returncode, run.stdout.split()) == (1, list("123456"))
    run = over_ssh(tmp_path, "exit 255", "first")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "first: lost the connection in row 1; fetch the experiments and write the grid again\n"
