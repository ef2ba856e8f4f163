"""Overrides reach params.yaml through DVC as they were written, and mistyped keys are refused with the closest one."""

from datetime import date
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.studies.values import hydra, look_up, merged, override_texts, same

PARAMS = {"loss": "focal", "split": {"skew": {"class": "none", "share": 0.9}}}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="$\ufeff"))
VALUES = st.recursive(
    st.booleans() | st.integers(-1000, 1000) | st.floats(-10, 10).map(lambda value: round(value, 3)) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def test_values_are_looked_up_key_by_key() -> None:
    assert look_up(PARAMS, "split", "skew", "share") == 0.9
    assert look_up(PARAMS, "split", "seed", "class") is None
    assert look_up(PARAMS, "loss", "class") is None


@pytest.mark.parametrize(
    ("first", "second", "are_same"),
    [
        *((1, 1.0, True), (1e-5, "1e-05", True), ("none", "none", True), (True, True, True)),
        *(([1, "1e-3"], [1, 0.001], True), ({"a": [2]}, {"a": [2.0]}, True)),
        *((1, True, False), (0, False, False), (1, None, False), ("none", 1, False), ("a", "b", False)),
        *(([1], [1, 2], False), ([1], 1, False), ({"a": 1}, {"b": 1}, False)),
    ],
)
def test_values_are_the_same_whether_yaml_reads_text_or_numbers(first: Any, second: Any, are_same: bool) -> None:
    assert same(first, second) == same(second, first) == are_same


def test_overrides_change_single_keys_and_leave_the_original() -> None:
    result = merged(PARAMS, {"split.skew.class": "woodland", "loss": "ce"})
    assert result == {"loss": "ce", "split": {"skew": {"class": "woodland", "share": 0.9}}}
    assert PARAMS["split"] == {"skew": {"class": "none", "share": 0.9}}


@pytest.mark.parametrize("key", ["los", "split.skew.clas", "loss.focal", "train.lr"])
def test_unknown_keys_are_refused(key: str) -> None:
    with pytest.raises(PipelineError, match=f"params.yaml: {key} is not a known key; .*known here: "):
        merged(PARAMS, {key: 1})


@given(VALUES)
def test_dvc_reads_the_value_that_was_written(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    params = tmp_path_factory.mktemp("params") / "params.yaml"
    params.write_text("section:\n  key: 1\n")
    apply_overrides(params, override_texts({"section.key": value}))
    assert yaml.safe_load(params.read_text())["section"]["key"] == value


def test_a_null_is_refused() -> None:
    with pytest.raises(PipelineError, match="null is no value of a parameter; write none for nothing"):
        hydra(None)
    with pytest.raises(PipelineError, match="2018-01-01 is no value of a parameter; .*, and dates in quotes"):
        hydra(date(2018, 1, 1))
