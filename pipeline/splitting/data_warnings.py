"""What a person should know about chips before a training."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.formats.classes import ClassTable
from pipeline.formats.png import read_image, read_mask
from pipeline.splitting.alignment import REACH, Displacement, find_displacement
from pipeline.splitting.report import class_shares
from pipeline.splitting.section import PARTS

MAX_COMPARED = 64
"""Chips whose masks are compared with their images."""
DOMINANT = 0.98
"""Share of the labelled pixels from which one class is too frequent to learn others."""


def data_warnings(folder: Path, chips: pd.DataFrame, table: ClassTable) -> Iterator[str]:
    """Yield what a person should know before a training, one line each.

    Args:
        folder: the chips folder.
        chips: rows of `chips.csv` with their `part`.
        table: the classes.
    """
    total = class_shares(chips, table)
    if absent := [name for name in table.names if not total[name]]:
        yield f"no chip has a pixel of {', '.join(absent)}"
    for part, effect in zip(PARTS, ("cannot be learned", "do not count there", "have no score"), strict=True):
        shares = class_shares(chips[chips["part"] == part], table)
        if missing := [name for name in table.names if total[name] and not shares[name]]:
            yield f"{part} has no pixel of {', '.join(missing)}: these classes {effect}"
    name, share = max(total.items(), key=lambda item: item[1])
    if share >= DOMINANT:
        yield f"{100 * share:.1f} % of the labelled pixels are {name}: a model that predicts nothing else scores well"
    names = [f"{chip}.png" for chip in _spread(chips["id"].tolist(), MAX_COMPARED)]
    displacement = find_displacement(
        (read_image(folder / "images" / name), read_mask(folder / "masks" / name)) for name in names
    )
    if displacement and displacement.is_visible:
        shift = _directions(displacement)
        yield f"masks seem to be shifted by {shift}: their borders fit the images best when moved back"


def _directions(displacement: Displacement) -> str:
    sides = (displacement.right, "right", "left"), (displacement.down, "below", "above")
    return " and ".join(
        f"{abs(by)} px{' or more' if abs(by) == REACH else ''} {positive if by > 0 else negative}"
        for by, positive, negative in sides
        if by
    )


def _spread(ids: list[str], count: int) -> list[str]:
    """Return up to `count` ids at equal distances."""
    return [ids[len(ids) * number // count] for number in range(count)] if len(ids) > count else ids
