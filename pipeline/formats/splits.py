"""The split folder: which chips train, validate and test.

    train.txt, val.txt, test.txt  ids of the chips, one a line
    groups.csv                    the group of each chip

If the chips cannot be split as params.yaml requires, it only contains `refused.txt` with the reason.
"""

from pathlib import Path

import pandas as pd

from pipeline.core.errors import PipelineError

REFUSED = "refused.txt"
GROUPS = "groups.csv"
GROUP = "group"
"""Column of `groups.csv`; chips of different groups are independent."""


def read_groups(folder: Path) -> dict[str, str]:
    """Map each chip id to its group.

    Raises:
        PipelineError: the folder has no `groups.csv`.
    """
    path = folder / GROUPS
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; the stage split writes it: run `dvc repro`")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return dict(zip(table["id"], table[GROUP], strict=True))


def parse_fold(text: str) -> tuple[int, int]:
    """Return i and k of `i/k`, the i-th of k folds."""
    number, count = map(int, text.split("/"))
    return number, count


def leak_summary(share: float | None, at_least: float) -> str:
    """Summarise the share of test chips that touch a training chip.

    Args:
        share: the share; None where it cannot be known, see `pipeline.splitting.leaks`.
        at_least: its known lower bound.
    """
    advice = "; see split.strategy" if at_least else ""
    if share is None:
        return (
            f"at least {100 * at_least:.0f} % of test chips touch a training chip; unknown between images: "
            f"no georeference, or pixels that are rotated, mirrored or not square{advice}"
        )
    return f"{100 * share:.0f} % of test chips touch a training chip{advice}"
