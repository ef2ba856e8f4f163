"""The scores, intervals, differences and verdicts of a study, and why some are withheld, as a reader sees them."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.evaluation.intervals import mean_iou_interval
from pipeline.studies.results import Finished, StudyResults
from pipeline.studies.study import Run
from pipeline.studies.table import Table
from pipeline.studies.tables import differences_table, pairs, scores_table
from tests.studies.made import STUDY, finished, missing, study_results

DICE, FOCAL = 0.4 / 1.6, 0.6 / 1.4  # IoU of groups with that share of their pixels correct


def row(table: Table, first: str) -> dict[str, str]:
    (cells,) = [cells for cells in table.rows if cells[0] == first]
    return dict(zip((column.title for column in table.columns), cells, strict=True))


def exact(run: Run, **changes: Any) -> Finished:
    return finished(run, {"dice": 0.4, "focal": 0.6, "ce": 0.5}[run.arm.values["loss"]], **changes)


def test_a_row_has_our_score_beside_both_published_ones_and_their_differences() -> None:
    table = scores_table(study_results(make=exact))
    assert table.caption == "Scores (Table IV)"
    assert row(table, "focal") == {
        "arm": "focal",
        "runs": "1 of 1 run",
        "mean IoU, test": f"{FOCAL:.4f}",
        "95 % interval, or range": f"{FOCAL - 0.05:.4f} to {FOCAL + 0.05:.4f}",
        "mean IoU as in the paper": "0.8700",
        "paper": "0.875 (section VI); 0.871 (Table IV)",
        "difference": "-0.0050; -0.0010",
    }


def test_outdated_and_unreadable_runs_are_named() -> None:
    results = study_results(seeds=5, make=missing)
    arms = tuple(replace(arm, outdated=2, problems=("a is unreadable",)) for arm in results.arms)
    table = scores_table(replace(results, arms=arms))
    assert row(table, "focal")["runs"] == "0 of 5 runs, 2 outdated"
    assert table.notes[-1] == "a is unreadable"
    assert [cells[-1] for cells in differences_table(results).rows] == ["not yet: runs are missing"]


def of_folds(run: Run) -> Finished:
    """Fold 1 has 0.2 of the pixels correct, fold 2 has 0.8."""
    return finished(run, 0.2 if run.fold == "1/2" else 0.8, 6)


def test_folds_are_pooled_and_have_an_interval_over_all_groups() -> None:
    results = study_results(folds=2, make=of_folds)
    cells = row(scores_table(results), "focal")
    assert cells["mean IoU, test"] == f"{0.5 / 1.5:.4f}"  # half of all pixels
    (pooled,) = results.arms[0].by_seed
    interval = mean_iou_interval(pooled.counts_G3K, pooled.classes)
    assert interval is not None
    assert cells["95 % interval, or range"] == f"{interval.low:.4f} to {interval.high:.4f}"
    assert "each pooled over its folds" in scores_table(results).notes[0]


def test_why_there_is_no_interval() -> None:
    def few(run: Run) -> Finished:
        evaluate = {"mean_iou_low": None, "mean_iou_high": None, "interval": {"units": 5, "why_approximate": None}}
        return finished(run, 0.5, evaluate=evaluate)

    cells = row(scores_table(study_results(make=few)), "focal")
    assert cells["95 % interval, or range"] == "none: 5 independent groups"
    cells = row(scores_table(study_results(folds=2, make=lambda run: finished(run, 0.5, 3))), "focal")
    assert cells["95 % interval, or range"] == "none: 6 independent groups"


def test_why_intervals_are_approximate_is_listed_once() -> None:
    def make(run: Run) -> Finished:
        return finished(run, 0.5, evaluate={"interval": {"units": 12, "why_approximate": "road in only 3 groups"}})

    results = study_results(make=make)
    assert scores_table(results).notes[1] == "The intervals are approximate: road in only 3 groups."
    (note,) = differences_table(results).notes[1:]
    assert note == "The intervals are approximate: the groups show no variation."


def test_reasons_are_lettered_and_listed_once() -> None:
    def make(run: Run) -> Finished:
        made = finished(run, evaluate={"synthetic": True})
        made.params["tile"]["size"] = 256
        return made

    table = scores_table(study_results(seeds=2, make=make))
    assert row(table, "focal")["difference"] == "not comparable (a, b)"
    (note,) = [note for note in table.notes if note.startswith("Not comparable")]
    assert note == "Not comparable, because (a) the images are synthetic; (b) tile.size is 256, not 512."
    assert table.synthetic


def test_one_run_that_is_not_comparable_makes_the_mean_so() -> None:
    def make(run: Run) -> Finished:
        made = finished(run)
        made.params["train"]["epochs"] = 40 + (run.seed == 2)
        return made

    table = scores_table(study_results(seeds=2, make=make))
    assert row(table, "focal")["difference"] == "not comparable (a)"
    assert table.notes[-1] == "Not comparable, because (a) train.epochs is 41, not 40."


def test_a_published_range_and_pixel_accuracy() -> None:
    text = STUDY.split("published")[0] + (
        "published:\n"
        "  - {arm: focal, score: mean_iou, value: [0.3, 0.4], where: V}\n"
        "  - {arm: focal, score: pixel_accuracy, value: [0.8, 0.95], where: V}\n"
    )
    cells = row(scores_table(study_results(text)), "focal")
    assert cells["pixel accuracy as in the paper"] == "0.9000"
    assert cells["paper"] == "0.3 to 0.4 (V); pixel accuracy 0.8 to 0.95 (V)"
    assert cells["difference"] == "+0.4700; within the range"


def test_a_study_without_published_scores_has_no_column_for_them() -> None:
    table = scores_table(study_results(STUDY.split("published")[0]))
    assert [column.title for column in table.columns] == ["arm", "runs", "mean IoU, test", "95 % interval, or range"]
    assert len(table.notes) == 1


def test_five_seeds_give_a_verdict() -> None:
    table = differences_table(study_results(seeds=5))
    cells = row(table, "focal minus dice")
    gain = (2 * 0.61 / 1.39 + 3 * 0.59 / 1.41 - 2 * 0.41 / 1.59 - 3 * 0.39 / 1.61) / 5
    assert cells["difference of mean IoU"] == f"{gain:+.4f}"
    assert (cells["paired seeds"], cells["verdict"]) == ("5", "focal is better")
    assert cells["95 % interval"].startswith("+0.1")


def test_fewer_seeds_are_undecided() -> None:
    cells = row(differences_table(study_results(make=exact)), "focal minus dice")
    assert cells["difference of mean IoU"] == f"{FOCAL - DICE:+.4f}"
    assert cells["verdict"] == "undecided: training noise was not sampled, 1 paired seed of at least 5"


def test_what_cannot_be_compared_has_the_reason_as_its_verdict() -> None:
    def make(run: Run) -> Finished | None:
        return finished(run) if (run.seed == 1) == (run.arm.name == "dice") else None

    verdict = row(differences_table(study_results(seeds=2, make=make)), "focal minus dice")["verdict"]
    assert verdict.startswith("no seed occurs in both: [1] and [2]")


AXES = """
title: Two axes
grid:
  loss: [dice, focal, ce]
  data:
    full: {split.subsample: none}
    skewed: {split.skew.class: field}
