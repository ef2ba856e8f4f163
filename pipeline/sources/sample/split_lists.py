"""The official split that an archive ships: lists of chips to train, validate and test on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.core.files import write_text
from pipeline.sources.sample.noise import Rng, derive_seed


def write_split_lists(chip_ids: Sequence[str], seed: int, folder: Path) -> Iterator[Path]:
    """Split `chip_ids` at random 70/15/15 and write `train.txt`, `val.txt` and `test.txt`."""
    shuffled = Rng(derive_seed(seed, "lists")).shuffled(chip_ids)
    count = len(chip_ids) * 15 // 100
    parts = {"train": shuffled[2 * count :], "val": shuffled[:count], "test": shuffled[count : 2 * count]}
    for part, members in parts.items():
        write_text(folder / f"{part}.txt", "".join(f"{chip_id}\n" for chip_id in sorted(members)))
        yield Path(f"{part}.txt")
