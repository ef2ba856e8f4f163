"""Scores a trained model on the test chips."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from pipeline.chips import read_imagery
from pipeline.classes import IGNORE, ClassTable, read_classes
from pipeline.command import progress, run
from pipeline.errors import PipelineError
from pipeline.files import published, write_json, write_text
from pipeline.learning.data import Chips, plain_errors, read_list, scoring_loader
from pipeline.learning.device import Device, DeviceName, choose, keep_freed_memory, reading_workers
from pipeline.learning.model import Model, load_model
from pipeline.learning.pictures import Example, draw_confusion, draw_examples
from pipeline.learning.scores import confusion, scores
from pipeline.params import Params


class EvaluateSection(Params):
    """`evaluate` of params.yaml."""

    batch_size: int = Field(gt=0)
    """Chips at a time; changes no score."""
    pictures: int = Field(gt=0)
    """Chips in the grid image · target · prediction."""
    device: DeviceName


class EvaluateParams(Params):
    """What `evaluate` reads of params.yaml."""

    evaluate: EvaluateSection


def predict(model: Model, images_NCHW: torch.Tensor, device: Device) -> torch.Tensor:
    """The likeliest class of each pixel: indices in the model's table, int64 (N, H, W), on the device."""
    with torch.inference_mode(), device.autocast():
        images = images_NCHW.to(device.name).contiguous(memory_format=device.memory_format)
        logits_NKHW: torch.Tensor = model.segmenter(images)
    return logits_NKHW.argmax(dim=1)


def count(model: Model, chips: Chips, batch_size: int, device: Device) -> np.ndarray:
    """One confusion matrix over all `chips`, int64 (true class, predicted class)."""
    classes = len(model.table.classes)
    total = torch.zeros(classes, classes, dtype=torch.int64, device=device.name)
    loader = scoring_loader(chips, batch_size, reading_workers("auto", device))
    with plain_errors():
        for images, masks in progress(loader, "evaluate", len(loader)):
            total += confusion(predict(model, images, device), masks.to(device.name), classes)
    return np.asarray(total.cpu().numpy())


def examples(model: Model, chips: Chips, number: int, device: Device) -> list[Example]:
    """Up to `number` chips, evenly spread over the list, with their predictions."""
    ids_of = np.full(256, IGNORE, np.uint8)
    ids_of[: len(model.table.ids)] = model.table.ids
    shown = []
    for index in np.unique(np.linspace(0, len(chips) - 1, number).round().astype(int)).tolist():
        image_CHW, mask_HW = chips[index]
        predicted_HW = predict(model, image_CHW[None], device)[0].cpu().numpy()
        image_HWC = image_CHW.permute(1, 2, 0).numpy()
        shown.append(Example(chips.ids[index], image_HWC, ids_of[mask_HW.numpy()], ids_of[predicted_HW]))
    return shown


def require_same_classes(trained: ClassTable, present: ClassTable) -> None:
    """Check that a model and the chips speak of the same classes.

    Raises:
        PipelineError: they do not.
    """
    models, chips = (dict(zip(table.ids, table.names, strict=True)) for table in (trained, present))
    if models != chips:
        raise PipelineError(
            f"the model was trained on the classes {models}, the chips have {chips}; "
            "train it on these chips first: dvc repro"
        )


def evaluate(model: Path, chips: Path, lists: Path, metrics: Path, plots: Path, params: EvaluateParams) -> str:
    """Score MODEL on those CHIPS that test.txt of LISTS names; write METRICS, and pictures to PLOTS."""
    section, device = params.evaluate, choose(params.evaluate.device)
    keep_freed_memory()
    trained, synthetic = load_model(model), read_imagery(chips).synthetic
    require_same_classes(trained.table, read_classes(chips / "classes.json"))
    trained.segmenter.eval().to(device.name).to(memory_format=device.memory_format)
    test = Chips(chips, read_list(lists / "test.txt"), trained.table)
    matrix_KK = count(trained, test, section.batch_size, device)
    names = trained.table.names
    result: dict[str, Any] = scores(matrix_KK, names)
    title = f"{'synthetic sample: ' if synthetic else ''}{len(test)} test chips, mean IoU {result['mean_iou']:.3f}"
    with published(plots) as folder:
        folder.mkdir()
        draw_confusion(folder / "confusion.png", matrix_KK, names, title)
        draw_examples(folder / "examples.png", examples(trained, test, section.pictures, device), trained.table, title)
        table = pd.DataFrame(matrix_KK, index=pd.Index(names, name="true class"), columns=names)
        write_text(folder / "confusion.csv", table.to_csv(lineterminator="\n"))
    write_json(metrics, {"synthetic": synthetic, "chips": len(test)} | result)
    return f"{len(test)} chips in, mean IoU {result['mean_iou']:.4f}, pixel accuracy {result['pixel_accuracy']:.4f}"


if __name__ == "__main__":
    run(evaluate)
