"""Choose the chips to show, and draw them with their predictions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.figures import Example, draw_errors, draw_examples
from pipeline.evaluation.intervals import mean_iou
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.formats.classes import IGNORE
from pipeline.learning.confusion import argmax
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.model import Model
from pipeline.scoring.counts import TRUE


@dataclass(frozen=True)
class ExampleSource:
    """Chips, and the network that predicts them."""

    model: Model
    chips: Chips
    device: Device
    """Where the network is."""

    def examples(self, indices: list[int]) -> list[Example]:
        """Predict chips by index."""
        ids_of = np.full(256, IGNORE, np.uint8)
        ids_of[: len(self.model.table.ids)] = self.model.table.ids
        examples = []
        for index in indices:
            image_CHW, mask_HW = self.chips[index]
            predicted_HW = argmax(self.model.segmenter.predict_logits(image_CHW[None], self.device))[0].cpu().numpy()
            image_HWC = image_CHW[:IMAGE_BANDS].permute(1, 2, 0).numpy()
            examples.append(Example(self.chips.ids[index], image_HWC, ids_of[mask_HW.numpy()], ids_of[predicted_HW]))
        return examples


def draw_example_grids(folder: Path, source: ExampleSource, counts_N3K: np.ndarray, count: int, title: str) -> None:
    """Draw examples spread over the list, the best and the worst chips, and the errors class by class.

    Args:
        folder: for the images.
        source: the chips and the network.
        counts_N3K: by chip; see `pipeline.scoring.counts`.
        count: chips in a grid.
        title: of each grid.
    """
    table = source.model.table
    order = order_by_iou(counts_N3K)
    grids = {
        "examples": np.unique(np.linspace(0, len(counts_N3K) - 1, count).round().astype(int)).tolist(),
        "best": order[::-1][:count],
        "worst": order[:count],
    }
    richest = {name: index for name, index in zip(table.names, richest_chips(counts_N3K), strict=True) if index >= 0}
    indices = sorted({*richest.values(), *(index for grid in grids.values() for index in grid)})
    examples = dict(zip(indices, source.examples(indices), strict=True))
    for name, grid in grids.items():
        heading = title if name == "examples" else f"{name} chips by their own mean IoU\n{title}"
        draw_examples(folder / f"{name}.png", [examples[index] for index in grid], table, heading)
    by_class = [(name, examples[index]) for name, index in richest.items()]
    draw_errors(folder / "errors.png", by_class, table, f"errors by class\n{title}")


def order_by_iou(counts_N3K: np.ndarray) -> list[int]:
    """Sort the indices of chips by their own mean IoU, worst first; omit chips without labelled pixels."""
    iou = [float(mean_iou(counts_3K, counts_3K[TRUE] > 0)) for counts_3K in counts_N3K]
    labelled = [index for index, score in enumerate(iou) if not np.isnan(score)]
    return sorted(labelled, key=lambda index: iou[index])


def richest_chips(counts_N3K: np.ndarray) -> list[int]:
    """Return by class the index of the chip with most pixels of it, the first on a tie; -1 if no chip has any."""
    true_NK = counts_N3K[:, TRUE]
    return [int(true_N.argmax()) if true_N.any() else -1 for true_N in true_NK.T]
