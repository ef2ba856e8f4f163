"""Largest deviation of the scores from those of independent libraries, over random and degenerate predictions.

    python -m benchmarks.score_oracles

Libraries: scikit-learn, torchmetrics, segmentation-models-pytorch. Cases: random predictions with ignored pixels, a
single class, absent classes, all pixels ignored.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import segmentation_models_pytorch as smp
import torch
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index

from pipeline.formats.classes import IGNORE
from pipeline.learning.confusion import confusion_matrices
from pipeline.scoring.counts import counts_of
from pipeline.scoring.scores import paper_iou, scores

Case = tuple[np.ndarray, np.ndarray, int]
"""predicted_NHW, target_NHW, both uint8, and the number of classes."""


def ours(case: Case) -> dict[str, float]:
    """Compute our scores by name, without those that are null."""
    predicted, target, classes = case
    matrix_NKK = confusion_matrices(torch.from_numpy(predicted), torch.from_numpy(target), classes).numpy()
    counts_N3K = counts_of(matrix_NKK)
    result = scores(counts_N3K.sum(axis=0), tuple(map(str, range(classes)))) | {"paper_iou": paper_iou(counts_N3K)}
    by_class = {f"iou {name}": value for name, value in result.pop("iou").items()}
    return {key: value for key, value in (result | by_class).items() if value is not None and key != "classes_scored"}


def by_sklearn(case: Case) -> dict[str, float]:
    """Compute the scores with scikit-learn, on labelled pixels and the classes present."""
    predicted, target, _ = case
    truth, prediction = target[target != IGNORE], predicted[target != IGNORE]
    if not len(truth):
        return {}
    present = np.unique(truth)
    mean = {"average": "macro", "labels": present, "zero_division": 0}
    weighted = {"average": "weighted", "labels": present, "zero_division": 0}
    by_class = metrics.jaccard_score(truth, prediction, average=None, labels=present, zero_division=0)
    return {
        "mean_iou": metrics.jaccard_score(truth, prediction, **mean),
        "micro_iou": metrics.jaccard_score(truth, prediction, average="micro"),
        "frequency_weighted_iou": metrics.jaccard_score(truth, prediction, **weighted),
        "pixel_accuracy": metrics.accuracy_score(truth, prediction),
        "precision": metrics.precision_score(truth, prediction, **mean),
        "recall": metrics.recall_score(truth, prediction, **mean),
        "f_score": metrics.f1_score(truth, prediction, **mean),
    } | {f"iou {name}": float(value) for name, value in zip(present, by_class, strict=True)}


def by_torchmetrics(case: Case) -> dict[str, float]:
    """Compute the scores with torchmetrics; its macro means average other classes, so only IoU by class."""
    predicted, target, classes = case
    if (target == IGNORE).all():
        return {}
    pair = torch.from_numpy(predicted).long(), torch.from_numpy(target).long()
    by_class = multiclass_jaccard_index(*pair, classes, average="none", ignore_index=IGNORE)
    present = np.unique(target[target != IGNORE]).tolist()
    accuracy = multiclass_accuracy(*pair, classes, average="micro", ignore_index=IGNORE)
    return {"pixel_accuracy": float(accuracy)} | {f"iou {number}": float(by_class[number]) for number in present}


def by_smp(case: Case) -> dict[str, float]:
    """Compute micro IoU over all pixels and `paper_iou` with segmentation-models-pytorch."""
    predicted, target, classes = case
    if (target == IGNORE).all():
        return {}

    def micro(rows: slice) -> float:
        # its `ignore_index` still counts ignored pixels as false positives, so remove them
        counted = target[rows] != IGNORE
        pair = torch.from_numpy(predicted[rows][counted])[None].long(), torch.from_numpy(target[rows][counted])[None]
        stats = smp.metrics.get_stats(pair[0], pair[1].long(), mode="multiclass", num_classes=classes)
        return float(smp.metrics.iou_score(*stats, reduction="micro"))

    batches = [slice(start, start + 32) for start in range(0, len(target), 32)]
    counted = [rows for rows in batches if (target[rows] != IGNORE).any()]
    return {"micro_iou": micro(slice(None)), "paper_iou": float(np.mean([micro(rows) for rows in counted]))}


ORACLES = {"scikit-learn": by_sklearn, "torchmetrics": by_torchmetrics, "segmentation-models-pytorch": by_smp}


def deviations(case: Case) -> dict[str, float]:
    """Return the largest difference from our scores, by library."""
    expected = ours(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = {name: oracle(case) for name, oracle in ORACLES.items()}
    return {
        name: max((abs(float(value) - expected[score]) for score, value in result.items()), default=0.0)
        for name, result in results.items()
    }


def random_case(seed: int) -> Case:
    """Draw a few chips with partly correct predictions, absent classes and ignored pixels."""
    random = np.random.default_rng(seed)
    classes, chips = int(random.integers(2, 9)), int(random.integers(1, 80))
    present = random.choice(classes, int(random.integers(1, classes + 1)), replace=False)
    target = random.choice(present, (chips, 5, 7)).astype(np.uint8)
    correct = random.random(target.shape) < random.random()
    predicted = np.where(correct, target, random.integers(0, classes, target.shape)).astype(np.uint8)
    target[random.random(target.shape) < random.choice([0, 0.3, 0.95])] = IGNORE
    return predicted, target, classes


def degenerate_cases() -> Iterator[Case]:
    """Yield a single class, all correct and all wrong; all pixels ignored; a class predicted but absent."""
    ones = np.ones((33, 2, 2), np.uint8)
    yield ones, ones, 2
    yield ones, 0 * ones, 2
    yield ones, 0 * ones + IGNORE, 3
    yield np.arange(132, dtype=np.uint8).reshape(33, 2, 2) % 3, ones, 3


def main() -> None:
    """Print the largest deviation from each library."""
    cases = [*degenerate_cases(), *map(random_case, range(1000))]
    by_case = [deviations(case) for case in cases]
    for name in ORACLES:
        print(f"{name}: largest deviation {max(largest[name] for largest in by_case):.1e} over {len(cases)} cases")


if __name__ == "__main__":
    main()
