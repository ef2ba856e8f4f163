"""Does spatial context matter in the sample? The default network compared with a per-pixel random forest.

    make repro && python -m benchmarks.sample_context

Both are trained on the training chips of LandCover.ai's sample and scored on its test chips. Print mean IoU and IoU by
class of both, and the difference.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier

from pipeline.evaluation.test_pass import count_predictions
from pipeline.learning.confusion import confusion_matrix
from pipeline.learning.data import Chips, read_list
from pipeline.learning.device import keep_freed_memory, select_device
from pipeline.learning.loaders import scoring_loader
from pipeline.learning.model import load_model
from pipeline.scoring.counts import counts_of
from pipeline.scoring.scores import scores

CHIPS, LISTS, MODEL = Path("data/chips/landcoverai"), Path("data/split/landcoverai"), Path("data/model")
PIXELS = 200_000
"""Training pixels of the forest."""


def pixels(chips: Chips) -> tuple[np.ndarray, np.ndarray]:
    """Return colours, uint8 (pixels, 3), and class indices, uint8 (pixels,), of all pixels."""
    pairs = [chips[index] for index in range(len(chips))]
    colours = [image_CHW.permute(1, 2, 0).reshape(-1, 3).numpy() for image_CHW, _ in pairs]
    return np.concatenate(colours), np.concatenate([mask_HW.flatten().numpy() for _, mask_HW in pairs])


def fit_forest(train: Chips) -> RandomForestClassifier:
    """Fit 100 trees to `PIXELS` random pixels."""
    colours, classes = pixels(train)
    drawn = np.random.default_rng(0).choice(len(classes), PIXELS, replace=False)
    forest = RandomForestClassifier(100, min_samples_leaf=5, n_jobs=-1, random_state=0)
    return forest.fit(colours[drawn], classes[drawn])


def forest_matrix(forest: RandomForestClassifier, test: Chips, classes: int) -> np.ndarray:
    """Return the confusion matrix of the forest, int64 (true class, predicted class)."""
    colours, truth = pixels(test)
    predicted = torch.from_numpy(forest.predict(colours).astype(np.int64))
    return np.asarray(confusion_matrix(predicted, torch.from_numpy(truth), classes).numpy())


def main() -> None:
    """Print the scores of both."""
    keep_freed_memory()
    model = load_model(MODEL)
    train, test = (Chips(CHIPS, read_list(LISTS / f"{part}.txt"), model.table) for part in ("train", "test"))
    forest = forest_matrix(fit_forest(train), test, len(model.table.classes))
    model.segmenter.eval()
    network = count_predictions(model, scoring_loader(test, 1, 0), select_device("cpu")).matrix_KK
    means = {}
    for name, matrix_KK in (("random forest", forest), ("network", network)):
        result = scores(counts_of(matrix_KK), model.table.names)
        means[name] = result["mean_iou"]
        by_class = (f"{key} {value:.3f}" for key, value in result["iou"].items())
        print(f"{name}: mean IoU {result['mean_iou']:.3f};", *by_class)
    print(f"synthetic sample: network - random forest = {means['network'] - means['random forest']:.3f}")


if __name__ == "__main__":
    main()