compare: [loss, data]
"""


def test_pairs_differ_in_one_axis_of_compare() -> None:
    results = study_results(AXES)
    names = [(axis, first.arm.name, second.arm.name) for axis, first, second in pairs(results)]
    assert len(names) == 2 * 3 + 3
    assert ("loss", "dice-skewed", "ce-skewed") in names
    assert ("data", "ce-full", "ce-skewed") in names
    assert not any(first == "dice-full" and second == "focal-skewed" for _, first, second in names)
    only_loss = study_results(AXES.replace("[loss, data]", "[loss]"))
    assert {axis for axis, *_ in pairs(only_loss)} == {"loss"}
    labels = [cells[0] for cells in differences_table(results).rows]
    assert {"focal minus dice, skewed", "skewed minus full, ce"} < set(labels)


def skewed(chips: int) -> StudyResults:
    def make(run: Run) -> Finished:
        return finished(run, split={"train": {"chips": chips if run.arm.values["data"] == "skewed" else 900}})

    return study_results(AXES, make, seeds=5)


def test_there_is_no_verdict_below_thirty_training_chips() -> None:
    few, enough = differences_table(skewed(29)), differences_table(skewed(30))
    message = "no verdict: dice-skewed has 29 training chips, at least 30 are needed"
    assert row(few, "focal minus dice, skewed")["verdict"] == message
    assert row(few, "skewed minus full, dice")["verdict"] == message
    assert row(few, "focal minus dice, full")["verdict"] == "focal is better"
    assert row(enough, "focal minus dice, skewed")["verdict"] == "focal is better"


@pytest.mark.parametrize(
    ("synthetic", "verdict"), [(True, "synthetic: says nothing"), (False, "no significant difference")]
)
def test_the_leak_of_synthetic_images_says_nothing(synthetic: bool, verdict: str) -> None:
    text = "{title: Leak, grid: {split.neighbours: [without, with]}, compare: [split.neighbours]}"
    results = study_results(
        text, lambda run: finished(run, 0.5 + 0.01 * (-1) ** run.seed, evaluate={"synthetic": synthetic}), seeds=5
    )
    assert row(differences_table(results), "with minus without")["verdict"] == verdict
