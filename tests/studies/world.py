"""A repository with the graph of the project in small, whose training only takes time."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@localhost"))
}
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
EVALUATE = """\
import json, pathlib
loss, seed, encoder = pathlib.Path("data/model").read_text().split()
if loss == "dice" and seed == "3":
    raise SystemExit("evaluate: error: no luck with dice")
score = {"focal": 0.5, "dice": 0.25, "ce": 0.75}[loss] + int(seed) / 100
for name in ("evaluate", "summary"):
    pathlib.Path(f"metrics/{name}.json").write_text(json.dumps({"mean_iou": score}))
pathlib.Path("metrics/units.csv").write_text("unit,class,true,predicted,hits\\n")
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


def make_repository(folder: Path) -> Path:
    """Create the repository, with the project's params.yaml and one commit."""
    (folder / "code").mkdir(parents=True)
    (folder / "data/local/landcoverai").mkdir(parents=True)
    (folder / "data/local/landcoverai/.gitkeep").touch()
    (folder / "data/.gitignore").write_text("/chips\n/model\n")
    (folder / ".gitignore").write_text("/.pipeline_cache\n")
    (folder / "code/train.py").write_text(TRAIN)
    (folder / "code/evaluate.py").write_text(EVALUATE)
    (folder / "code/tile.py").write_text('open("data/chips", "w").write("chips")\n')
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (folder / "study.yaml").write_text(STUDY)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    call(folder, [sys.executable, "-W", "ignore", "-m", "dvc", "init", "--quiet"])
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


def started(folder: Path) -> list[str]:
    """Trainings that were started, in order."""
    log = folder.parent / "started.txt"
    return log.read_text().split() if log.exists() else []
