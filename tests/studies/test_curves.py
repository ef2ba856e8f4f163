"""Curves are where the axes say, none is hidden by a value that is not finite, and arms differ in colour."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.studies.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    arm_colour,
    chart,
    charts,
    legend,
    nice_ticks,
)
from pipeline.studies.results import Finished
from pipeline.studies.study import Run
from tests.studies.made import STUDY, finished, missing, study_results


def test_a_chart_has_a_line_per_run_and_part_in_the_colour_of_its_arm() -> None:
    drawn = chart(study_results(seeds=2), "mean_iou")
    assert drawn.caption == "Mean IoU over the epochs (Figure 2)"
    assert len(drawn.lines) == 2 * 2 * 2
    assert [line.run for line in drawn.lines] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [line.dashed for line in drawn.lines[:2]] == [True, False]
    assert [line.colour for line in drawn.lines[::2]] == [arm_colour(0)] * 2 + [arm_colour(1)] * 2
    assert drawn.lines[0].label == "dice, train"


def test_points_are_where_the_ticks_say() -> None:
    drawn = chart(study_results(), "mean_iou")  # train: 0.25, 0.5; val: 0.375, 0.625
    assert drawn.x_ticks == ((LEFT, "1"), (WIDTH - RIGHT, "2"))
    assert [text for _, text in drawn.y_ticks] == ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]
    assert (drawn.y_ticks[0][0], drawn.y_ticks[-1][0]) == (HEIGHT - BOTTOM, TOP)
    height = (HEIGHT - BOTTOM - TOP) / 5
    first, last = HEIGHT - BOTTOM - 0.5 * height, HEIGHT - BOTTOM - 3 * height
    assert drawn.lines[0].path == f"M{LEFT} {first:g}L{WIDTH - RIGHT} {last:g}"


def with_curve(*values: float) -> Finished:
    run = study_results().runs[0]
    return finished(run, curves={("val", "loss"): tuple(enumerate(values, start=1))})


def test_values_that_are_not_finite_are_gaps_and_single_points_are_dots() -> None:
    def make(run: Run) -> Finished | None:
        return with_curve(0.5, math.nan, 0.25, 0.5, math.inf) if run.arm.name == "dice" else None

    (line,) = chart(study_results(make=make), "loss").lines
    assert line.path.count("M") == 1
    assert len(line.points) == 1
    (line,) = chart(study_results(make=lambda run: with_curve(0.5) if run.arm.name == "dice" else None), "loss").lines
    assert (line.path, len(line.points)) == ("", 1)


def test_without_curves_there_are_charts_without_lines_and_no_legend() -> None:
    for results in (study_results(make=missing), study_results(make=lambda run: finished(run, curves={}))):
        assert [drawn.lines for drawn in charts(results)] == [(), (), ()]
        assert legend(results) == []
    assert charts(study_results(make=lambda run: with_curve(math.nan)))[1].lines == ()


def test_losses_of_different_kinds_are_noted() -> None:
    assert [drawn.note for drawn in charts(study_results())] == [
        *("", "Values of different losses cannot be compared.", "")
    ]
    one = study_results(make=lambda run: finished(run) if run.arm.name == "dice" else None)
    assert chart(one, "loss").note == ""


def test_the_legend_lists_the_runs_of_each_arm() -> None:
    entries = legend(study_results(seeds=1, folds=2, make=lambda run: finished(run, 0.5)))
    assert [(entry.arm, entry.runs) for entry in entries] == [
        ("dice", ((0, "seed 1, fold 1/2"), (1, "seed 1, fold 2/2"))),
        ("focal", ((2, "seed 1, fold 1/2"), (3, "seed 1, fold 2/2"))),
    ]
    assert legend(study_results(STUDY))[0].runs == ((0, "seed 1"),)


def test_colours_differ() -> None:
    assert len({arm_colour(number) for number in range(30)}) == 30


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.booleans())
def test_ticks_are_equidistant_and_enclose_the_values(low: float, span: float, whole: bool) -> None:
    high = low + span
    ticks = nice_ticks(low, high, whole=whole)
    step = ticks[1] - ticks[0]
    assert 2 <= len(ticks) <= 10
    assert ticks[0] <= low + 1e-6 * step + 1e-9
    assert ticks[-1] >= high - 1e-6 * step - 1e-9
    assert all(math.isclose(second - first, step, rel_tol=1e-3, abs_tol=1e-9) for first, second in pairwise(ticks))


def test_ticks_are_round() -> None:
    assert nice_ticks(0.03, 0.11) == [0.02, 0.04, 0.06, 0.08, 0.1, 0.12]
    assert nice_ticks(1, 40, whole=True) == [0, 10, 20, 30, 40]
    assert nice_ticks(1, 3, whole=True) == [1, 2, 3]
    assert nice_ticks(0.5, 0.5) == [0.5, 0.6]
