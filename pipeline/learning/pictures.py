"""A confusion matrix and a grid of predictions as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.classes import ClassTable, Colour

DPI = 100


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


def draw_confusion(path: Path, matrix_KK: np.ndarray, names: Sequence[str], title: str) -> None:
    """Draw shares of each true class's pixels (rows) by predicted class (columns), with the share in each cell."""
    totals_K = matrix_KK.sum(axis=1, keepdims=True)
    shares_KK = np.divide(matrix_KK, totals_K, out=np.zeros(matrix_KK.shape), where=totals_K > 0)
    side = 2.5 + 0.6 * len(names)
    figure = Figure(figsize=(side + 1, side), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares_KK, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for row, column in np.argwhere(shares_KK >= 0.005):
        share = shares_KK[row, column]
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)
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
    figure.legend(handles=patches, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    _save(figure, path)


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
