"""The plots of dvc.yaml are what the stages write."""

from pathlib import Path

from tests.test_dvc_yaml import GRAPH, listed


def test_the_curves_are_those_that_training_writes() -> None:
    curves = {name: curve for plot in GRAPH["plots"] if isinstance(plot, dict) for name, curve in plot.items()}
    for name in ("loss", "mean_iou", "f_score"):
        files = {f"plots/train/plots/metrics/{part}/{name}.tsv": name for part in ("train", "val")}
        assert curves[name].pop("y") == files
        assert curves[name].keys() == {"template", "title", "x", "x_label", "y_label"}
    tables = {name: [*curves[name]["y"].items()] for name in curves if "y" in curves[name]}
    assert tables == {
        "iou": [("plots/evaluate/iou.csv", "class")],
        "reliability": [("plots/evaluate/reliability.csv", "accuracy")],
        "class_shares": [("data/split/${dataset}/classes.csv", "bar")],
    }
    assert "plots/train" in listed("train", "outs")


def test_the_pictures_are_those_that_evaluate_writes(scored: Path) -> None:
    pictures = {Path(plot) for plot in GRAPH["plots"] if isinstance(plot, str)}
    assert {picture.parent for picture in pictures} == {Path("plots/evaluate")}
    assert {picture.name for picture in pictures} == {path.name for path in (scored / "plots").glob("*.png")}
    assert "plots/evaluate" in listed("evaluate", "outs")
