"""Trains a segmentation network on the chips of one dataset."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
from pydantic import Field

from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path, sha256, write_json
from pipeline.core.fingerprint import digest, source_digest, versions
from pipeline.core.params import Params
from pipeline.formats.chips import class_column, read_chips, read_imagery
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.learning.checkpoint import State, resumable
from pipeline.learning.cost import PACKAGES, cost
from pipeline.learning.data import BatchPlan, Chips, read_list, scoring_loader, training_loader
from pipeline.learning.device import Device, choose, hardware, keep_freed_memory, reading_workers
from pipeline.learning.distributed import Ranks, rank_zero_errors, ranks
from pipeline.learning.fit import BestEpoch, fit
from pipeline.learning.hub import hub_is_there
from pipeline.learning.losses import LOSSES, Loss, LossConfig, LossName, class_weights
from pipeline.learning.model import (
    Architecture,
    Segmenter,
    build,
    describe,
    designed,
    freeze_unused,
    init_prior_bias,
    save_model,
)
from pipeline.learning.preemption import PreemptedError, stoppable
from pipeline.learning.progress import watching
from pipeline.learning.task import Task, TrainConfig

Parts = dict[str, Chips]
"""`train` and `val`."""

LEARNING_CODE = (
    *("train", "formats.chips", "formats.classes", "formats.png", "scoring.counts", "scoring.scores"),
    *(f"learning.{name}" for name in ("augment", "checkpoint", "confusion", "data", "device", "distributed")),
    *(f"learning.{name}" for name in ("fit", "losses", "model", "task", "weights")),
)
"""The modules whose code decides what a training comes to; an edit to another one does not start it afresh."""


@dataclass(frozen=True)
class Place:
    """Where a training runs: on which kind of device, and as which of its processes."""

    device: Device
    ranks: Ranks


class TrainParams(Params):
    """What `train` reads of params.yaml."""

    architecture: str
    encoder: str
    encoder_weights: str = Field(min_length=1)
    loss: LossName
    seed: int = Field(ge=0, lt=2**32)
    """Of the weights, the order of the chips and their flips."""
    train: TrainConfig

    @property
    def place(self) -> Place:
        """Where a training runs on this machine, or in this process of it.

        Raises:
            PipelineError: there is no such device, or not as many.
        """
        recipe = self.train
        device = choose(recipe.device, recipe.precision)
        return Place(device, ranks(recipe.devices, device, recipe.batch_size, recipe.accumulate))

    def design(self, table: ClassTable) -> Architecture:
        """The network for a table of classes."""
        return designed(self.architecture, self.encoder, self.encoder_weights, len(table.classes))

    @property
    def online(self) -> bool:
        """Whether weights can be fetched, if any are to be."""
        return self.encoder_weights == "imagenet" and hub_is_there()

    def build_loss(self, pixels: Sequence[int]) -> Loss:
        """The loss for training chips with so many pixels of each class."""
        recipe = self.train
        alpha = None if recipe.alpha == "none" else recipe.alpha
        return LOSSES[self.loss](LossConfig(recipe.gamma, alpha, class_weights(recipe.class_weights, pixels)))


@dataclass(frozen=True)
class Trained:
    """What came out: the network with the weights of its best epoch, and all epochs."""

    segmenter: Segmenter
    keeper: BestEpoch


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


def class_pixels(chips: Path, ids: list[str], table: ClassTable) -> list[int]:
    """The pixels of each class in some chips, in the order of the table."""
    frame = read_chips(chips)
    pixels = frame.loc[frame["id"].isin(ids), [class_column(class_id) for class_id in table.ids]].sum()
    return [int(count) for count in pixels]


def labelled_pixels(parts: Parts, table: ClassTable) -> list[int]:
    """The pixels of each class in the training chips.

    Raises:
        PipelineError: there are none, or none to validate.
    """
    pixels = {part: class_pixels(chips.folder, chips.ids, table) for part, chips in parts.items()}
    if empty := [f"{part}.txt" for part, counts in pixels.items() if not sum(counts)]:
        raise PipelineError(
            f"no pixel of the chips in {' and '.join(empty)} has a class: all are ignored; give those parts other "
            "chips (split), or check the labels"
        )
    return pixels["train"]


def report(keeper: BestEpoch) -> dict[str, Any]:
    """`metrics/train.json`: the best epoch's scores."""
    assert keeper.best is not None
    return {"best_epoch": keeper.best.number, "train": keeper.best.train, "val": keeper.best.val}


