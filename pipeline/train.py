"""Trains a segmentation network on the chips of one dataset."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from pydantic import Field

from pipeline.chips import pixels_of, read_chips, read_imagery
from pipeline.classes import ClassTable, read_classes
from pipeline.command import run
from pipeline.errors import PipelineError
from pipeline.files import published, write_json
from pipeline.learning.cost import cost
from pipeline.learning.data import Chips, read_list, scoring_loader, training_loader
from pipeline.learning.device import choose, keep_freed_memory, reading_workers
from pipeline.learning.fit import Keeper, fit
from pipeline.learning.losses import LossName
from pipeline.learning.model import Architecture, build, describe, expect, save_model
from pipeline.learning.task import Recipe, Task
from pipeline.learning.watch import Watch
from pipeline.params import Params


class TrainParams(Params):
    """What `train` reads of params.yaml."""

    architecture: str
    encoder: str
    encoder_weights: str = Field(min_length=1)
    loss: LossName
    seed: int = Field(ge=0, lt=2**32)
    """Of the weights, the order of the chips and their flips."""
    train: Recipe

    def design(self, table: ClassTable) -> Architecture:
        """The network for a table of classes."""
        return Architecture(self.architecture, self.encoder, len(table.classes))


def ground(chips: Path) -> dict[str, Any]:
    """The sizes of chips (px) and of pixels (units of the CRS) that a model sees.

    Raises:
        PipelineError: chips that cannot be turned, halved five times, or put into one batch.
    """
    frame = read_chips(chips)
    sizes = sorted({(int(height), int(width)) for height, width in zip(frame["height"], frame["width"], strict=True)})
    if len(sizes) != 1 or sizes[0][0] != sizes[0][1] or sizes[0][0] % 32:
        given = ", ".join(f"{height} x {width}" for height, width in sizes[:5])
        raise PipelineError(f"{chips} holds chips of {given} px; train takes squares of one size, a multiple of 32")
    return {"chip_sizes": [sizes[0][0]], "pixel_sizes": sorted({float(size) for size in frame["pixel_size"].dropna()})}


def class_shares(chips: Path, ids: list[str], table: ClassTable) -> list[float]:
    """The share of each class in the labelled pixels of some chips, in the order of the table."""
    frame = read_chips(chips)
    pixels = frame.loc[frame["id"].isin(ids), [pixels_of(class_id) for class_id in table.ids]].sum()
    return [float(share) for share in pixels / pixels.sum()]


def report(keeper: Keeper) -> dict[str, Any]:
    """`metrics/train.json`: the best epoch's scores."""
    assert keeper.best is not None
    return {"best_epoch": keeper.best.number, "train": keeper.best.train, "val": keeper.best.val}


def train(
    chips: Path, lists: Path, model: Path, metrics: Path, cost_file: Path, plots: Path, params: TrainParams
) -> str:
    """Train on the chips CHIPS that the LISTS name; write the MODEL, its METRICS, its COST and curves to PLOTS."""
    table, recipe, seen_ground = read_classes(chips / "classes.json"), params.train, ground(chips)
    device = choose(recipe.device)
    keep_freed_memory()
    parts = {part: Chips(chips, read_list(lists / f"{part}.txt"), table) for part in ("train", "val")}
    L.seed_everything(params.seed, verbose=False)
    segmenter = build(params.design(table), params.encoder_weights)
    expect(segmenter, class_shares(chips, parts["train"].ids, table))
    task = Task(segmenter, table.names, params.loss, recipe, params.seed)
    workers = reading_workers(recipe.workers, device)
    loaders = (
        training_loader(parts["train"], recipe.batch_size, workers, params.seed),
        scoring_loader(parts["val"], recipe.batch_size, workers),
    )
    seen = sum(map(len, parts.values()))
    with published(plots) as curves, published(model) as folder:
        watch = Watch(curves, seen)
        began = time.monotonic()
        try:
            keeper = fit(task, loaders, device, watch)
        finally:
            watch.close()
        seconds = time.monotonic() - began
        folder.mkdir()
        said = describe(params.design(table), table, read_imagery(chips), **seen_ground, params=params.model_dump())
        save_model(folder, segmenter, said)
    write_json(metrics, report(keeper))
    write_json(cost_file, cost(device, seconds, seen * recipe.epochs))
    best = report(keeper)
    outcome = (
        f"best epoch {best['best_epoch']} of {recipe.epochs} with validation mean IoU {best['val']['mean_iou']:.4f}"
    )
    return f"{len(parts['train'])} chips in, {len(parts['val'])} to validate, {outcome}"


if __name__ == "__main__":
    run(train)
