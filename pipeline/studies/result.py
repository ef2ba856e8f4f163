"""What `evaluate` wrote, as a `Result` that can be compared."""

import io

import pandas as pd
from pydantic import BaseModel, FiniteFloat, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.params import first_error
from pipeline.evaluation.verdict import Result
from pipeline.scoring.counts import from_table


class Arithmetic(BaseModel):
    """The precision in which a model was scored."""

    scored: str


class Evaluation(BaseModel):
    """What a comparison needs of metrics/evaluate.json."""

    mean_iou: FiniteFloat | None
    iou: dict[str, float | None]
    test_list: str
    seed: int
    fold: str
    arithmetic: Arithmetic


def parse_result(name: str, evaluate: str, units: str) -> Result:
    """Parse the scores of one training.

    Args:
        name: the revision or experiment, for messages.
        evaluate: contents of metrics/evaluate.json.
        units: contents of metrics/units.csv.

    Raises:
        PipelineError: they are not of the stage `evaluate`, or there is no mean IoU.
    """
    try:
        found = Evaluation.model_validate_json(evaluate)
        # a group or class may be called NA
        table = pd.read_csv(io.StringIO(units), dtype={"unit": str, "class": str}, keep_default_na=False)
        groups, counts_G3K = from_table(table, tuple(found.iou))
    except ValidationError as error:
        raise _not_scores(name, f"evaluate.json ({first_error(error)})") from None
    except (ValueError, KeyError):  # of the table
        raise _not_scores(name, "units.csv") from None
    if found.mean_iou is None:
        raise PipelineError(
            f"{name}: the test chips have no labelled pixel, so there is no mean IoU; evaluate on labelled chips"
        )
    fold = None if found.fold == "none" else found.fold
    precision, classes = found.arithmetic.scored, tuple(found.iou)
    return Result(
        name, found.seed, found.test_list, classes, tuple(groups), counts_G3K, found.mean_iou, precision, fold
    )


def _not_scores(name: str, file: str) -> PipelineError:
    return PipelineError(f"{name}: metrics/{file} is not a file of the stage evaluate; run dvc repro there first")
