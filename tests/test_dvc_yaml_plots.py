"""The plots of dvc.yaml are files that the stages write, and do not end an experiment without a cache."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.learning.world import World
from tests.studies.world import DVC, call, commit, git
from tests.test_dvc_yaml import GRAPH, ROOT, body, listed

PATHS = [entry for entry in GRAPH["plots"] if isinstance(entry, str)]
PLOTS = {name: plot for entry in GRAPH["plots"] if entry not in PATHS for name, plot in entry.items()}
CURVES = [plot for name, plot in PLOTS.items() if not name.endswith(".png")]
IMAGES = {path for name, plot in PLOTS.items() if name.endswith(".png") for path in plot["y"]}

# each output differs from the others, which the cache would otherwise hold as one
WRITE = """\
import sys
from pathlib import Path
for path in map(Path, sys.argv[1:]):
    (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
    (path if path.suffix else path / "file").write_text(f'{{"wrote": "{path}"}}')
"""


def test_each_curve_is_a_column_of_a_file(trained: World, scored: Path) -> None:
    folders = {"plots/train/": trained.folder / "plots", "plots/evaluate/": scored / "plots"}
    checked = []
    for curve in CURVES:
        for name, column in curve["y"].items():
            for prefix, folder in folders.items():
                if name.startswith(prefix):
                    path = folder / name.removeprefix(prefix)
                    columns = path.read_text().splitlines()[0].split("\t" if path.suffix == ".tsv" else ",")
                    assert {column, curve["x"]} <= set(columns), name
                    checked.append(name)
    assert len(checked) == 9  # all but the table of class shares, which split writes


def test_each_plot_of_curves_or_bars_has_a_title_and_labels() -> None:
    assert [curve for curve in CURVES if not {"title", "x_label", "y_label"} <= curve.keys()] == []


def test_the_images_are_those_that_split_and_evaluate_write(scored: Path) -> None:
    written = {f"plots/evaluate/{path.name}" for path in (scored / "plots").glob("*.png")}
    assert {"plots/data/${dataset}.png", *written} == IMAGES


def test_no_plot_is_a_path() -> None:
    assert [path for path in PATHS + list(PLOTS) if "/" in path] == []  # see the test without a cache below


def repository(folder: Path, graph: dict[str, Any]) -> Path:
    """A repository with a graph and the project's params."""
    folder.mkdir()
    (folder / "dvc.yaml").write_text(yaml.safe_dump(graph), encoding="utf-8")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    git(folder, "init", "--quiet")
    call(folder, [*DVC, "init", "--quiet"])
    shutil.copyfile(ROOT / ".dvc/config", folder / ".dvc/config")
    return folder


@pytest.mark.soak
@pytest.mark.short
def test_a_stage_before_evaluate_runs_as_an_experiment_without_a_cache(tmp_path: Path) -> None:
    stages = yaml.safe_load(yaml.safe_dump(GRAPH["stages"]))
    for name, stage in stages.items():  # commands that only write the outputs
        outs = listed(name, "outs") + listed(name, "metrics")
        stage.get("do", stage)["cmd"] = f"python write.py {' '.join(outs)}"
        stage.get("do", stage)["deps"] = [dep for dep in body(name)["deps"] if dep.startswith("data/")]
    folder = repository(tmp_path / "clone", GRAPH | {"stages": stages})
    (folder / "write.py").write_text(WRITE)
    call(folder, [*DVC, "repro", "--quiet", "evaluate"])
    commit(folder, "run")
    git(folder, "clean", "--quiet", "-fdx")  # as after a clone

    call(folder, [*DVC, "exp", "run", "--temp", "--name", "a", "train"])
    assert call(folder, [*DVC, "exp", "list", "--name-only"]).split() == ["a"]
