"""The section `train` of params.yaml: what is refused, and what `auto` and `all` mean."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.learning.augment import KINDS
from tests.learning.world import train_config


@pytest.mark.parametrize(
    ("given", "kinds"),
    [("flips", ()), ([], ()), ("all", KINDS), ("blur", ("blur",)), (["scale", "colour"], ("scale", "colour"))],
)
def test_kinds_of_distortions(given: str | list[str], kinds: tuple[str, ...]) -> None:
    assert train_config(augment=given).distortions == kinds


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),  # alone, although steps are then no multiple of it
        ("lr", float("nan")),
        ("lr_gamma", 1.5),
        ("augment", "turns"),
        ("augment", ["scale", "color"]),
    ],
)
def test_invalid_params_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        train_config(**{"steps": 7} | {key: value})
    assert {details["loc"][0] for details in error.value.errors()} == {key}


@pytest.mark.parametrize(
    ("epochs", "lr_step", "epoch"), [(1, "auto", 1), (5, "auto", 4), (40, "auto", 32), (40, 15, 15)]
)
def test_lr_step_auto_is_the_last_fifth_of_the_epochs(epochs: int, lr_step: Any, epoch: int) -> None:
    assert train_config(epochs=epochs, lr_step=lr_step).lr_step_epochs == epoch
