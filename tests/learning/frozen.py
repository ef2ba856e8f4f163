"""The stage `train` with frozen batch norm, recording which chips each rank reads: python -m tests.learning.frozen.

In training mode batch norm sees the chips of one rank alone, so that results on a CPU depend on the world size.
"""

import os
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from pipeline.core.cli import run
from pipeline.learning.data import Batch, Chips
from pipeline.train import train

read = Chips.__getitem__


def read_and_record(chips: Chips, index: int) -> Batch:
    with Path(f"seen-{os.environ.get('RANK', os.environ.get('LOCAL_RANK', '0'))}.txt").open("a") as seen:
        seen.write(f"{chips.ids[index]}\n")
    return read(chips, index)


def frozen(norm: nn.BatchNorm2d, values: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


if __name__ == "__main__":
    nn.BatchNorm2d.forward = frozen  # type: ignore[assignment,method-assign]
    Chips.__getitem__ = read_and_record  # type: ignore[method-assign]
    run(train)
