"""Scores are taken only if they are the model's own, and every dataset's licence has its SPDX identifier."""

import json

import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.datasets import DATASETS, licence
from pipeline.publishing.publication import parse_scores
from tests.publishing.world import SCORES, data, model, publication


def test_own_scores_are_taken() -> None:
    assert parse_scores(json.dumps(SCORES | {"more": 1}), "a.json", model()).mean_iou == SCORES["mean_iou"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps(SCORES | {"mean_iou": "good"}),
            r"^a.json is not a file of the stage evaluate \(mean_iou: Input sho",
        ),
        (json.dumps(SCORES | {"classes": {}}), r"\(Value error, iou and classes have different classes\)"),
        (json.dumps(SCORES | {"calibration": {}}), r"\(calibration.error_before is missing\)"),
        ("[1]", r"^a.json is not a file of the stage evaluate \(Input should be an object\); run `dvc repro ev"),
        ("{", r"^a.json is not a file of the stage evaluate \(Invalid JSON"),
    ],
)
def test_other_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        parse_scores(text, "a.json", model())


SPDX = {"landcoverai": "CC-BY-NC-SA-4.0", "landcovernet": "CC-BY-4.0", "ghana": "CC-BY-SA-4.0"}


@pytest.mark.parametrize("dataset", DATASETS)
def test_licences_of_all_datasets_have_identifiers(dataset: str) -> None:
    found = {
        source: publication(data=data(dataset, source, licence(dataset, source))).spdx  # type: ignore[arg-type]
        for source in ("archive", "sample", "local")
    }
    assert found == {"archive": SPDX[dataset], "sample": "MIT", "local": None}
