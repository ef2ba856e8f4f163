"""A repository with the graph of the project in small, whose training only takes time."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import ROOT

IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@localhost"))
}
DVC = [sys.executable, "-W", "ignore", "-m", "dvc"]
TRAIN = """\
import os, pathlib, time, yaml
params = yaml.safe_load(open("params.yaml"))
log = pathlib.Path(os.environ["STARTED"])
with log.open("a") as file:
    file.write(f"{params['loss']}-{params['seed']}\\n")
time.sleep(float(os.environ.get("SECONDS", "0")))
pathlib.Path("data/model").write_text(f"{params['loss']} {params['seed']} {params['encoder']}")
pathlib.Path("metrics").mkdir(exist_ok=True)
pathlib.Path("metrics/cost.json").write_text('{"seconds": 36, "model_mb": 50}')
"""
# scores of one test group with one class
EVALUATE = """\
import json, os, pathlib
loss, seed, _ = pathlib.Path("data/model").read_text().split()
if loss == os.environ.get("FAILS"):
    raise SystemExit(f"evaluate: error: no luck with {loss}")
hits = {"dice": 25, "focal": 50, "ce": 75}[loss] + int(seed)
scores = dict.fromkeys(("mean_iou", "mean_iou_low", "mean_iou_high"), hits / 100) | {"iou": {"road": hits / 100}}
scores |= {"seed": int(seed), "test_list": "list", "interval": {"units": 1, "why_approximate": None}}
scores |= {"fold": "none", "arithmetic": {"scored": "fp32"}}
for name in ("evaluate", "summary"):
    pathlib.Path(f"metrics/{name}.json").write_text(json.dumps(scores))
pathlib.Path("metrics/units.csv").write_text(f"unit,class,true,predicted,hits\\na,road,100,{hits},{hits}\\n")
"""
# in one process, since DVC takes a second to import
RUN = """\
import json, subprocess, sys
from dvc.repo import Repo
with Repo() as repo:
    for name, overrides in json.loads(sys.argv[1]).items():
        repo.experiments.run(name=name, params=overrides)
        subprocess.run(["git", "checkout", "--quiet", "--force", "HEAD"], check=True)
"""
STAGES: dict[str, Any] = {
    "tile": {
        "cmd": "python code/tile.py",
        "deps": ["code/tile.py", "${download.landcoverai.path}"],
        "params": ["tile"],
        "outs": ["data/chips"],
    },
    "train": {
        "cmd": "python code/train.py",
        "deps": ["data/chips", "code/train.py"],
        "params": ["dataset", "loss", "encoder", "seed", "train"],
        "outs": ["data/model", {"metrics/cost.json": {"cache": False}}],
    },
    "evaluate": {
        "cmd": "python code/evaluate.py",
        "deps": ["data/model", "code/evaluate.py"],
        "outs": [{f"metrics/{name}": {"cache": False}} for name in ("evaluate.json", "summary.json", "units.csv")],
    },
}
STUDY = """\
title: Losses
set: {encoder: resnet18}
grid:
  loss: [dice, focal]
compare: [loss]
"""


def make_repository(folder: Path, stages: dict[str, Any] = STAGES) -> Path:
    """Create the repository, with the project's params.yaml and one commit of all that the folder holds."""
    (folder / "code").mkdir(parents=True)
    (folder / "data/local/landcoverai").mkdir(parents=True)
    (folder / "data/local/landcoverai/.gitkeep").touch()
    (folder / "data/.gitignore").write_text("/chips\n/model\n")
    (folder / ".gitignore").write_text("/.pipeline_cache\n")
    (folder / "code/train.py").write_text(TRAIN)
    (folder / "code/evaluate.py").write_text(EVALUATE)
    (folder / "code/tile.py").write_text('open("data/chips", "w").write("chips")\n')
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (folder / "study.yaml").write_text(STUDY)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    call(folder, [*DVC, "init", "--quiet"])
    commit(folder, "start")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Variables for commands in the repository."""
    own = {"PYTHONPATH": str(ROOT), "STARTED": str(folder.parent / "started.txt"), "PYTHONWARNINGS": "ignore"}
    own |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIPELINE_CACHE": str(folder / ".pipeline_cache"),
    }
    return os.environ | IDENTITY | own


def call(folder: Path, command: list[str]) -> str:
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, env=environment(folder)
    ).stdout


def git(folder: Path, *arguments: str) -> str:
    return call(folder, ["git", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", *arguments]).strip()


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def run_experiments(folder: Path, overrides: Mapping[str, Sequence[str]]) -> None:
    """Run experiments by name in the working tree, which is then as it was."""
    call(folder, [sys.executable, "-c", RUN, json.dumps(overrides)])


def run_command(folder: Path, command: Callable[[], None], *arguments: str) -> str:
    """Run a command in this process, and return what it prints; an error has that as its note."""
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(output):
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["command", *arguments])
        try:
            command()
        except SystemExit as error:
            error.add_note(output.getvalue())
            raise
    return output.getvalue()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def started(folder: Path) -> list[str]:
    """Trainings that were started, in order."""
    log = folder.parent / "started.txt"
    return log.read_text().split() if log.exists() else []
