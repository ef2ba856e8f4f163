"""The runs that a command line names are those that were meant; a mistake in it is one line."""

import argparse
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.studies.arguments import add_study_arguments, parse_overrides, planned
from pipeline.studies.study import Run, Study, built_in

STUDY = """
title: Mine
set: {encoder: resnet18}
grid:
  loss: [focal, dice]
  data: {all: {}, few: {split.subsample: 8}}
"""


def parse(*texts: str) -> dict[str, tuple[Study, list[Run]]]:
    parser = argparse.ArgumentParser()
    add_study_arguments(parser)
    return planned(parser.parse_args(texts))


def test_all_built_in_studies_are_planned_by_default() -> None:
    assert list(parse()) == built_in()
    assert len(parse("losses")["losses"][1]) == 3
    assert len(parse("losses", "--seeds", "5", "--folds", "2")["losses"][1]) == 3 * 5 * 2


def test_settings_and_overrides_are_merged_and_the_latter_win(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    _, runs = parse(str(path), "--settings", "sample", "--set", "train.epochs=7", "-S", "encoder=resnet34")["mine"]
    assert [run.arm.name for run in runs] == ["focal-all", "focal-few", "dice-all", "dice-few"]
    assert all(run.overrides["train.epochs"] == 7 and run.overrides["tile.size"] == 256 for run in runs)
    assert {run.overrides["encoder"] for run in runs} == {"resnet34"}
    assert {run.seed for run in runs} == {1}


def test_only_keeps_arms_and_studies_that_match() -> None:
    assert [run.arm.name for run in parse("losses", "leak", "--only", "f*")["losses"][1]] == ["focal"]
    assert list(parse("losses", "leak", "--only", "f*")) == ["losses"]
    assert list(parse("losses", "leak", "--only", "f*", "--only", "with")) == ["losses", "leak"]


def test_values_are_yaml_and_numbers_may_have_an_exponent() -> None:
    texts = ["tile.size=64", "loss=dice", "tile.bands=[1, 2, 3]", "download.landcoverai.path=a=b", "train.lr=1e-4"]
    assert parse_overrides(texts) == {
        "tile.size": 64,
        "loss": "dice",
        "tile.bands": [1, 2, 3],
        "download.landcoverai.path": "a=b",
        "train.lr": 1e-4,
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["--seeds", "0"], r"^--seeds is 0; give 1 or more$"),
        (["--folds", "-1"], r"^--folds is -1; give 1 or more$"),
        (["--set", "tile.size"], r"^--set is 'tile.size'; give KEY=VALUE, such as train.epochs=20$"),
        (["--set", "=3"], r"^--set is '=3'; give KEY=VALUE"),
        (["--set", "seed=3"], r"^--set seed: use --seeds and --folds$"),
        (["--set", "tile.bands=[1"], r"^--set tile.bands=\[1: the value is not valid YAML \("),
        (["losses", "--set", "loss=ce"], r"^--set or --settings: loss is what .* varies \(grid\.loss\); leave it out"),
        (["losses", "losses"], r"^two studies have the name losses; "),
        (["loss"], r"^STUDY is 'loss'; did you mean 'losses'\? "),
        (["losses", "--only", "jaccard"], r"^--only is 'jaccard'; allowed: ce, dice, focal$"),
        (["--settings", "papers"], r"^--settings is 'papers'; did you mean 'paper'\? "),
    ],
)
def test_mistakes_are_one_line(texts: list[str], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        parse(*texts)


def test_paths_of_files_that_git_does_not_have_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(Path("params.yaml").read_text())
    (tmp_path / "weights.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    given = ["--set", "encoder_weights=weights.safetensors", "--set", "download.landcoverai.source=local"]
    overrides = parse("losses", *given)["losses"][1][0].overrides
    assert overrides["encoder_weights"] == str(tmp_path / "weights.safetensors")
    assert overrides["download.landcoverai.path"] == str(tmp_path / "data/local/landcoverai")
    overrides = parse("losses", "--set", "encoder_weights=imagenet")["losses"][1][0].overrides
    assert overrides["encoder_weights"] == "imagenet"
    assert "download.landcoverai.path" not in overrides


def test_a_fold_in_params_yaml_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  fold: none", "  fold: 1/3"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="split.fold of params.yaml is '1/3'; set it to none: use --folds"):
        parse("losses")
