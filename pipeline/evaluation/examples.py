"""Which chips to show, and what the model makes of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.figures import Example, draw_errors, draw_examples
from pipeline.evaluation.intervals import mean_iou
from pipeline.evaluation.test_pass import logits_of
from pipeline.formats.classes import IGNORE
from pipeline.learning.confusion import argmax
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.model import Model
from pipeline.scoring.counts import TRUE


@dataclass(frozen=True)
class Gallery:
    """Chips that a network can be shown on."""

    model: Model
    chips: Chips
    device: Device
    """Where the network is."""

    def examples(self, chosen: list[int]) -> list[Example]:
        """Chips by their place in the list, with their predictions."""
        ids_of = np.full(256, IGNORE, np.uint8)
        ids_of[: len(self.model.table.ids)] = self.model.table.ids
        shown = []
        for index in chosen:
            image_CHW, mask_HW = self.chips[index]
            predicted_HW = argmax(logits_of(self.model, image_CHW[None], self.device))[0].cpu().numpy()
            image_HWC = image_CHW.permute(1, 2, 0).numpy()
            shown.append(Example(self.chips.ids[index], image_HWC, ids_of[mask_HW.numpy()], ids_of[predicted_HW]))
        return shown


def show_chips(folder: Path, gallery: Gallery, counts_N3K: np.ndarray, number: int, title: str) -> None:
    """Draw examples spread over the list, the best and the worst chips, and the errors class by class.

    Args:
        folder: where the pictures go.
        gallery: the test chips and the network.
        counts_N3K: of each chip; see `pipeline.scoring.counts`.
        number: chips in a grid.
        title: over each grid.
    """
    table = gallery.model.table
    order = by_score(counts_N3K)
    grids = {
        "examples": np.unique(np.linspace(0, len(counts_N3K) - 1, number).round().astype(int)).tolist(),
        "best": order[::-1][:number],
        "worst": order[:number],
    }
    richest = {name: index for name, index in zip(table.names, most_of(counts_N3K), strict=True) if index >= 0}
    wanted = sorted({*richest.values(), *(index for chosen in grids.values() for index in chosen)})
    shown = dict(zip(wanted, gallery.examples(wanted), strict=True))
    for name, chosen in grids.items():
        what = title if name == "examples" else f"{name} chips by their own mean IoU\n{title}"
        draw_examples(folder / f"{name}.png", [shown[index] for index in chosen], table, what)
    pairs = [(name, shown[index]) for name, index in richest.items()]
    draw_errors(folder / "errors.png", pairs, table, f"errors by class\n{title}")


def by_score(counts_N3K: np.ndarray) -> list[int]:
    """Chips by their own mean IoU over the classes that they have, the worst first; without those that have none."""
    own = [float(mean_iou(counts_3K, counts_3K[TRUE] > 0)) for counts_3K in counts_N3K]
    there = [index for index, score in enumerate(own) if not np.isnan(score)]
    return sorted(there, key=lambda index: own[index])


def most_of(counts_N3K: np.ndarray) -> list[int]:
    """For each class the chip with most pixels of it, the first on a tie; -1 for a class that is in none."""
    true_NK = counts_N3K[:, TRUE]
    return [int(true_N.argmax()) if true_N.any() else -1 for true_N in true_NK.T]
