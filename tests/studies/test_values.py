from typing import Any

import pytest

from pipeline.studies.values import look_up, same


def test_values_are_looked_up_key_by_key() -> None:
    values = {"split": {"skew": {"class": "road"}}, "loss": "ce"}
    assert look_up(values, "split", "skew", "class") == "road"
    assert look_up(values, "split", "seed", "class") is None
    assert look_up(values, "loss", "class") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, 1.0), (1e-5, "1e-05"), ("none", "none"), ([1, "1e-3"], [1, 0.001]), ({"a": [2]}, {"a": [2.0]}), (True, True)],
)
def test_the_same_values(first: Any, second: Any) -> None:
    assert same(first, second)
    assert same(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, True), (0, False), (1, None), ("none", 1), ([1], [1, 2]), ([1], 1), ({"a": 1}, {"b": 1}), ("a", "b")],
)
def test_different_values(first: Any, second: Any) -> None:
    assert not same(first, second)
    assert not same(second, first)
