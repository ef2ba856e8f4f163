"""What `evaluate` wrote, as a `Result` that can be compared."""

import io
import json

import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Result
from pipeline.scoring.counts import from_table


def parse_result(name: str, evaluate: str, units: str) -> Result:
    """Parse the scores of one training.

    Args:
        name: the revision or experiment, for messages.
        evaluate: contents of metrics/evaluate.json.
        units: contents of metrics/units.csv.

    Raises:
        PipelineError: a score is missing, or there is no mean IoU.
    """
    try:
        metrics = json.loads(evaluate)
        score, test_list, classes = metrics["mean_iou"], metrics["test_list"], tuple(metrics["iou"])
        seed, fold, precision = metrics["seed"], metrics["fold"], metrics["arithmetic"]["scored"]
    except (ValueError, TypeError):
        raise PipelineError(
            f"{name}: metrics/evaluate.json is not a file of the stage evaluate; run dvc repro there first"
        ) from None
    except KeyError as error:
        missing = error.args[0]
        raise PipelineError(f"{name}: metrics/evaluate.json lacks {missing}; run dvc repro there first") from None
    if score is None:
        raise PipelineError(
            f"{name}: the test chips have no labelled pixel, so there is no mean IoU; evaluate on labelled chips"
        )
    # a group or class may be called NA
    table = pd.read_csv(io.StringIO(units), dtype={"unit": str, "class": str}, keep_default_na=False)
    groups, counts_G3K = from_table(table, classes)
    fold = None if fold == "none" else fold
    return Result(name, seed, test_list, classes, tuple(groups), counts_G3K, score, precision, fold)
