"""A study of a person is planned as it says, or refused in one line; those of the paper have its numbers."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.core.params import read_yaml
from pipeline.studies.study import (
    MAX_NAME,
    Run,
    Study,
    built_in,
    load_settings,
    load_study,
    plan,
)
from pipeline.studies.values import merged
from tests.pages import PAGES, ROOT, blocks

LOSSES = {
    "title": "Losses",
    "set": {"encoder": "resnet18"},
    "grid": {
        "loss": ["focal", "dice"],
        "data": {"full": {}, "skewed": {"split.skew.class": "woodland"}},
    },
}


def study(**changes: Any) -> Study:
    return Study.model_validate(LOSSES | changes)


def test_arms_are_all_combinations() -> None:
    assert {arm.name: arm.overrides for arm in study().arms} == {
        "focal-full": {"loss": "focal"},
        "focal-skewed": {"loss": "focal", "split.skew.class": "woodland"},
        "dice-full": {"loss": "dice"},
        "dice-skewed": {"loss": "dice", "split.skew.class": "woodland"},
    }


def test_values_of_a_key_are_named_by_what_names_may_contain() -> None:
    grid = {"train.lr": [0.001, 1e-5], "tile.bands": [[1, 2, 3]]}
    assert [arm.name for arm in study(grid=grid).arms] == ["0-001-1-2-3", "1e-05-1-2-3"]


def test_a_run_for_each_arm_seed_and_fold() -> None:
    runs = plan("losses", study(), {"train.epochs": 2}, seeds=2, folds=3)
    assert len(runs) == 4 * 2 * 3
    assert Counter(run.fold for run in runs) == {"1/3": 8, "2/3": 8, "3/3": 8}
    assert runs[0].overrides == {
        "encoder": "resnet18",
        "train.epochs": 2,
        "loss": "focal",
        "seed": 1,
        "split.fold": "1/3",
    }
    assert re.fullmatch(r"losses-focal-full-1-f1of3-[0-9a-f]{10}", runs[0].name)
    (single, *_) = plan("losses", study(), {})
    assert re.fullmatch(r"losses-focal-full-1-[0-9a-f]{10}", single.name)
    assert "split.fold" not in single.overrides


def test_names_are_the_same_every_time_and_differ_with_any_override() -> None:
    names = [run.name for run in plan("losses", study(), {}, seeds=5)]
    assert names == [run.name for run in plan("losses", study(), {}, seeds=5)]
    assert len(set(names)) == 20
    changed = [run.name for run in plan("losses", study(), {"train.epochs": 2}, seeds=5)]
    assert set(names).isdisjoint(changed)


def test_given_overrides_take_precedence_over_the_study() -> None:
    (run, *_) = plan("losses", study(), {"encoder": "resnet34"})
    assert run.overrides["encoder"] == "resnet34"


@given(st.lists(st.from_regex(r"[a-z0-9]{1,60}(-[a-z0-9]{1,60}){0,3}", fullmatch=True), min_size=1, max_size=8))
def test_names_are_valid_for_git_and_dvc(values: list[str]) -> None:
    grid = {f"axis{number}": {value: {f"key{number}": 1}} for number, value in enumerate(values)}
    (run,) = plan("study", study(grid=grid), {}, folds=1)
    assert len(run.name) <= MAX_NAME
    assert re.fullmatch(r"[a-z0-9-]+", run.name)  # no /, space, :, .. or .lock
    assert run.name.endswith(f"-{run.hash}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {"loss": ["focal", "focal"]}}, "grid.loss: two values have the same name"),
        ({"grid": {"loss": {"Focal!": {}}}}, "grid.loss: 'Focal!' is no name"),
        (
            {"grid": {"loss": ["focal"], "other": {"dice": {"loss": "dice"}}}},
            "grid: loss and other both set loss; an arm has one value of it",
        ),
        ({"compare": ["los"]}, "compare is 'los'; did you mean 'loss'?"),
        ({"published": [{"arm": "ce", "score": "mean_iou", "value": 1, "where": "x"}]}, "published.arm is 'ce'"),
        ({"set": {"seed": 3}}, "seed is not a key of a study: use --seeds and --folds"),
        ({"grid": {"seed": [1, 2]}}, "seed is not a key of a study"),
        ({"grid": {}}, "at least 1 item"),
        ({"grid": {"a": {"x": {}, "x-y": {}}, "b": {"y-z": {}, "z": {}}}}, "two arms have the name x-y-z"),
        ({"titel": "x"}, "titel"),
    ],
)
def test_invalid_studies_are_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(LOSSES | changes))
    with pytest.raises(PipelineError, match=re.escape(message)) as raised:
        load_study(str(tmp_path / "mine.yaml"))
    assert str(tmp_path / "mine.yaml") in str(raised.value)


def test_a_study_with_another_name_than_experiments_may_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="rename the file"):
        (tmp_path / "My Study.yaml").write_text(yaml.safe_dump(LOSSES))
        load_study(str(tmp_path / "My Study.yaml"))


def runs_of(name: str, settings: str) -> list[Run]:
    return plan(name, load_study(name)[1], load_settings(settings).of(name))


def test_the_papers_studies() -> None:
    assert built_in() == ["table-iv", "losses", "losses-skewed", "encoders", "datasets", "leak"]
    assert [score.value for score in load_study("table-iv")[1].published] == [0.884, 0.871, 0.887, 0.886]
    assert [score.value for score in load_study("losses")[1].published] == [0.875, 0.871]
    assert len(runs_of("losses-skewed", "paper")) == 9


@pytest.mark.parametrize("settings", ["paper", "sample"])
def test_studies_share_the_trainings_that_are_the_same(settings: str) -> None:
    networks, curves, losses = (runs_of(name, settings) for name in ("table-iv", "encoders", "losses"))
    assert [run.hash for run in networks] == [run.hash for run in curves]
    resnet18 = next(run for run in networks if run.arm.name == "unet-resnet18")
    assert resnet18.hash == next(run for run in losses if run.arm.name == "focal").hash


@pytest.mark.parametrize("settings", ["paper", "sample"])
@pytest.mark.parametrize("name", built_in())
def test_studies_set_keys_that_params_yaml_has(name: str, settings: str) -> None:
    for run in runs_of(name, settings):
        merged(read_yaml(ROOT / "params.yaml"), run.overrides)


def test_the_example_of_the_docs_is_a_study() -> None:
    name, shown = load_study(str(ROOT / "docs/coast-skewed.yaml"))
    assert name == "coast-skewed"
    (text,) = blocks(PAGES["docs/study.md"], "yaml")
    assert set(Study.model_validate(yaml.safe_load(text)).grid) == set(shown.grid)
