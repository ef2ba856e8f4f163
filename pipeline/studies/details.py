"""Further tables of a study: skew, a single class, leak, classes, calibration, cost, provenance."""

from statistics import mean
from typing import Any

from pipeline.studies.results import StudyResults, is_skewed
from pipeline.studies.table import ABSENT, Table, number_text, score_text, share_text, spread_text
from pipeline.studies.tables import LEAK_AXIS, MIN_CHIPS, differences_table, scores_table

SHORT = 10
"""Digits shown of a hash."""


def study_tables(results: StudyResults) -> list[Table]:
    """Make all tables of a study, without those that do not apply to it."""
    tables = [scores_table(results)]
    if results.study.compare:
        tables.append(differences_table(results))
    tables += filter(None, (skew_table(results), watch_table(results), leak_table(results)))
    if results.finished:
        tables += [classes_table(results), calibration_table(results), cost_table(results), provenance_table(results)]
    return tables


def skew_table(results: StudyResults) -> Table | None:
    """Show how far the training chips of each arm are skewed; None for studies without a skew."""
    if not is_skewed(results):
        return None
    skewed = {run.overrides.get("split.skew.class", "none") for run in results.runs} - {"none"}
    rows = []
    for arm in results.arms:
        own = arm.runs[0].overrides.get("split.skew.class", "none")
        name = min(skewed) if own == "none" else own
        asked = arm.values("split", "skew", "asked")
        reached = arm.values("split", "train", "classes", name)
        chips = spread_text(arm.values("split", "train", "chips"), lambda count: f"{count:.0f}")
        rows.append((arm.arm.name, name, spread_text(asked, share_text), spread_text(reached, share_text), chips))
    titles = ("arm", "class", "requested share", "reached share", "training chips")
    note = f"Shares of the labelled training pixels. Below {MIN_CHIPS} training chips there is no verdict."
    return Table.of("Training chips and skew", titles, rows, [note], results.synthetic, numbers=titles[2:])


def watch_table(results: StudyResults) -> Table | None:
    """Show the IoU of one class, the values of the first axis in rows, of the others in columns; None without one."""
    name = results.study.watch
    if not name:
        return None
    first, *others = results.study.grid
    cells = {(arm.arm.values[first], arm.arm.without(first)): arm for arm in results.arms}
    rows_of, columns_of = dict.fromkeys(row for row, _ in cells), dict.fromkeys(column for _, column in cells)

    def cell(row: str, column: str) -> str:
        arm = cells.get((row, column))
        return spread_text(arm.of_class(name, "iou")) if arm else ABSENT

    rows = [(row, *(cell(row, column) for column in columns_of)) for row in rows_of]
    numbers = [column or "IoU" for column in columns_of]
    titles = [" / ".join([first, *others]), *numbers]
    note = "Of the test chips; the mean over seeds, and their range."
    return Table.of(f"IoU of {name}", titles, rows, [note], results.synthetic, numbers=numbers)


def leak_table(results: StudyResults) -> Table | None:
    """Show how many test chips touch a training chip in each arm; None unless the study varies that."""
    if LEAK_AXIS not in {key for arm in results.arms for key in arm.arm.overrides}:
        return None
    rows = []
    for arm in results.arms:
        chips = spread_text(arm.values("split", "train", "chips"), lambda count: f"{count:.0f}")
        rows.append((arm.arm.name, chips, spread_text(arm.values("evaluate", "leak_share"), share_text)))
    titles = ("arm", "training chips", "test chips that touch a training chip")
    note = "The difference of the arms is the part of the score that is leak."
    if results.synthetic:
        note += " These images are synthetic: says nothing."
    return Table.of("Leak", titles, rows, [note], results.synthetic, numbers=titles[1:])


def classes_table(results: StudyResults) -> Table:
    """Show IoU, user's and producer's accuracy of each class and arm."""
    rows = []
    for arm in results.arms:
        for name in dict.fromkeys(name for result in arm.by_seed for name in result.classes):
            values = (arm.of_class(name, score) for score in ("iou", "users_accuracy", "producers_accuracy"))
            rows.append((arm.arm.name, name, *(score_text(mean(each) if each else None) for each in values)))
    titles = ("arm", "class", "IoU", "user's accuracy", "producer's accuracy")
    note = "Of the test chips; the mean over seeds."
    return Table.of("Classes", titles, rows, [note], results.synthetic, numbers=titles[2:], folded=True)


def calibration_table(results: StudyResults) -> Table:
    """Show temperature and calibration error of each arm."""
    rows = []
    for arm in results.arms:
        keys = ("temperature", "error_before", "error_after")
        values = [arm.mean_of("evaluate", "calibration", key) for key in keys]
        rows.append((arm.arm.name, score_text(values[0], 3), *map(score_text, values[1:])))
    titles = ("arm", "temperature", "calibration error before", "after")
    note = "Fitted on the validation chips, measured on the test chips; the mean over runs."
    return Table.of("Calibration", titles, rows, [note], results.synthetic, numbers=titles[1:], folded=True)


def cost_table(results: StudyResults) -> Table:
    """Show time, memory and disk space of each arm's trainings."""
    rows = []
    for arm in results.arms:
        devices = dict.fromkeys(str(run.cost["device"]) for run in arm.finished if "device" in run.cost)
        rows.append(
            (
                arm.arm.name,
                number_text(arm.mean_of("cost", "seconds"), ".0f"),
                number_text(arm.mean_of("cost", "chips_per_second"), ".1f"),
                number_text(max(arm.values("cost", "peak_memory_mb"), default=None), ".0f"),
                number_text(sum(arm.values("cost", "model_mb")) or None, ".0f"),
                ", ".join(devices) or ABSENT,
            )
        )
    titles = ("arm", "seconds per training", "chips per second", "peak memory, MB", "models, MB", "device")
    note = "Time and speed are means over runs; memory is the largest; models are of all runs together."
    return Table.of("Cost", titles, rows, [note], results.synthetic, numbers=titles[1:-1], folded=True)


def provenance_table(results: StudyResults) -> Table:
    """Show where each run's numbers come from."""
    common = dict(results.runs[0].overrides)
    for run in results.runs:
        common = {key: value for key, value in common.items() if key in run.overrides and run.overrides[key] == value}
    rows = [
        (
            run.experiment.name,
            run.experiment.rev[:SHORT],
            str(run.cost.get("revision") or ABSENT)[:SHORT],
            _params_text({key: value for key, value in run.run.overrides.items() if key not in common}),
            run.data_source,
            run.data[:SHORT] or ABSENT,
            str(run.evaluate.get("test_list", ABSENT))[:SHORT],
            str(run.evaluate.get("model_sha256", ABSENT))[:SHORT],
        )
        for run in results.finished
    ]
    titles = ("experiment", "commit", "trained at", "params", "data", "chips, MD5", "test list", "model, SHA-256")
    notes = [f"Params of all: {_params_text(common)}."] if common else []
    return Table.of("Provenance", titles, rows, notes, results.synthetic, folded=True)


def _params_text(params: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in params.items()) or ABSENT
