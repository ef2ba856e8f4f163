"""Choose the chips to show; draw them with their predictions, or write them as images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.figures import Example, draw_errors, draw_examples
from pipeline.evaluation.intervals import mean_iou
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.formats.classes import IGNORE, ClassTable, write_classes
from pipeline.formats.png import write_image, write_mask
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
    richest = {table.names[number]: index for number, index in richest_chips(counts_N3K).items()}
    indices = sorted({*richest.values(), *(index for grid in grids.values() for index in grid)})
    examples = dict(zip(indices, source.examples(indices), strict=True))
    for name, grid in grids.items():
        heading = title if name == "examples" else f"{name} chips by their own mean IoU\n{title}"
        draw_examples(folder / f"{name}.png", [examples[index] for index in grid], table, heading)
    by_class = [(name, examples[index]) for name, index in richest.items()]
    draw_errors(folder / "errors.png", by_class, table, f"errors by class\n{title}")


def write_predictions(
    folder: Path, source: ExampleSource, counts_N3K: np.ndarray, count: int, table: ClassTable
) -> None:
    """Write chips that depend on the test set alone, to be shown beside the predictions of other models.

        images/ID.png        8-bit RGB
        targets/ID.png       8-bit palette: the pixel is the class id, 255 is *ignore*
        predictions/ID.png   8-bit palette, predicted everywhere
        classes.json         as in a chips folder

    Args:
        folder: created.
        source: the chips and the network.
        counts_N3K: by chip; only true pixels are used.
        count: chips to write, at most.
        table: classes of the chips, whose colours may differ from the model's.
    """
    for name in ("images", "targets", "predictions"):
        (folder / name).mkdir(parents=True)
    for example in source.examples(fixed_chips(counts_N3K, count)):
        write_image(folder / "images" / f"{example.id}.png", np.ascontiguousarray(example.image_HWC))
        write_mask(folder / "targets" / f"{example.id}.png", example.target_HW, table)
        write_mask(folder / "predictions" / f"{example.id}.png", example.predicted_HW, table)
    write_classes(folder / "classes.json", table)


def fixed_chips(counts_N3K: np.ndarray, count: int) -> list[int]:
    """Choose chips by their true pixels alone: indices without repetition, fewer than `count` if there are fewer chips.

    First the richest chip of each class, the rarest class first; then chips spread evenly over the rest of the list.
    """
    pixels_K = counts_N3K[:, TRUE].sum(axis=0)
    richest = richest_chips(counts_N3K)
    by_rarity = sorted(richest, key=lambda number: int(pixels_K[number]))
    chosen = list(dict.fromkeys(richest[number] for number in by_rarity))[:count]
    others = [index for index in range(len(counts_N3K)) if index not in chosen]
    missing = min(count - len(chosen), len(others))
    return chosen + [others[position] for position in np.linspace(0, len(others) - 1, missing).round().astype(int)]


def order_by_iou(counts_N3K: np.ndarray) -> list[int]:
    """Sort the indices of chips by their own mean IoU, worst first; omit chips without labelled pixels."""
    labelled = np.flatnonzero(counts_N3K[:, TRUE].any(axis=1)).tolist()
    return sorted(labelled, key=lambda index: float(mean_iou(counts_N3K[index], counts_N3K[index, TRUE] > 0)))


def richest_chips(counts_N3K: np.ndarray) -> dict[int, int]:
    """Map the index of each class that occurs to that of the chip with most of its pixels, the first on a tie."""
    return {number: int(true_N.argmax()) for number, true_N in enumerate(counts_N3K[:, TRUE].T) if true_N.any()}
