"""The section `split` refuses impossible values in one line."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.params import validate
from pipeline.split import SplitParams
from pipeline.splitting.section import PARTS
from tests.splitting.world import section
from tests.world import changed


def refusal(**changes: Any) -> str:
    values = changed(**{f"split.{key}": value for key, value in changes.items()})
    with pytest.raises(PipelineError) as error:
        validate(SplitParams, {key: values[key] for key in ("dataset", "split")}, Path("params.yaml"))
    return str(error.value)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.1, 0.2), "split: train 0.8 + val 0.1 + test 0.2 is 1.1; it must be 1"),
        ((0.8, 0.1, 0.09), "split: train 0.8 + val 0.1 + test 0.09 is 0.99; it must be 1"),
        ((0.9, 0.0, 0.1), "split: train, val and test must each be above 0"),
        ((1.2, -0.1, -0.1), "split.train is 1.2; input should be less than or equal to 1; split.val is -0.1; input"),
    ],
)
def test_invalid_shares_are_refused(shares: tuple[float, float, float], message: str) -> None:
    assert refusal(**dict(zip(PARTS, shares, strict=True))).startswith(f"params.yaml: {message}")


def test_a_misspelt_key_of_skew_is_refused_with_the_keys_of_params_yaml() -> None:
    assert refusal(skew={"clas": "wood", "share": 0.9, "keep_at_least": 0}).endswith(
        "split.skew.clas is not a known key; did you mean 'class'? known here: class, share, keep_at_least"
    )


@pytest.mark.parametrize("fold", ["0/3", "4/3", "1/1", "1", "/3", "1/3 ", "-1/3", "1/03", "a"])
def test_a_fold_is_none_or_one_of_several(fold: str) -> None:
    assert refusal(fold=fold, strategy="scene") == (
        f"params.yaml: split.fold: {fold!r} is not a fold; allowed: none, or i/k with i from 1 to k, k from 2, "
        "such as 1/3"
    )


@pytest.mark.parametrize("strategy", ["random", "official", "block"])
def test_a_fold_needs_whole_groups(strategy: str) -> None:
    assert refusal(fold="1/3", strategy=strategy) == (
        f"params.yaml: split: fold 1/3 tests whole groups, but strategy is {strategy}; set strategy to scene, or fold "
        "to none"
    )


def test_with_folds_train_and_val_divide_what_one_fold_leaves() -> None:
    assert section().shares == {"train": 0.8, "val": 0.1, "test": 0.1}
    folds = section(strategy="scene", fold="2/4", train=0.6, val=0.2, test=0.2)
    assert folds.shares == pytest.approx({"train": 0.5625, "val": 0.1875, "test": 0.25})


def test_like_skew_needs_a_skew() -> None:
    assert refusal(subsample="like_skew").endswith(
        "subsample like_skew keeps as many chips as skew would, but skew.class is none; set skew.class, or subsample "
        "to a number or none"
    )


@pytest.mark.parametrize("count", [0, -3, 1.5, "some"])
def test_subsample_is_none_or_a_positive_integer(count: Any) -> None:
    assert "split.subsample is" in refusal(subsample=count)
