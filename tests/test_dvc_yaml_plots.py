"""The plots of dvc.yaml: files that the stages write, and `dvc plots` in a browser."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.browser import DESKTOP, PHONE, Browser, browse
from tests.learning.world import World
from tests.studies.world import call, commit, git
from tests.test_dvc_yaml import GRAPH, ROOT, body, listed

PATHS = [entry for entry in GRAPH["plots"] if isinstance(entry, str)]
PLOTS = {name: plot for entry in GRAPH["plots"] if entry not in PATHS for name, plot in entry.items()}
CURVES = [plot for name, plot in PLOTS.items() if not name.endswith(".png")]
IMAGES = {path for name, plot in PLOTS.items() if name.endswith(".png") for path in plot["y"]}
DVC = [sys.executable, "-W", "ignore", "-m", "dvc"]

WRITE = """\
import sys
from pathlib import Path
for path in map(Path, sys.argv[1:]):
    (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
    (path if path.suffix else path / "file").write_text("{}")
"""
DRAWN = """\
new Promise(done => {
    const start = Date.now();
    (function look() {
        const plots = document.querySelectorAll(".vega-embed .role-mark").length;
        plots >= COUNT || Date.now() - start > 20000 ? done() : setTimeout(look, 50);
    })();
})
"""
CHARTS = """\
Array.from(document.querySelectorAll(".vega-embed"), chart => ({
    text: Array.from(chart.querySelectorAll("svg text"), text => text.textContent),
    marks: Array.from(chart.querySelectorAll(".mark-line.role-mark path, .mark-rect.role-mark path"))
        .filter(mark => mark.getBBox().width > 0)
        .map(mark => ["fill", "stroke", "stroke-dasharray"].map(name => mark.getAttribute(name)).join()),
}))
"""
BOXES = """\
Array.from(document.querySelectorAll("svg.marks, img"), plot => plot.getBoundingClientRect())
    .map(box => [box.left, box.right, box.height])
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
    call(folder, [*DVC, "exp", "run", "--name", "b", "-S", "seed=7", "train"])
    assert call(folder, [*DVC, "exp", "list", "--name-only"]).split() == ["a", "b"]


def write_plots(folder: Path, level: float) -> None:
    """Write the files of all plots."""
    for curve in CURVES:
        for name, column in curve["y"].items():
            path = folder / name.replace("${dataset}", "landcoverai")
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [[level / n, f"class {n}"] if "template" in curve else [n, level / n] for n in (1, 2, 3)]
            table = pd.DataFrame(rows, columns=[curve["x"], column])
            table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    for name in IMAGES:
        path = folder / name.replace("${dataset}", "landcoverai")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (800, 600), (int(255 * level), 0, 0)).save(path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `dvc plots diff` of two commits, by the template with Vega."""
    pytest.importorskip("vl_convert", reason="no package with Vega")
    root = tmp_path_factory.mktemp("views")
    folder = repository(root / "views", {"plots": GRAPH["plots"]})
    for level in (0.5, 0.9):
        write_plots(folder, level)
        commit(folder, f"level {level}")
    call(ROOT, [sys.executable, "tools/plots_page.py", str(root / "plots.html")])
    call(folder, [*DVC, "config", "plots.html_template", str(root / "plots.html")])
    call(folder, [*DVC, "plots", "diff", "HEAD~1", "HEAD"])
    return folder / "dvc_plots/index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_plots_diff_draws_each_plot_of_both_revisions_without_a_network(
    page: Path, browser: Browser, size: tuple[int, int]
) -> None:
    browser.open(page, size)
    browser.evaluate(DRAWN.replace("COUNT", str(len(CURVES))))
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith("file:")] == []

    charts = browser.evaluate(CHARTS)
    assert len(charts) == len(CURVES)
    for curve, chart in zip(CURVES, charts, strict=True):
        assert {curve["title"], curve["x_label"], curve["y_label"]} <= set(chart["text"])
        assert len(set(chart["marks"])) == 2 * len(curve["y"]), curve["title"]  # a colour per revision, a dash per file

    headings = browser.evaluate("Array.from(document.querySelectorAll('p'), p => p.textContent)")
    assert [text for text in headings if text in PLOTS] == sorted(name for name in PLOTS if name.endswith(".png"))
    images = browser.evaluate("Array.from(document.images, image => image.naturalWidth)")
    assert len(images) == 2 * len(IMAGES)
    assert min(images) > 0

    boxes = browser.evaluate(BOXES)
    assert min(left for left, _, _ in boxes) >= 0
    assert max(right for _, right, _ in boxes) <= size[0]
    assert min(height for _, _, height in boxes) > 50
