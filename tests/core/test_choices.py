"""A mistyped value or key is answered with the closest allowed one."""

import pytest

from pipeline.core.choices import invalid_choice, unknown_key

LOSSES = ("focal", "dice", "ce")
MANY = [f"resnet{number}" for number in range(100)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("focl", "loss is 'focl'; did you mean 'focal'? allowed: focal, dice, ce"),
        ("DICE", "loss is 'DICE'; did you mean 'dice'? allowed: focal, dice, ce"),
        ("mse", "loss is 'mse'; allowed: focal, dice, ce"),
        (None, "loss is None; allowed: focal, dice, ce"),
    ],
)
def test_only_a_close_match_is_suggested(given: object, message: str) -> None:
    assert invalid_choice("loss", given, LOSSES) == message


def test_alternatives_follow_the_choices() -> None:
    message = invalid_choice("encoder_weights", "imagnet", ("imagenet", "none"), ", or a file")
    assert message == "encoder_weights is 'imagnet'; did you mean 'imagenet'? allowed: imagenet, none, or a file"


def test_of_many_choices_the_five_closest_are_listed() -> None:
    for given, first in (("resnet7", "resnet7"), ("resnt34", "resnet34"), ("vgg", "")):
        message = invalid_choice("encoder", given, MANY)
        assert message.startswith(f"encoder is {given!r}; the closest of 100 allowed values: {first}")
        assert message.count("resnet") - given.count("resnet") == 5


def test_an_unknown_key_is_reported_with_the_closest_match() -> None:
    assert unknown_key("train.btch_size", ["batch_size", "lr"]) == (
        "train.btch_size is not a known key; did you mean 'batch_size'? known here: batch_size, lr"
    )
    assert unknown_key("x", ["batch_size"]) == "x is not a known key; known here: batch_size"
