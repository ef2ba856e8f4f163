"""Confusion matrices, grids of predictions and of errors as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.core.files import write_text
from pipeline.evaluation.test_pass import Survey
from pipeline.formats.classes import IGNORE, ClassTable, Colour
from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import class_iou

DPI = 100
ERROR_COLOURS = {"found": (0, 114, 178), "missed": (240, 228, 66), "false alarm": (213, 94, 0)}
"""True positive, false negative, false positive: blue, yellow, vermilion of Okabe and Ito 2008, "Color Universal
Design", which people of every colour vision tell apart; true negatives stay grey."""


@dataclass(frozen=True)
class Example:
    """One chip and what the model makes of it."""

    id: str
    image_HWC: np.ndarray
    """uint8 RGB."""
    target_HW: np.ndarray
    """uint8, class ids and *ignore*."""
    predicted_HW: np.ndarray
    """uint8, class ids."""


def draw_confusion(path: Path, matrix_KK: np.ndarray, names: Sequence[str], title: str, counts: bool = False) -> None:
    """Draw a confusion matrix: true classes in rows, predicted ones in columns.

    Colours are shares of each true class's pixels. The cells say that share, or with `counts` the pixels in thousands.
    """
    totals_K = matrix_KK.sum(axis=1, keepdims=True)
    shares_KK = np.divide(matrix_KK, totals_K, out=np.zeros(matrix_KK.shape), where=totals_K > 0)
    side = 2.5 + 0.6 * len(names)
    figure = Figure(figsize=(side + 1, side), dpi=DPI, layout="constrained")  # room for the words of few classes
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots()
    axes.imshow(shares_KK, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("thousands of pixels" if counts else "share of each true class", fontsize=9)
    axes.set(xlabel="predicted (blank: below 0.5 % of the true class)", ylabel="true")
    for row, column in np.argwhere(shares_KK >= 0.005):
        share = shares_KK[row, column]
        colour = "white" if share > 0.5 else "black"
        text = f"{matrix_KK[row, column] / 1000:.3g}k" if counts else f"{share:.2f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def draw_examples(path: Path, examples: Sequence[Example], table: ClassTable, title: str) -> None:
    """Draw a row an example, image · target · prediction, over a legend of the classes that occur."""
    figure = Figure(figsize=(7.2, 2.4 * len(examples) + 0.9), dpi=DPI, layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(len(examples), 3, squeeze=False)
    colours = np.frombuffer(table.palette, np.uint8).reshape(256, 3)
    for axes, heading in zip(rows[0], ("image", "target", "prediction"), strict=True):
        axes.set_title(heading)
    for row, one in zip(rows, examples, strict=True):
        for axes, picture in zip(row, (one.image_HWC, colours[one.target_HW], colours[one.predicted_HW]), strict=True):
            _show(axes, picture)
        row[0].set_ylabel(one.id, fontsize=7)
    seen = {
        int(value) for one in examples for map_HW in (one.target_HW, one.predicted_HW) for value in np.unique(map_HW)
    }
    patches = [
        Patch(facecolor=_unit(each.colour), edgecolor="grey", label=each.name)
        for each in table.classes
        if each.id in seen
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    _save(figure, path)


def draw_errors(path: Path, shown: Sequence[tuple[str, Example]], table: ClassTable, title: str) -> None:
    """Draw a row a class: the image, and over its grey version where the class was found, missed, wrongly seen.

    Args:
        path: of the PNG.
        shown: name of a class, and the chip to show it on.
        table: the classes.
        title: over the grid.
    """
    figure = Figure(figsize=(5.2, 2.4 * len(shown) + 0.9), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=10)
    rows = figure.subplots(len(shown), 2, squeeze=False)
    class_ids = dict(zip(table.names, table.ids, strict=True))
    for axes, (name, one) in zip(rows, shown, strict=True):
        _show(axes[0], one.image_HWC)
        _show(axes[1], errors_over(one, class_ids[name]))
        axes[0].set_ylabel(f"{name}\n{one.id}", fontsize=7)
    patches = [Patch(facecolor=_unit(colour), label=kind) for kind, colour in ERROR_COLOURS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    _save(figure, path)


def errors_over(one: Example, class_id: int) -> np.ndarray:
    """The image in grey, with the pixels that are the class, or are taken for it, in `ERROR_COLOURS`; uint8 RGB."""
    grey_HW = one.image_HWC.mean(axis=2) * 0.7 + 40
    picture_HWC = np.repeat(grey_HW[..., None], 3, axis=2).astype(np.uint8)
    true_HW, predicted_HW = one.target_HW == class_id, one.predicted_HW == class_id
    counted_HW = one.target_HW != IGNORE
    kinds = (true_HW & predicted_HW, true_HW & ~predicted_HW, ~true_HW & predicted_HW & counted_HW)
    for where_HW, colour in zip(kinds, ERROR_COLOURS.values(), strict=True):
        picture_HWC[where_HW] = colour
    return picture_HWC


def write_plots(folder: Path, found: Survey, names: Sequence[str], title: str) -> None:
    """Write confusion matrices as pictures and a table; tables of IoU by class and of the reliability curve."""
    draw_confusion(folder / "confusion.png", found.matrix_KK, names, title)
    draw_confusion(folder / "confusion_counts.png", found.matrix_KK, names, title, counts=True)
    matrix = pd.DataFrame(found.matrix_KK, index=pd.Index(names, name="true class"), columns=list(names))
    write_text(folder / "confusion.csv", matrix.to_csv(lineterminator="\n"))
    counts_3K = found.counts_N3K.sum(axis=0)
    iou = pd.DataFrame({"class": names, "iou": class_iou(counts_3K).round(6)})[counts_3K[TRUE] > 0]
    write_text(folder / "iou.csv", iou.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "reliability.csv", reliability_table(found).to_csv(index=False, lineterminator="\n"))


def reliability_table(found: Survey) -> pd.DataFrame:
    """Rows of `confidence`, the mean of a step's probabilities, `accuracy`, the share that is right, and `pixels`."""
    pixels, probability, right = (row[found.reliability_3B[0] > 0] for row in found.reliability_3B)
    columns = {"confidence": probability / pixels, "accuracy": right / pixels}
    return pd.DataFrame(columns).round(6).assign(pixels=pixels.astype(np.int64))


def _show(axes: Axes, picture_HWC: np.ndarray) -> None:
    axes.imshow(picture_HWC, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def _save(figure: Figure, path: Path) -> None:
    # no version in the file: the same scores give the same bytes
    figure.savefig(path, metadata={"Software": None})
