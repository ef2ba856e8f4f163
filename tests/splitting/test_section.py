from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.params import validate
from pipeline.split import SplitParams
from pipeline.splitting.section import PARTS
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


def test_like_skew_needs_a_skew() -> None:
    assert refusal(subsample="like_skew").endswith(
        "subsample like_skew keeps as many chips as skew would, but skew.class is none; set skew.class, or subsample "
        "to a number or none"
    )


@pytest.mark.parametrize("count", [0, -3, 1.5, "some"])
def test_subsample_is_none_or_a_positive_integer(count: Any) -> None:
    assert "split.subsample is" in refusal(subsample=count)
