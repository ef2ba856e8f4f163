"""The section `split` of params.yaml."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.core.errors import PipelineError
from pipeline.core.params import Params, Share
from pipeline.formats.splits import parse_fold

PARTS = ("train", "val", "test")
Strategy = Literal["random", "official", "scene", "block"]


def _require_fold(text: str) -> str:
    if text != "none":
        is_fold = re.fullmatch("[1-9][0-9]*/[1-9][0-9]*", text)
        number, count = parse_fold(text) if is_fold else (0, 0)
        if not 1 <= number <= count or count < 2:
            raise ValueError(f"{text!r} is not a fold; allowed: none, or i/k with i from 1 to k, k from 2, such as 1/3")
    return text


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
    fold: Annotated[str, AfterValidator(_require_fold)]
    """none, or with `scene` i/k: test the i-th of k folds of the groups, instead of the share `test`."""
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
    def _check_fold(self) -> Self:
        if self.fold != "none" and self.strategy != "scene":
            raise ValueError(
                f"fold {self.fold} tests whole groups, but strategy is {self.strategy}; set strategy to scene, or fold "
                "to none"
            )
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
        """The share of each part; with folds, `test` is one fold, and train and val divide the rest as requested."""
        if self.fold == "none":
            return {part: getattr(self, part) for part in PARTS}
        test = 1 / parse_fold(self.fold)[1]
        return {part: share * (1 - test) for part, share in self.shares_beside_test.items()} | {"test": test}

    @property
    def shares_beside_test(self) -> dict[str, float]:
        """The shares of train and val in the chips of both."""
        return {part: getattr(self, part) / (self.train + self.val) for part in ("train", "val")}