@dataclass(frozen=True)
class Inputs:
    """Everything that could change what a training comes to."""

    params: dict[str, Any]
    chips: dict[str, list[str]]
    """From part to its chips, in order."""
    files: list[str]
    """SHA-256 of the class table, of each chip's image and mask, and of pretrained weights."""
    code: str
    versions: dict[str, str]
    rounding: tuple[str, ...]
    """See `Hardware.rounding`."""
    devices: int

    @property
    def fingerprint(self) -> str:
        """Trainings with the same one come to the same."""
        return digest(asdict(self))


def inputs(parts: Parts, params: TrainParams, place: Place) -> Inputs:
    """Those of a training on this machine."""
    ids = {part: chips.ids for part, chips in parts.items()}
    chips, weights = parts["train"].folder, Path(params.encoder_weights)
    names = [name for part in ids.values() for name in part]
    images = [chips / kind / f"{name}.png" for name in names for kind in ("images", "masks")]
    files = [chips / "classes.json", *images, *([weights] if weights.is_file() else [])]
    with ThreadPoolExecutor() as pool:
        content = list(pool.map(sha256, files))
    # which device and arithmetic these come to is part of the rounding
    wanted = params.model_dump(mode="json", exclude={"train": {"workers", "device", "devices", "precision"}})
    rounding = hardware().rounding(place.device)
    return Inputs(wanted, ids, content, source_digest(LEARNING_CODE), versions(PACKAGES), rounding, place.ranks.size)


def learn(parts: Parts, params: TrainParams, place: Place, watch: L.Callback, state: State) -> Trained:
    """Train, or go on; the network ends with the weights of its best epoch.

    Raises:
        PipelineError: a loss became NaN or infinite; the best model so far is then kept beside the state.
    """
    chips, recipe, ranks = parts["train"].folder, params.train, place.ranks
    table = read_classes(chips / "classes.json")
    L.seed_everything(params.seed, verbose=False)
    segmenter = build(params.design(table), params.encoder_weights, params.online)
    if ranks.size > 1:
        freeze_unused(segmenter, ground(chips)["chip_sizes"][0])
    pixels = labelled_pixels(parts, table)
    loss = params.build_loss(pixels)
    init_prior_bias(segmenter, [count / sum(pixels) for count in pixels], loss)
    task = Task(segmenter, table.names, loss, recipe, params.seed)
    workers = reading_workers(recipe.workers, place.device, ranks.a_machine)
    cut = BatchPlan(recipe.batch_size, ranks, recipe.accumulate)
    loaders = (
        training_loader(parts["train"], cut, workers, params.seed),
        scoring_loader(parts["val"], recipe.batch_size, workers, ranks),
    )
    try:
        return Trained(segmenter, fit(task, loaders, place.device, watch, state))
    except PreemptedError:
        raise
    except PipelineError as error:
        if not (ranks.first and state.file.exists()):
            raise
        write_model(state.folder / "model", chips, segmenter, params, place.device)
        raise PipelineError(f"{error}; the best model so far is in {state.folder / 'model'}") from None


def write_model(folder: Path, chips: Path, segmenter: Segmenter, params: TrainParams, device: Device) -> None:
    """Write the network with all that is needed to use it."""
    table = read_classes(chips / "classes.json")
    how = {"precision": device.arithmetic} | ground(chips) | {"params": params.model_dump()}
    said = describe(params.design(table), table, read_imagery(chips), **how)
    with atomic_path(folder) as partial:
        partial.mkdir()
        save_model(partial, segmenter, said)


@stoppable()
def train(
    chips: Path, lists: Path, model: Path, metrics: Path, cost_file: Path, plots: Path, params: TrainParams
) -> str:
    """Train on the chips CHIPS that the LISTS name; write the MODEL, its METRICS, its COST and curves to PLOTS.

    After a kill the same call goes on after the last finished epoch, and ends as if nothing had happened.
    """
    ground(chips)
    keep_freed_memory()
    table, place = read_classes(chips / "classes.json"), params.place
    parts = {part: Chips(chips, read_list(lists / f"{part}.txt"), table) for part in ("train", "val")}
    train_chips, val_chips = (len(part) for part in parts.values())
    seen, held = train_chips + val_chips, resumable(inputs(parts, params, place).fingerprint, place.ranks)
    with rank_zero_errors(place.ranks), held as state, watching(plots, seen, place.ranks) as watch:
        trained = learn(parts, params, place, watch, state)
        if not place.ranks.first:
            return ""
        write_model(model, chips, trained.segmenter, params, place.device)
        write_json(metrics, report(trained.keeper))
        write_json(cost_file, cost(place.device, place.ranks.size, trained.keeper.epochs, seen))
    best = report(trained.keeper)
    done = f"best epoch {best['best_epoch']} of {len(trained.keeper.epochs)}"
    outcome = f"{done} with validation mean IoU {best['val']['mean_iou']:.4f}"
    return f"{train_chips} chips in, {val_chips} to validate, {outcome}"


if __name__ == "__main__":
    run(train)
