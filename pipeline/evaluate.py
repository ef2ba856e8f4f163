"""Scores a trained model on the test chips."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from pipeline.core.cli import progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path, read_json, write_json, write_text
from pipeline.core.params import Params
from pipeline.evaluation.examples import Gallery, show_chips
from pipeline.evaluation.figures import write_plots
from pipeline.evaluation.intervals import LEAST_UNITS, Interval, counted, interval
from pipeline.evaluation.test_pass import Survey, survey
from pipeline.formats.chips import read_imagery
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.splits import leak_summary, read_groups
from pipeline.learning.data import Chips, read_list, scoring_loader
from pipeline.learning.device import Device, DeviceName, choose_for, keep_freed_memory, reading_workers
from pipeline.learning.model import Model, load_model
from pipeline.scoring.counts import sum_by_unit, to_table
from pipeline.scoring.scores import class_scores, paper_iou, scores

SUMMARY = ("mean_iou", "mean_iou_low", "mean_iou_high", "paper_iou")
"""What DVC tells people of each experiment: more would not fit a line of 100 columns."""


class EvaluateSection(Params):
    """`evaluate` of params.yaml."""

    batch_size: int = Field(gt=0)
    """Chips at a time; changes no score."""
    pictures: int = Field(gt=0)
    """Chips in a grid of pictures."""
    device: DeviceName


class EvaluateParams(Params):
    """What `evaluate` reads of params.yaml."""

    evaluate: EvaluateSection


def scored(found: Survey, names: tuple[str, ...]) -> dict[str, Any]:
    """The scores of one set of chips, by class too."""
    counts_3K = found.counts_N3K.sum(axis=0)
    return (
        {"paper_iou": paper_iou(found.counts_N3K)}
        | scores(counts_3K, names)
        | {"classes": class_scores(counts_3K, names)}
    )


def with_interval(counts_U3K: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """The interval of the mean IoU, of how many groups it is and whether it is approximate, or why there is none."""
    found, groups = interval(counts_U3K, names), len(counted(counts_U3K))
    about = {
        "covers": "the sampling of the test set, not training",
        "units": groups,
        "why_null": None if found else f"{groups} independent groups; an interval needs at least {LEAST_UNITS}",
        "approximate": bool(found and found.why_approximate),
        "why_approximate": found and found.why_approximate,
        "held_fixed": list(found.held_fixed) if found else [],
    }
    return {"mean_iou_low": found and found.low, "mean_iou_high": found and found.high, "interval": about}


def require_same_classes(trained: ClassTable, present: ClassTable) -> None:
    """Check that a model and the chips speak of the same classes.

    Raises:
        PipelineError: they do not.
    """
    models, chips = (dict(zip(table.ids, table.names, strict=True)) for table in (trained, present))
    if models != chips:
        raise PipelineError(
            f"the model was trained on the classes {models}, the chips have {chips}; "
            "train it on these chips first: dvc repro"
        )


def look(model: Model, chips: Chips, batch_size: int, device: Device) -> Survey:
    """One pass over `chips`, with a bar."""
    loader = scoring_loader(chips, batch_size, reading_workers("auto", device))
    return survey(model, progress(loader, "evaluate", len(loader)), device)


def units_of(lists: Path, ids: list[str]) -> list[str]:
    """The independent unit of each chip: its group on the ground."""
    groups = read_groups(lists)
    return [groups[name] for name in ids]


def evaluate(
    model: Path,
    chips: Path,
    lists: Path,
    metrics: Path,
    summary: Path,
    units: Path,
    plots: Path,
    params: EvaluateParams,
) -> str:
    """Score MODEL on those CHIPS that test.txt of LISTS names.

    Writes METRICS, the SUMMARY of them that DVC shows, counts by UNITS, and PLOTS.
    """
    section = params.evaluate
    keep_freed_memory()
    trained, synthetic, leak = load_model(model), read_imagery(chips).synthetic, read_json(lists / "leak.json")
    device = choose_for(section.device, trained.arithmetic)
    require_same_classes(trained.table, read_classes(chips / "classes.json"))
    trained.segmenter.eval().to(device.name).to(memory_format=device.memory_format)
    sets = {part: Chips(chips, read_list(lists / f"{part}.txt"), trained.table) for part in ("test", "val")}
    test, val = (look(trained, each, section.batch_size, device) for each in sets.values())
    names, ids = trained.table.names, sets["test"].ids
    unit_names, counts_U3K = sum_by_unit(test.counts_N3K, units_of(lists, ids))
    leaked = {key: leak[key] for key in ("leak_share", "leak_share_at_least")}
    about = leaked | {"split_strategy": leak["strategy"], "synthetic": synthetic}
    about["seed"] = trained.seed
    about["arithmetic"] = {"trained": trained.arithmetic, "scored": device.arithmetic}
    result = (
        scored(test, names)
        | with_interval(counts_U3K, names)
        | {"chips": len(ids), "test_list": fingerprint(ids)}
        | about
    )
    title = (
        f"{'synthetic sample: ' if synthetic else ''}{len(ids)} test chips, mean IoU {digits(result['mean_iou'], 3)}"
    )
    with atomic_path(plots) as folder:
        folder.mkdir()
        write_plots(folder, test, names, title)
        show_chips(folder, Gallery(trained, sets["test"], device), test.counts_N3K, section.pictures, title)
    write_text(units, to_table(unit_names, counts_U3K, names).to_csv(index=False, lineterminator="\n"))
    write_json(summary, {key: result[key] for key in SUMMARY})
    write_json(metrics, result | {"validation": scored(val, names)})
    return in_words(result)


def fingerprint(ids: list[str]) -> str:
    """SHA-256 of a list of chips: scores of two models can be compared when theirs are the same."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def digits(score: float | None, places: int = 4) -> str:
    """A score rounded for people; without a pixel that counts there is none."""
    return "unknown" if score is None else f"{score:.{places}f}"


def in_words(result: dict[str, Any]) -> str:
    """The summary: the score with its interval, and what it is worth."""
    low, high, held = result["mean_iou_low"], result["mean_iou_high"], result["interval"]["held_fixed"]
    few = "too few independent groups for an interval"
    sure = few if low is None else Interval(low, high, tuple(held)).in_words()
    said = f"mean IoU {digits(result['mean_iou'])} ({sure}), pixel accuracy {digits(result['pixel_accuracy'])}"
    arithmetic = _arithmetic_in_words(**result["arithmetic"])
    leak = leak_summary(result["leak_share"], result["leak_share_at_least"])
    return f"{result['chips']} test chips, {said}; {leak}{arithmetic}"


def _arithmetic_in_words(trained: str | None, scored: str) -> str:
    """What the summary says when scores come from another arithmetic than training."""
    if trained in (None, scored):
        return ""
    return f"; trained in {trained}, scored in {scored}: this device has no {trained}"


if __name__ == "__main__":
    run(evaluate)
