"""Figures and tables of an evaluation: confusion matrices, predictions, errors, IoU by class, reliability."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.core.files import write_text
from pipeline.evaluation.calibration import BINS, PIXELS, Reliability, reliability_table
from pipeline.evaluation.test_pass import PredictionCounts
from pipeline.formats.classes import IGNORE, ClassTable, Colour
from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import class_iou

DPI = 100
ERROR_COLOURS = {"found": (0, 114, 178), "missed": (240, 228, 66), "false alarm": (213, 94, 0)}
"""True positive, false negative, false positive: blue, yellow and vermilion of the colour-blind safe palette of Okabe
and Ito 2008, "Color Universal Design"; true negatives stay grey."""
SERIES = (("#d55e00", "s"), ("#0072b2", "o"))
"""Colour and marker before and after temperature scaling: vermilion and blue of the same palette."""


@dataclass(frozen=True)
class Example:
    """A chip with its prediction."""

    id: str
    image_HWC: np.ndarray
    """uint8 RGB."""
    target_HW: np.ndarray
    """uint8, class ids and *ignore*."""
    predicted_HW: np.ndarray
    """uint8, class ids."""


def draw_confusion(path: Path, matrix_KK: np.ndarray, names: Sequence[str], title: str, counts: bool = False) -> None:
    """Draw a confusion matrix: true classes in rows, predicted ones in columns.

    Colours show each row's shares. The cells show them as numbers too, or with `counts` thousands of pixels.
    """
    totals_K = matrix_KK.sum(axis=1, keepdims=True)
    shares_KK = np.divide(matrix_KK, totals_K, out=np.zeros(matrix_KK.shape), where=totals_K > 0)
    side = 2.5 + 0.6 * len(names)
    figure = Figure(figsize=(side + 1, side), dpi=DPI, layout="constrained")  # wide enough for the labels
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots()
    axes.imshow(shares_KK, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("pixels (k: thousand)" if counts else "share of each true class", fontsize=9)
    axes.set(xlabel="predicted (blank: below 0.5 % of the true class)", ylabel="true")
    for row, column in np.argwhere(shares_KK >= 0.005):
        share = shares_KK[row, column]
        colour = "white" if share > 0.5 else "black"
        text = f"{matrix_KK[row, column] / 1000:.3g}k" if counts else f"{share:.2f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def draw_examples(path: Path, examples: Sequence[Example], table: ClassTable, title: str) -> None:
    """Draw a row per example, image · target · prediction, above a legend of the classes that occur."""
    figure = Figure(figsize=(7.2, 2.4 * len(examples) + 0.9), dpi=DPI, layout="constrained")
    figure.suptitle(title)
    colours = np.frombuffer(table.palette, np.uint8).reshape(256, 3)
    rows = [(each.id, (each.image_HWC, colours[each.target_HW], colours[each.predicted_HW])) for each in examples]
    for axes, heading in zip(_draw_rows(figure, rows), ("image", "target", "prediction"), strict=True):
        axes.set_title(heading)
    maps = [np.stack([each.target_HW, each.predicted_HW]) for each in examples]
    present = np.unique(np.concatenate(maps, axis=None))
    patches = [
        Patch(facecolor=_hex(land_cover.colour), edgecolor="grey", label=land_cover.name)
        for land_cover in table.classes
        if land_cover.id in present
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    _save(figure, path)


def draw_errors(path: Path, examples: Sequence[tuple[str, Example]], table: ClassTable, title: str) -> None:
    """Draw a row per class: the image, and its errors over a grey version.

    Args:
        path: of the PNG.
        examples: name of a class, and the chip to show it on.
        table: the classes.
        title: of the grid.
    """
    figure = Figure(figsize=(5.2, 2.4 * len(examples) + 0.9), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=10)
    class_ids = dict(zip(table.names, table.ids, strict=True))
    _draw_rows(
        figure,
        [(f"{name}\n{each.id}", (each.image_HWC, error_overlay(each, class_ids[name]))) for name, each in examples],
    )
    patches = [Patch(facecolor=_hex(colour), label=kind) for kind, colour in ERROR_COLOURS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    _save(figure, path)


def error_overlay(example: Example, class_id: int) -> np.ndarray:
    """Colour hits, misses and false alarms of a class over the image in grey; uint8 RGB."""
    grey_HW = example.image_HWC.mean(axis=2) * 0.7 + 40
    overlay_HWC = np.repeat(grey_HW[..., None], 3, axis=2).astype(np.uint8)
    true_HW, predicted_HW = example.target_HW == class_id, example.predicted_HW == class_id
    labelled_HW = example.target_HW != IGNORE
    kinds = (true_HW & predicted_HW, true_HW & ~predicted_HW, ~true_HW & predicted_HW & labelled_HW)
    for where_HW, colour in zip(kinds, ERROR_COLOURS.values(), strict=True):
        overlay_HWC[where_HW] = colour
    return overlay_HWC


def draw_reliability(path: Path, reliability: Reliability, title: str) -> None:
    """Draw accuracy over confidence before and after temperature scaling, above the share of pixels in each bin.

    Bars are 95 % intervals over groups, where there are any.
    """
    figure = Figure(figsize=(5.2, 5.6), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=10)
    curves, shares = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    curves.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    sides = (("before", reliability.before_G3B), ("after", reliability.after_G3B))
    for (name, bins_G3B), error, (colour, marker) in zip(sides, reliability.errors, SERIES, strict=True):
        table = reliability_table(bins_G3B)
        label = f"{name} temperature scaling" + ("" if error is None else f": calibration error {error:.3f}")
        curves.plot(table["confidence"], table["accuracy"], color=colour, marker=marker, markersize=4, label=label)
        curves.vlines(table["confidence"], table["low"], table["high"], color=colour, linewidth=1.5, alpha=0.6)
        pixels_B = bins_G3B[:, PIXELS].sum(axis=0)
        shares.stairs(pixels_B / max(1, pixels_B.sum()), np.linspace(0, 1, BINS + 1), color=colour, linewidth=1.5)
    curves.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of correct pixels")
    figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    shares.set(xlabel="confidence: probability of the predicted class", ylabel="share of pixels", ylim=(0, None))
    _save(figure, path)


def write_plots(
    folder: Path, counts: PredictionCounts, reliability: Reliability, names: Sequence[str], title: str
) -> None:
    """Write confusion matrices and reliability as images and tables, and a table of IoU by class."""
    draw_confusion(folder / "confusion.png", counts.matrix_KK, names, title)
    draw_confusion(folder / "confusion_counts.png", counts.matrix_KK, names, title, counts=True)
    draw_reliability(folder / "reliability.png", reliability, title)
    matrix = pd.DataFrame(counts.matrix_KK, index=pd.Index(names, name="true class"), columns=list(names))
    write_text(folder / "confusion.csv", matrix.to_csv(lineterminator="\n"))
    counts_3K = counts.counts_N3K.sum(axis=0)
    iou = pd.DataFrame({"class": names, "iou": class_iou(counts_3K).round(6)})[counts_3K[TRUE] > 0]
    tables = {
        "iou": iou,
        "reliability": reliability_table(reliability.after_G3B),
        "reliability_before": reliability_table(reliability.before_G3B),
    }
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))


def _draw_rows(figure: Figure, rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> list[Axes]:
    """Draw rows of images beside their labels; return the axes of the first row."""
    grid = figure.subplots(len(rows), len(rows[0][1]), squeeze=False)
    for row, (label, images) in zip(grid, rows, strict=True):
        row[0].set_ylabel(label, fontsize=7)
        for axes, image_HWC in zip(row, images, strict=True):
            axes.imshow(image_HWC, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
    return list(grid[0])


def _hex(colour: Colour) -> str:
    """Format a colour for matplotlib."""
    return f"#{bytes(colour).hex()}"


def _save(figure: Figure, path: Path) -> None:
    # without matplotlib's version, so that the same scores give the same bytes
    figure.savefig(path, metadata={"Software": None, "Title": figure.get_suptitle()})
