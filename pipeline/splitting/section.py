"""`split` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import PipelineError
from pipeline.core.params import Params, Share

PARTS = ("train", "val", "test")
Strategy = Literal["random", "official", "scene", "block"]


class UnfitError(PipelineError):
    """What `split` asks for cannot be had of one dataset's chips, though others may have it.

    The section is for all three datasets, and an experiment on one of them must not fail for another that has no such
    class or no lists: the stage ends for the dataset that is trained on, and writes the reason in place of lists for
    the others.
    """


class Block(Params):
    """`split.block` of params.yaml: squares of neighbouring chips that stay together."""

    chips: int = Field(gt=0)
    """Edge of a square, in chips."""
    gap: int = Field(ge=0)
    """Chips that are left out between two parts, in each direction."""


class Skew(Params):
    """`split.skew` of params.yaml: the study's imbalance, made on purpose."""

    class_name: str = Field(alias="class", min_length=1)
    """The class that shall prevail; `none` leaves the training chips as they are."""
    share: float = Field(gt=0, le=1)
    """The share of the labelled training pixels that it shall have."""
    keep_at_least: Share
    """The share of each other class's training pixels that stays."""


class SplitSection(Params):
    """`split` of params.yaml."""

    strategy: Strategy
    """random: chip by chip, as the study; official: the archive's own lists; scene: whole groups of orthophotos or
    Sentinel tiles that overlap; block: squares of chips on the ground with a gap between the parts."""
    train: Share
    val: Share
    test: Share
    seed: int = Field(ge=0)
    """Of the split alone, so that sweeping the seed of training never changes the test set."""
    block: Block
    skew: Skew
    subsample: Literal["none"] | Annotated[int, Field(gt=0)]
    """Number of training chips to keep, drawn at random: the control experiment for `skew`."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train {self.train} + val {self.val} + test {self.test} is {total:.6g}; it must be 1")
        if not min(self.train, self.val, self.test):
            raise ValueError(
                "train, val and test must each be above 0: the best epoch is chosen on val, scored on test"
            )
        return self

    @property
    def shares(self) -> dict[str, float]:
        """From part to its share."""
        return {part: getattr(self, part) for part in PARTS}
