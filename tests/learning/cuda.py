"""What the tests on an NVIDIA GPU share: `python -m pytest -m cuda tests/learning/test_cuda*.py`, three minutes in all.

With other versions of libraries than requirements.txt locks, add `-W default`: they warn of other things.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.learning.world import World

MARKS = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
    pytest.mark.usefixtures("own_torch_settings"),
]


def make_world(folder: Path) -> World:
    """Eight training chips of 64 px: with batches of three the last one is smaller."""
    return World.make(folder, 64, train=8, val=2, test=5)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise a RuntimeError where the CPU waits for the GPU.

    torch checks blocking copies, `item`, `nonzero` and indexing by a mask; but neither what cuDNN and memory allocation
    do, nor a `non_blocking` copy from memory that is not pinned, which waits all the same.
    """
    set_sync_debug_mode("error")
    try:
        yield
    finally:
        set_sync_debug_mode("default")


def set_sync_debug_mode(mode: str) -> None:
    """Set it without torch's warning that it is a prototype."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode(mode)
