"""The stage `train` with batch norm frozen, which says what each process reads: python -m tests.learning.frozen.

Batch norm in training looks at the chips of one process alone, so that a processor's results depend on their number.
"""

import os
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as all of torch's users call it

from pipeline.core.cli import run
from pipeline.learning.data import Batch, Chips
from pipeline.train import train

read = Chips.__getitem__


def told(chips: Chips, index: int) -> Batch:
    with Path(f"seen-{os.environ.get('RANK', os.environ.get('LOCAL_RANK', '0'))}.txt").open("a") as seen:
        seen.write(f"{chips.ids[index]}\n")
    return read(chips, index)


def frozen(norm: nn.BatchNorm2d, values: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


if __name__ == "__main__":
    nn.BatchNorm2d.forward = frozen  # type: ignore[assignment,method-assign]
    Chips.__getitem__ = told  # type: ignore[method-assign]
    run(train)
