"""Score a trained model on the test chips."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pipeline.core.cli import progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path, read_json, write_json, write_text
from pipeline.core.params import Params
from pipeline.evaluation.calibration import Reliability
from pipeline.evaluation.examples import ExampleSource, draw_example_grids, write_predictions
from pipeline.evaluation.figures import write_plots
from pipeline.evaluation.intervals import (
    MIN_GROUPS,
    MIN_GROUPS_PER_CLASS,
    Interval,
    labelled_groups,
    mean_iou_interval,
    share_limits,
)
from pipeline.evaluation.test_pass import PredictionCounts, count_predictions
from pipeline.formats.chips import Imagery, read_imagery, read_origin
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.splits import leak_summary, read_groups
from pipeline.learning.data import Chips, read_list
from pipeline.learning.device import (
    Device,
    DeviceName,
    allow_tf32,
    keep_freed_memory,
    loader_workers,
    memory_problem,
    select_scoring_device,
)
from pipeline.learning.loaders import scoring_loader
from pipeline.learning.model import Model, load_model
from pipeline.scoring.counts import HITS, PREDICTED, TRUE, sum_by_group, to_table
from pipeline.scoring.scores import by_name, class_scores, disagreement, paper_iou, scores

SUMMARY = ("mean_iou", "mean_iou_low", "mean_iou_high", "paper_iou")
"""The metrics that `dvc exp show` prints: more would not fit a line of 100 columns."""


class EvaluateSection(Params):
    """`evaluate` of params.yaml."""

    batch_size: Literal["auto"] | Annotated[int, Field(gt=0)]
    """Chips predicted at once; does not change the scores. auto: 16 on a GPU, 1 on a CPU, whose caches hold one."""
    examples: int = Field(gt=0)
    """Chips in each grid of predictions, and in the folder `predictions`."""
    device: DeviceName

    def chips_at_once(self, device: Device) -> int:
        """Return `batch_size`, with `auto` resolved."""
        if self.batch_size == "auto":
            return 1 if device.name == "cpu" else 16
        return self.batch_size


class EvaluateParams(Params):
    """Parameters of the stage."""

    evaluate: EvaluateSection


def all_scores(counts_N3K: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """Compute the scores of a set of chips, and of each class."""
    counts_3K = counts_N3K.sum(axis=0)
    whole = {"paper_iou": paper_iou(counts_N3K)} | scores(counts_3K, names) | disagreement(counts_3K)
    return whole | {"classes": class_scores(counts_3K, names)}


def interval_metrics(interval: Interval | None, groups: int) -> dict[str, Any]:
    """Describe the interval of the mean IoU over a number of groups, and why it is approximate or missing."""
    details = {
        "covers": "the sampling of the test set, not training",
        "units": groups,
        "why_null": None if interval else f"{groups} independent groups; an interval needs at least {MIN_GROUPS}",
        "approximate": bool(interval and interval.why_approximate),
        "why_approximate": interval and interval.why_approximate,
        "held_fixed": list(interval.held_fixed) if interval else [],
    }
    return {
        "mean_iou_low": interval and interval.low,
        "mean_iou_high": interval and interval.high,
        "interval": details,
    }


def class_intervals(counts_G3K: np.ndarray, names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """Compute the 95 % intervals of user's and producer's accuracy, by class name.

    They are null as in `share_limits`, and for classes with true pixels in fewer than `MIN_GROUPS_PER_CLASS` groups.
    """
    counts_G3K = labelled_groups(counts_G3K)
    is_scarce_K = (counts_G3K[:, TRUE] > 0).sum(axis=0) < MIN_GROUPS_PER_CLASS
    limits = {}
    for score, whole in (("users_accuracy", PREDICTED), ("producers_accuracy", TRUE)):
        limits_2K = share_limits(counts_G3K[:, HITS], counts_G3K[:, whole])
        for end, limits_K in zip(("low", "high"), limits_2K, strict=True):
            limits[f"{score}_{end}"] = by_name(names, limits_K, ~is_scarce_K & ~np.isnan(limits_K))
    return {name: {key: by_class[name] for key, by_class in limits.items()} for name in names}


def leak_metrics(lists: Path) -> dict[str, Any]:
    """Read the leak that the stage split measured."""
    leak = read_json(lists / "leak.json")
    shares = {key: leak[key] for key in ("leak_share", "leak_share_at_least")}
    return shares | {"split_strategy": leak["strategy"], "fold": leak["fold"]}


def require_fit(model: Model, imagery: Imagery, table: ClassTable) -> None:
    """Check that a model and the chips have the same classes and number of bands; colours may differ.

    Raises:
        PipelineError: they do not.
    """
    of_model, of_chips = model.imagery.bands, imagery.bands
    for what, fits, trained, present in (
        ("classes", model.table.name_of == table.name_of, model.table.name_of, table.name_of),
        ("bands", len(of_model) == len(of_chips), ", ".join(of_model), ", ".join(of_chips)),
    ):
        if not fits:
            raise PipelineError(
                f"the model was trained on the {what} {trained}, the chips have {present}; "
                "train it on these chips first: dvc repro"
            )


def predict(model: Model, chips: Chips, batch_size: int, device: Device) -> PredictionCounts:
    """Count the predictions of a set of chips, with a progress bar.

    Raises:
        PipelineError: a chip cannot be read, or the network runs out of memory.
    """
    workers = loader_workers("auto", device)
    loader = scoring_loader(chips, batch_size, workers, pin_memory=device.name == "cuda")
    try:
        return count_predictions(model, progress(loader, "evaluate", len(loader)), device)
    except (RuntimeError, MemoryError) as error:
        problem = memory_problem(error)
        if problem is None:
            raise
        remedy = "set a smaller one" if batch_size > 1 else "set evaluate.device to cpu"
        raise PipelineError(f"{problem} with evaluate.batch_size {batch_size}; {remedy}") from None


def scores_with_limits(counts_N3K: np.ndarray, counts_G3K: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """Compute the scores of the test chips and of each class, these with their intervals over groups."""
    whole, limits = all_scores(counts_N3K, names), class_intervals(counts_G3K, names)
    return whole | {"classes": {name: scored | limits[name] for name, scored in whole["classes"].items()}}


def model_metrics(trained: Model, device: Device) -> dict[str, Any]:
    """Describe how the model was trained, and in which precision it is scored."""
    return {
        "dataset": trained.data.dataset,
        "architecture": trained.config.architecture,
        "encoder": trained.config.encoder,
        **{key: trained.params[key] for key in ("encoder_weights", "loss", "seed")},
        "model_sha256": trained.digest,
        "arithmetic": {"trained": trained.precision, "scored": device.precision},
    }


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
    """Score MODEL on the CHIPS listed in test.txt of LISTS.

    Writes METRICS, their SUMMARY for DVC, pixel counts by group to UNITS, and PLOTS.
    """
    section = params.evaluate
    keep_freed_memory()
    imagery, table = read_imagery(chips), read_classes(chips / "classes.json")
    trained = load_model(model)
    require_fit(trained, imagery, table)
    device = select_scoring_device(section.device, trained.precision)
    if device.name == "cuda":
        allow_tf32()
    trained.segmenter.eval().to(device.name).to(memory_format=device.memory_format)
    leak, group_of, names = leak_metrics(lists), read_groups(lists), trained.table.names
    test_chips, val_chips = (
        Chips(chips, read_list(lists / f"{part}.txt"), trained.table, len(imagery.bands)) for part in ("test", "val")
    )
    test, val = (predict(trained, part, section.chips_at_once(device), device) for part in (test_chips, val_chips))
    group_N = [group_of[chip] for chip in test_chips.ids]
    groups, counts_G3K = sum_by_group(test.counts_N3K, group_N)
    reliability = Reliability.by_group(test.before_N3B, test.after_N3B, group_N)
    interval = mean_iou_interval(counts_G3K, names)
    result = (
        scores_with_limits(test.counts_N3K, counts_G3K, names)
        | {"calibration": reliability.metrics(trained.calibration)}
        | interval_metrics(interval, len(labelled_groups(counts_G3K)))
        | {"chips": len(test_chips), "test_list": hash_ids(test_chips.ids)}
        | leak
        | {"synthetic": imagery.synthetic, "source": read_origin(chips).source}
        | model_metrics(trained, device)
    )
    source = ExampleSource(trained, test_chips, device)
    with atomic_path(plots) as folder:
        folder.mkdir()
        title = figure_title(result)
        write_plots(folder, test, reliability, names, title)
        draw_example_grids(folder, source, test.counts_N3K, section.examples, title)
        write_predictions(folder / "predictions", source, test.counts_N3K, section.examples, table)
    write_text(units, to_table(groups, counts_G3K, names).to_csv(index=False, lineterminator="\n"))
    write_json(summary, {key: result[key] for key in SUMMARY})
    write_json(metrics, result | {"validation": all_scores(val.counts_N3K, names)})
    return summary_line(result, interval)


def figure_title(result: dict[str, Any]) -> str:
    """Title the figures; synthetic data is marked on each."""
    prefix = "synthetic sample: " if result["synthetic"] else ""
    return f"{prefix}{result['chips']} test chips, mean IoU {result['mean_iou']:.3f}"


def hash_ids(ids: list[str]) -> str:
    """Hash a list of chips with SHA-256: scores on lists with the same hash can be compared."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def summary_line(result: dict[str, Any], interval: Interval | None) -> str:
    """Summarise the score with its interval, the leak, and a precision that differs from training."""
    limits = interval.describe() if interval else "too few independent groups for an interval"
    leak = leak_summary(result["leak_share"], result["leak_share_at_least"])
    trained, scored = result["arithmetic"]["trained"], result["arithmetic"]["scored"]
    fallback = f"; trained in {trained}, scored in {scored}: this device does not support {trained}"
    return (
        f"{result['chips']} test chips, mean IoU {result['mean_iou']:.4f} ({limits}), pixel accuracy "
        f"{result['pixel_accuracy']:.4f}; {leak}{'' if trained == scored else fallback}"
    )


if __name__ == "__main__":
    run(evaluate)
