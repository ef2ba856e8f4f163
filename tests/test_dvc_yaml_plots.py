"""The plots of dvc.yaml are files that the stages write."""

from pathlib import Path

from tests.learning.world import World
from tests.test_dvc_yaml import GRAPH

CURVES = [curve for plot in GRAPH["plots"] if isinstance(plot, dict) for curve in plot.values()]
IMAGES = {plot for plot in GRAPH["plots"] if isinstance(plot, str)}


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


def test_the_images_are_those_that_split_and_evaluate_write(scored: Path) -> None:
    written = {f"plots/evaluate/{path.name}" for path in (scored / "plots").glob("*.png")}
    assert {"plots/data/${dataset}.png", *written} == IMAGES
