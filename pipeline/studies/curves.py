"""Curves of all runs of a study over the epochs, as lines of an SVG.

Not matplotlib's SVG: for a chart of ten runs it has three times the bytes (34 to 12 kB) and takes twice as long.
"""

import math
from dataclasses import dataclass
from itertools import groupby

from pipeline.formats.classes import distinct_colour, hex_colour
from pipeline.studies.results import CURVES, PARTS, Curve, StudyResults
from pipeline.studies.tables import with_counterpart

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
"""Margins, in units of the SVG."""
TITLES = {"mean_iou": "Mean IoU", "loss": "Loss", "f_score": "F-score"}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa3377", "#56b4e9", "#e69f00", "#444444", "#6b4c9a", "#8c6d31", "#b10026")
"""Of arms: the first are from the colour-blind safe palette of Okabe and Ito 2008, "Color Universal Design"."""


@dataclass(frozen=True)
class Line:
    """A curve of a run."""

    run: int
    """Index of the run in the study."""
    label: str
    colour: str
    dashed: bool
    """Training; else validation."""
    path: str
    """`d` of the SVG path."""
    points: tuple[tuple[float, float], ...]
    """Shown as dots: epochs without finite neighbours, which a path does not show."""


@dataclass(frozen=True)
class Chart:
    """An SVG with axes and lines."""

    caption: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    """Position and label."""
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    """Empty if no run has curves."""
    synthetic: bool
    note: str = ""


@dataclass(frozen=True)
class LegendEntry:
    """An arm, with the runs that have its colour."""

    arm: str
    colour: str
    runs: tuple[tuple[int, str], ...]
    """Index, and seed with fold."""


def arm_colour(number: int) -> str:
    """Return the colour of the arm at a position: any number differ."""
    return COLOURS[number] if number < len(COLOURS) else hex_colour(distinct_colour(number))


def legend(results: StudyResults) -> list[LegendEntry]:
    """List the arms that have curves, with their runs."""
    entries = []
    for number, arm in enumerate(results.arms):
        runs = [
            (index, f"seed {run.run.seed}" + ("" if run.run.fold == "none" else f", fold {run.run.fold}"))
            for index, run in enumerate(results.finished)
            if run.run.arm.name == arm.arm.name and run.curves
        ]
        if runs:
            entries.append(LegendEntry(arm.arm.name, arm_colour(number), tuple(runs)))
    return entries


def charts(results: StudyResults) -> list[Chart]:
    """Make a chart of mean IoU, loss and F-score."""
    return [chart(results, score) for score in CURVES]


def chart(results: StudyResults, score: str) -> Chart:
    """Draw the curves of a score, of training and validation chips."""
    colours = {entry.arm: entry.colour for entry in legend(results)}
    drawn = [
        (index, run.run.arm.name, part, run.curves[part, score])
        for index, run in enumerate(results.finished)
        for part in PARTS
        if (part, score) in run.curves
    ]
    points = [point for *_, curve in drawn for point in curve if math.isfinite(point[1])]
    counterpart = getattr(results.study.counterparts, score)
    caption, synthetic = with_counterpart(f"{TITLES[score]} over the epochs", counterpart), results.synthetic
    if not points:
        return Chart(caption, TITLES[score], (), (), (), synthetic)
    steps = nice_ticks(1, max(step for step, _ in points), whole=True)
    levels = nice_ticks(min(value for _, value in points), max(value for _, value in points))
    x_span, y_span = (1, max(2, *(step for step, _ in points))), (levels[0], levels[-1])
    lines = tuple(
        Line(index, f"{name}, {part}", colours[name], part == "train", *_draw(curve, x_span, y_span))
        for index, name, part, curve in drawn
    )
    x_ticks = tuple((_x(step, x_span), f"{step:g}") for step in steps if x_span[0] <= step <= x_span[1])
    y_ticks = tuple((_y(level, y_span), f"{level:.4g}") for level in levels)
    kinds = {str(run.params.get("loss")) for run in results.finished}
    note = "Values of different losses cannot be compared." if score == "loss" and len(kinds) > 1 else ""
    return Chart(caption, TITLES[score], x_ticks, y_ticks, lines, synthetic, note)


def nice_ticks(low: float, high: float, count: int = 6, whole: bool = False) -> list[float]:
    """Return about `count` multiples of 1, 2 or 5 times a power of ten, which enclose `low` and `high`."""
    size = max(abs(low), abs(high), 0.001)
    span = high - low if high - low > 1e-6 * size else size  # equal values have a scale too
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * count >= span)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, max(last, first + 1) + 1)]


def _x(step: float, span: tuple[float, float]) -> float:
    return round(LEFT + (step - span[0]) / (span[1] - span[0]) * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, span: tuple[float, float]) -> float:
    return round(TOP + (span[1] - value) / (span[1] - span[0]) * (HEIGHT - TOP - BOTTOM), 1)


def _draw(
    curve: Curve, x_span: tuple[float, float], y_span: tuple[float, float]
) -> tuple[str, tuple[tuple[float, float], ...]]:
    """Return the path through the finite points, and those without finite neighbours."""
    parts, dots = [], []
    for is_finite, piece in groupby(curve, lambda point: math.isfinite(point[1])):
        if not is_finite:
            continue
        places = [(_x(step, x_span), _y(value, y_span)) for step, value in piece]
        if len(places) == 1:
            dots += places
        else:
            parts.append("M" + "L".join(f"{x:g} {y:g}" for x, y in places))
    return "".join(parts), tuple(dots)
