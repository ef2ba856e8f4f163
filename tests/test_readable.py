"""What DVC tells of experiments fits a terminal of 100 columns, with the keys that are in git."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.files import read_json

ROOT = Path(__file__).parents[1]
COLUMNS = 100
KEYS = list(read_json(ROOT / "metrics/summary.json"))
WHO = {f"GIT_{role}_{key}": "tests@localhost" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def run(folder: Path, *command: str) -> str:
    environment = os.environ | WHO | {"COLUMNS": str(COLUMNS)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-W", "ignore", "-m", "dvc", *arguments)


def write(folder: Path, first: float, loss: str) -> None:
    """Scores of six digits, each another, the project's own params, and data that a stage reads."""
    for name, text in (("chips", "the same"), ("model", loss)):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
        (folder / "data" / name / "file").write_text(text)
    values = {key: round(first + number / 7, 6) for number, key in enumerate(KEYS)}
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "metrics/summary.json").write_text(json.dumps(values))
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(params.replace("\nloss: focal ", f"\nloss: {loss} "), encoding="utf-8")
    dvc(folder, "repro", "-q")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit and an experiment, which differ in the loss and in every score."""
    folder = tmp_path_factory.mktemp("project")
    run(folder, "git", "init", "-q", "-b", "main")
    dvc(folder, "init", "-q")
    stages = {"evaluate": {"cmd": "true", "deps": ["data/chips", "data/model"]}}
    graph = {"params": ["params.yaml"], "metrics": ["metrics/summary.json"], "stages": stages}
    (folder / "dvc.yaml").write_text(json.dumps(graph))  # which is YAML too
    (folder / ".gitignore").write_text("data\n")
    write(folder, 0.123457, "focal")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "focal")
    write(folder, 0.234567, "dice")
    dvc(folder, "exp", "save", "-q", "-n", "dice-1")
    return folder


def require_readable(table: str, *words: str, cut: str = "") -> None:
    """`cut` is the end of lines whose last column DVC cuts."""
    lines = table.splitlines()
    assert max(map(len, lines)) <= COLUMNS, table
    assert not [line for line in lines if "…" in line.rstrip().removesuffix(cut)], table
    for word in words:
        assert word in table, word


def test_the_metrics_that_dvc_shows_are_those_looked_at_here() -> None:
    assert len(KEYS) >= 4
    assert "mean_iou" in KEYS


def test_metrics_diff_fits_with_all_scores(project: Path) -> None:
    said = dvc(project, "metrics", "diff", "--all")
    require_readable(said, *KEYS)
    assert len(said.splitlines()) == 1 + len(KEYS)  # no line is broken in two


def test_exp_show_fits_with_all_scores_and_what_changed(project: Path) -> None:
    words = ("[dice-1]", *KEYS, "loss", "focal", "0.23457", f"{0.234567 + (len(KEYS) - 1) / 7:.5f}")
    shown = ("exp", "show", "--only-changed", "--no-pager")
    require_readable(dvc(project, *shown), *words, cut="…")  # the hash of data/model, which is another too
    require_readable(dvc(project, *shown, "--drop", "data/"), *words)
