"""The section `split` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import PipelineError
from pipeline.core.params import Params, Share

PARTS = ("train", "val", "test")
Strategy = Literal["random", "official", "scene", "block"]
Fold = Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")]
"""`i/k`: the i-th of k folds."""


class InfeasibleSplitError(PipelineError):
    """The requested split is impossible for the chips of one dataset, though perhaps not for others.

    All datasets share the section, and an experiment on one must not fail because another lacks a class or official
    lists. The error ends the stage for the dataset to train on; for the others the stage writes the reason in place
    of the lists.
    """


class Block(Params):
    """Square blocks of neighbouring chips, each assigned to one part."""

    chips: int = Field(gt=0)
    """Edge length, in chips."""
    gap: int = Field(ge=0)
    """Chips left out between two parts, in each direction."""


class Skew(Params):
    """Class imbalance introduced on purpose, as in the study."""

    class_name: str = Field(alias="class", min_length=1)
    """The class to dominate; `none` keeps all training chips."""
    share: float = Field(gt=0, le=1)
    """Its target share of the labelled training pixels."""
    keep_at_least: Share
    """Minimum share to keep of each other class's training pixels."""


class SplitSection(Params):
    """The section `split`."""

    strategy: Strategy
    """random: chip by chip, as in the study; official: the archive's own lists; scene: whole groups of overlapping
    orthophotos or Sentinel tiles; block: square blocks of chips with a gap between the parts."""
    train: Share
    val: Share
    test: Share
    seed: int = Field(ge=0)
    """Separate from the training seed, so that sweeping that one never changes the test set."""
    fold: Literal["none"] | Fold
    """For `scene`: the groups to test instead of the share `test`."""
    block: Block
    skew: Skew
    subsample: Literal["none", "like_skew"] | Annotated[int, Field(gt=0)]
    """Number of training chips to keep, drawn at random, the control experiment for `skew`; like_skew: as many as it
    would keep."""
    neighbours: Literal["any", "with", "without"]
    """The leak experiment: without keeps the training chips that touch no test chip, with as many drawn from all."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train {self.train} + val {self.val} + test {self.test} is {total:.6g}; it must be 1")
        if not min(self.train, self.val, self.test):
            raise ValueError("train, val and test must each be above 0: val selects the best epoch, test scores it")
        return self

    @model_validator(mode="after")
    def _check_subsample(self) -> Self:
        if self.subsample == "like_skew" and self.skew.class_name == "none":
            raise ValueError(
                "subsample like_skew keeps as many chips as skew would, but skew.class is none; set skew.class, or "
                "subsample to a number or none"
            )
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part."""
        return {part: getattr(self, part) for part in PARTS}
