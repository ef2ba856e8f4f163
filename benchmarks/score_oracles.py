"""The largest deviation of the scores from independent libraries, over random and degenerate predictions.

    python -m benchmarks.score_oracles

Oracles: scikit-learn, torchmetrics, segmentation-models-pytorch. Cases: random ones with ignored pixels, one class
alone, absent classes, everything ignored, and counts far beyond what a set of chips holds.
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
    """Our scores of a case, by name; those that are null are left out."""
    predicted, target, classes = case
    matrix_NKK = confusion_matrices(torch.from_numpy(predicted), torch.from_numpy(target), classes).numpy()
    counts_N3K = counts_of(matrix_NKK)
    found = scores(counts_N3K.sum(axis=0), tuple(map(str, range(classes)))) | {"paper_iou": paper_iou(counts_N3K)}
    each = {f"iou {name}": value for name, value in found.pop("iou").items()}
    return {name: value for name, value in (found | each).items() if value is not None and name != "classes_scored"}


def by_sklearn(case: Case) -> dict[str, float]:
    """scikit-learn, given only the pixels that count, and the classes that have some."""
    predicted, target, _ = case
    truth, found = target[target != IGNORE], predicted[target != IGNORE]
    if not len(truth):
        return {}
    there = np.unique(truth)
    mean = {"average": "macro", "labels": there, "zero_division": 0}
    weighted = {"average": "weighted", "labels": there, "zero_division": 0}
    each = metrics.jaccard_score(truth, found, average=None, labels=there, zero_division=0)
    return {
        "mean_iou": metrics.jaccard_score(truth, found, **mean),
        "micro_iou": metrics.jaccard_score(truth, found, average="micro"),
        "frequency_weighted_iou": metrics.jaccard_score(truth, found, **weighted),
        "pixel_accuracy": metrics.accuracy_score(truth, found),
        "precision": metrics.precision_score(truth, found, **mean),
        "recall": metrics.recall_score(truth, found, **mean),
        "f_score": metrics.f1_score(truth, found, **mean),
    } | {f"iou {name}": float(value) for name, value in zip(there, each, strict=True)}


def by_torchmetrics(case: Case) -> dict[str, float]:
    """torchmetrics, which knows how to ignore; its macro means take other classes, so class by class."""
    predicted, target, classes = case
    if (target == IGNORE).all():
        return {}
    pair = torch.from_numpy(predicted).long(), torch.from_numpy(target).long()
    each = multiclass_jaccard_index(*pair, classes, average="none", ignore_index=IGNORE)
    there = np.unique(target[target != IGNORE]).tolist()
    accuracy = multiclass_accuracy(*pair, classes, average="micro", ignore_index=IGNORE)
    return {"pixel_accuracy": float(accuracy)} | {f"iou {number}": float(each[number]) for number in there}


def by_smp(case: Case) -> dict[str, float]:
    """segmentation-models-pytorch: micro scores over all pixels, and the study's own quantity, batch by batch."""
    predicted, target, classes = case
    if (target == IGNORE).all():
        return {}

    def micro(rows: slice) -> float:
        # its own `ignore_index` lets an ignored pixel stay a false positive, so those pixels are taken out before
        counted = target[rows] != IGNORE
        pair = torch.from_numpy(predicted[rows][counted])[None].long(), torch.from_numpy(target[rows][counted])[None]
        stats = smp.metrics.get_stats(pair[0], pair[1].long(), mode="multiclass", num_classes=classes)
        return float(smp.metrics.iou_score(*stats, reduction="micro"))

    batches = [slice(start, start + 32) for start in range(0, len(target), 32)]
    counted = [rows for rows in batches if (target[rows] != IGNORE).any()]
    return {"micro_iou": micro(slice(None)), "paper_iou": float(np.mean([micro(rows) for rows in counted]))}


ORACLES = {"scikit-learn": by_sklearn, "torchmetrics": by_torchmetrics, "segmentation-models-pytorch": by_smp}


def deviations(case: Case) -> dict[str, float]:
    """For each oracle the largest difference from our scores."""
    found = ours(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = {name: oracle(case) for name, oracle in ORACLES.items()}
    return {
        name: max((abs(float(value) - found[score]) for score, value in theirs.items()), default=0.0)
        for name, theirs in said.items()
    }


def random_case(seed: int) -> Case:
    """A few chips; predictions that are often right, some classes absent, some pixels ignored."""
    random = np.random.default_rng(seed)
    classes, chips = int(random.integers(2, 9)), int(random.integers(1, 80))
    present = random.choice(classes, int(random.integers(1, classes + 1)), replace=False)
    target = random.choice(present, (chips, 5, 7)).astype(np.uint8)
    right = random.random(target.shape) < random.random()
    predicted = np.where(right, target, random.integers(0, classes, target.shape)).astype(np.uint8)
    target[random.random(target.shape) < random.choice([0, 0.3, 0.95])] = IGNORE
    return predicted, target, classes


def degenerate_cases() -> Iterator[Case]:
    """One class alone, never or always right; all ignored; a class that is predicted but not there."""
    ones = np.ones((33, 2, 2), np.uint8)
    yield ones, ones, 2
    yield ones, 0 * ones, 2
    yield ones, 0 * ones + IGNORE, 3
    yield np.arange(132, dtype=np.uint8).reshape(33, 2, 2) % 3, ones, 3


def main() -> None:
    """Print the largest deviation from each oracle."""
    cases = [*degenerate_cases(), *map(random_case, range(1000))]
    found = [deviations(case) for case in cases]
    for name in ORACLES:
        print(f"{name}: largest deviation {max(each[name] for each in found):.1e} over {len(cases)} cases")


if __name__ == "__main__":
    main()
