"""What `evaluate` wrote, as a `Result` that can be compared."""

import io
import json

import pandas as pd
import yaml

from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Result
from pipeline.scoring.counts import from_table


def parse_result(name: str, evaluate: str, units: str, params: str) -> Result:
    """Parse the scores of one training.

    Args:
        name: the revision or experiment, for messages.
        evaluate: contents of metrics/evaluate.json.
        units: contents of metrics/units.csv.
        params: contents of params.yaml.

    Raises:
        PipelineError: an older version wrote them, or there is no mean IoU.
    """
    metrics = json.loads(evaluate)
    if "test_list" not in metrics:  # by an older version
        raise PipelineError(f"{name}: metrics/evaluate.json lacks test_list; run dvc repro there first")
    if metrics["mean_iou"] is None:
        raise PipelineError(
            f"{name}: the test chips have no labelled pixel, so there is no mean IoU; evaluate on labelled chips"
        )
    classes = tuple(metrics["iou"])
    # a group or class may be called NA
    table = pd.read_csv(io.StringIO(units), dtype={"unit": str, "class": str}, keep_default_na=False)
    groups, counts_G3K = from_table(table, classes)
    seed = metrics.get("seed")
    if seed is None:  # not in older versions; newer ones record it, as params of the workspace may have changed since
        seed = int(yaml.safe_load(params)["seed"])
    precision = metrics.get("arithmetic", {}).get("scored", "an unrecorded precision")  # not in older versions
    score = float(metrics["mean_iou"])
    fold = metrics.get("fold", "none")  # not in older versions
    fold = None if fold == "none" else fold
    return Result(name, seed, metrics["test_list"], classes, tuple(groups), counts_G3K, score, precision, fold)
