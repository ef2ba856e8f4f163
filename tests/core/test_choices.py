import pytest

from pipeline.core.choices import refusal, unknown_key

LOSSES = ("focal", "dice", "ce")
MANY = [f"resnet{number}" for number in range(100)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("focl", "loss is 'focl'; did you mean 'focal'? allowed: focal, dice, ce"),
        ("DICE", "loss is 'DICE'; did you mean 'dice'? allowed: focal, dice, ce"),
        ("mse", "loss is 'mse'; allowed: focal, dice, ce"),
        (None, "loss is None; allowed: focal, dice, ce"),
    ],
)
def test_the_closest_choice_is_named_where_one_is_close(given: object, said: str) -> None:
    assert refusal("loss", given, LOSSES) == said


def test_what_else_is_allowed_follows() -> None:
    said = refusal("encoder_weights", "imagnet", ("imagenet", "none"), ", or a file")
    assert said == "encoder_weights is 'imagnet'; did you mean 'imagenet'? allowed: imagenet, none, or a file"


def test_of_many_choices_the_closest_are_named_however_far_they_are() -> None:
    for given, first in (("resnet7", "resnet7"), ("resnt34", "resnet34"), ("vgg", "")):
        said = refusal("encoder", given, MANY)
        assert said.startswith(f"encoder is {given!r}; the closest of 100 that are allowed: {first}")
        assert said.count("resnet") - given.count("resnet") == 5


def test_an_unknown_key_is_named_with_the_closest_one() -> None:
    assert unknown_key("train.btch_size", ["batch_size", "lr"]) == (
        "train.btch_size is not a known key; did you mean 'batch_size'? known here: batch_size, lr"
    )
    assert unknown_key("x", ["batch_size"]) == "x is not a known key; known here: batch_size"
