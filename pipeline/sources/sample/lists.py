"""The lists that an archive brings of its own: which chips train, validate and test."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.core.files import write_text
from pipeline.sources.sample.noise import Dice, derive


def write_lists(names: Sequence[str], seed: int, folder: Path) -> Iterator[Path]:
    """Share `names` out at random, 70, 15 and 15 of 100; write `train.txt`, `val.txt` and `test.txt`."""
    shuffled = Dice(derive(seed, "lists")).shuffled(names)
    held_out = len(names) * 15 // 100
    parts = shuffled[2 * held_out :], shuffled[:held_out], shuffled[held_out : 2 * held_out]
    for part, chosen in zip(("train", "val", "test"), parts, strict=True):
        write_text(folder / f"{part}.txt", "".join(f"{name}\n" for name in sorted(chosen)))
        yield Path(f"{part}.txt")
