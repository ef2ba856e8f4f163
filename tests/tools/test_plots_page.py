"""`dvc plots` with the project's plots and the template of tools/plots_page.py, in a browser."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.browser import DESKTOP, PHONE, Browser, browse
from tests.studies.world import DVC, call, commit
from tests.test_dvc_yaml import GRAPH, ROOT
from tests.test_dvc_yaml_plots import CURVES, IMAGES, PLOTS, repository

pytestmark = [pytest.mark.soak, pytest.mark.short]

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
