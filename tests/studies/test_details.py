"""Skew, leak, classes, calibration, cost and provenance of a study are those of its runs, or a dash."""

from dataclasses import replace

from pipeline.studies.details import (
    calibration_table,
    cost_table,
    leak_table,
    provenance_table,
    skew_table,
    study_tables,
    watch_table,
)
from pipeline.studies.results import Finished
from pipeline.studies.study import Run
from pipeline.studies.table import Table
from tests.studies.made import STUDY, finished, missing, study_results
from tests.studies.test_tables import AXES

SKEWED = AXES + "watch: road\n"
LEAK = "{title: Leak, grid: {split.neighbours: [without, with]}, compare: [split.neighbours]}"


def required(table: Table | None) -> Table:
    assert table is not None
    return table


def test_tables_that_do_not_apply_are_left_out() -> None:
    captions = [table.caption for table in study_tables(study_results())]
    assert captions == ["Scores (Table IV)", "Paired differences", "Classes", "Calibration", "Cost", "Provenance"]
    assert [table.caption for table in study_tables(study_results(SKEWED, make=missing))] == [
        *("Scores", "Paired differences", "Training chips and skew", "IoU of road")
    ]
    assert [table.caption for table in study_tables(study_results(LEAK, make=missing))] == [
        *("Scores", "Paired differences", "Leak")
    ]


def skewed(run: Run) -> Finished:
    full = run.arm.values["data"] == "full"
    split = {"train": {"chips": 900 if full else 40, "classes": {"field": 0.5 if full else 0.75, "road": 0.25}}}
    return finished(run, split=split if full else split | {"skew": {"class": "field", "asked": 0.9, "reached": 0.75}})


def test_requested_and_reached_share_and_training_chips() -> None:
    table = required(skew_table(study_results(SKEWED, skewed, seeds=2)))
    assert table.rows[0] == ("dice-full", "field", "–", "50.0 %", "900")
    assert table.rows[1] == ("dice-skewed", "field", "90.0 %", "75.0 %", "40")
    assert required(skew_table(study_results(SKEWED, make=missing))).rows[1] == ("dice-skewed", "field", *"–––")


def test_the_iou_of_one_class_is_shown_by_loss_and_data() -> None:
    table = required(watch_table(study_results(SKEWED, skewed, seeds=2)))
    assert [column.title for column in table.columns] == ["loss / data", "full", "skewed"]
    low, high = 0.39 / 1.61, 0.41 / 1.59
    assert table.rows[0] == ("dice", *[f"{(low + high) / 2:.4f} ({low:.4f} to {high:.4f})"] * 2)
    assert [cells[0] for cells in table.rows] == ["dice", "focal", "ce"]


def test_a_class_that_does_not_occur_has_no_iou() -> None:
    table = required(watch_table(study_results(STUDY + "watch: river\n")))
    assert [column.title for column in table.columns] == ["loss", "IoU"]
    assert table.rows == (("dice", "–"), ("focal", "–"))


def test_the_leak_of_each_arm() -> None:
    def make(run: Run) -> Finished:
        return finished(run, 0.5, evaluate={"leak_share": 1.0 if run.arm.name == "with" else 0.0})

    table = required(leak_table(study_results(LEAK, make=make)))
    assert table.rows == (("without", "40", "0.0 %"), ("with", "40", "100.0 %"))
    assert "says nothing" not in table.notes[0]
    synthetic = study_results(LEAK, make=lambda run: finished(run, 0.5, evaluate={"synthetic": True}))
    assert required(leak_table(synthetic)).notes[0].endswith("These images are synthetic: says nothing.")


def test_calibration_and_cost() -> None:
    def make(run: Run) -> Finished:
        made = finished(run)
        return replace(made, cost=made.cost | {"seconds": 60 * run.seed} if run.arm.name == "dice" else {})

    results = study_results(seeds=2, make=make)
    assert calibration_table(results).rows[0] == ("dice", "0.500", "0.1250", "0.0625")
    assert cost_table(results).rows == (
        ("dice", "90", "4.0", "1000", "115", "cpu"),
        ("focal", "–", "–", "–", "–", "–"),
    )


def test_provenance_names_experiment_commits_params_and_hashes() -> None:
    results = study_results(make=lambda run: finished(run, evaluate={"synthetic": run.arm.name == "dice"}))
    table = provenance_table(results)
    name = results.runs[0].name
    assert table.rows[0] == (
        *(name, "9876543210", "0123456789", "loss=dice", "landcoverai, archive, synthetic"),
        *("fedcba9876", "list-none", "abcdefabcd"),
    )
    assert table.rows[1][4] == "landcoverai, archive"
    assert table.notes == ("Params of all: dataset=landcoverai, architecture=unet, seed=1.",)


def test_what_was_not_recorded_is_a_dash() -> None:
    def make(run: Run) -> Finished:
        made = finished(run, cost={}, data="")
        for key in ("test_list", "model_sha256", "source"):
            del made.evaluate[key]
        return made

    row = provenance_table(study_results(make=make)).rows[0]
    assert row[2:] == ("–", "loss=dice", "landcoverai, archive", "–", "–", "–")
