"""Train a segmentation network on the chips of one dataset."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
from pydantic import Field
from torch.utils.data import DataLoader

from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path, sha256, write_json
from pipeline.core.fingerprint import digest, source_digest, versions
from pipeline.core.params import Params
from pipeline.formats.chips import IMAGE_BANDS, chip_folders, class_column, read_chips, read_imagery, read_origin
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.datasets import DatasetName, licence
from pipeline.formats.splits import read_groups
from pipeline.learning.band_statistics import band_statistics
from pipeline.learning.batches import BatchPlan
from pipeline.learning.cache import Place, keep_chips, require_cache
from pipeline.learning.calibration import Calibration, calibrate
from pipeline.learning.checkpoint import Checkpoint, locked_checkpoint
from pipeline.learning.config import TrainConfig
from pipeline.learning.cost import PACKAGES, cost
from pipeline.learning.data import Batch, Chips, read_list
from pipeline.learning.device import Device, allow_tf32, keep_freed_memory, loader_workers, rounding, select_device
from pipeline.learning.distributed import ProcessGroup, process_group, rank_zero_errors
from pipeline.learning.fit import BestEpoch, fit, require_deterministic
from pipeline.learning.loaders import ChipSource, scoring_loader, training_loader
from pipeline.learning.losses import LOSSES, Loss, LossConfig, LossName, class_weights
from pipeline.learning.model import (
    NetworkConfig,
    Segmenter,
    TrainingData,
    build,
    describe_model,
    freeze_unused,
    init_prior_bias,
    network_config,
    save_model,
)
from pipeline.learning.preemption import PreemptedError, preemptible
from pipeline.learning.progress import training_progress
from pipeline.learning.task import Task

Parts = dict[str, Chips]
"""The parts `train` and `val` of a split."""

LEARNING_CODE = (
    *("train", "formats.chips", "formats.classes", "formats.png", "scoring.counts", "scoring.scores"),
    *(f"learning.{name}" for name in ("augment", "band_statistics", "batches", "checkpoint", "config")),
    *(f"learning.{name}" for name in ("confusion", "data", "device", "distributed", "fit", "loaders", "losses")),
    *(f"learning.{name}" for name in ("model", "resident", "task", "weights")),
)
"""The modules that determine the result of a training; interrupted trainings survive edits to others."""


@dataclass(frozen=True)
class Placement:
    """The type of device a training runs on, and its processes."""

    device: Device
    processes: ProcessGroup


class TrainParams(Params):
    """Parameters of the stage."""

    dataset: DatasetName
    """The dataset of the chips; dvc.yaml reads it too."""
    architecture: str
    encoder: str
    encoder_weights: str = Field(min_length=1)
    loss: LossName
    seed: int = Field(ge=0, lt=2**32)
    """Of the initial weights, the order of the chips and their augmentation."""
    train: TrainConfig

    @property
    def placement(self) -> Placement:
        """Device and processes on this machine.

        Raises:
            PipelineError: the machine has no such device, or not enough of them, or not for these params.
        """
        config = self.train
        device = select_device(config.device, config.precision)
        require_cache(config.cache, device)
        if config.deterministic:
            require_deterministic(self.architecture, device)
        return Placement(device, process_group(config.devices, device, config.batch_size, config.accumulate))

    def network(self, chips: Chips, table: ClassTable) -> NetworkConfig:
        """Return the config of the network for the training chips, from which it takes the normalisation of many bands.

        Raises:
            PipelineError: a chip cannot be read.
        """
        config = network_config(self.architecture, self.encoder, self.encoder_weights, len(table.classes))
        if chips.bands == IMAGE_BANDS:
            return config
        mean, std = band_statistics(chips)
        return replace(config, mean=mean, std=std)

    def build_loss(self, pixels: Sequence[int]) -> Loss:
        """Create the loss, given the pixels of each class in the training chips."""
        config = self.train
        alpha = None if config.alpha == "none" else config.alpha
        return LOSSES[self.loss](LossConfig(config.gamma, alpha, class_weights(config.class_weights, pixels)))


def chip_geometry(chips: Path) -> dict[str, Any]:
    """Return `chip_sizes` in pixels and `pixel_sizes` in units of the CRS, for model.json.

    Raises:
        PipelineError: the chips are not squares of one size that is a multiple of 32.
    """
    frame = read_chips(chips)
    sizes = sorted({(int(height), int(width)) for height, width in zip(frame["height"], frame["width"], strict=True)})
    if len(sizes) != 1 or sizes[0][0] != sizes[0][1] or sizes[0][0] % 32:
        given = ", ".join(f"{height} x {width}" for height, width in sizes[:5])
        raise PipelineError(f"{chips} has chips of {given} px; train needs squares of one size, a multiple of 32")
    return {"chip_sizes": [sizes[0][0]], "pixel_sizes": sorted({float(size) for size in frame["pixel_size"].dropna()})}


def training_pixels(parts: Parts, table: ClassTable) -> list[int]:
    """Count the pixels of each class in the training chips, in the order of the table.

    Raises:
        PipelineError: the training or the validation chips have no labelled pixel.
    """
    frame, columns = read_chips(parts["train"].folder), [class_column(class_id) for class_id in table.ids]
    pixels = {part: frame.loc[frame["id"].isin(chips.ids), columns].sum().tolist() for part, chips in parts.items()}
    if unlabelled := [f"{part}.txt" for part, counts in pixels.items() if not sum(counts)]:
        raise PipelineError(
            f"the chips in {' and '.join(unlabelled)} have no labelled pixel: all are ignored; change the split, or "
            "check the labels"
        )
    return list(pixels["train"])


def fingerprint(parts: Parts, params: TrainParams, placement: Placement) -> str:
    """Return a digest of everything that could change the result of a training on this machine.

    That is params, the chips of each part in order, the class table, each chip's images and mask, pretrained weights,
    code, library versions, and what decides how sums are rounded.

    Raises:
        PipelineError: a file of a chip does not exist.
    """
    ids = {part: chips.ids for part, chips in parts.items()}
    chips, weights = parts["train"].folder, Path(params.encoder_weights)
    names, kinds = [name for part in ids.values() for name in part], chip_folders(parts["train"].bands)
    images = [chips / kind / f"{name}.png" for name in names for kind in kinds]
    if missing := next((path for path in images if not path.is_file()), None):
        raise PipelineError(f"{missing} does not exist; run `dvc checkout` or `dvc repro`")
    files = [chips / "classes.json", *images, *([weights] if weights.is_file() else [])]
    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(sha256, files))
    # what `device` and `precision` resolve to is part of `rounding`
    relevant = params.model_dump(mode="json", exclude={"train": {"workers", "cache", "device", "devices", "precision"}})
    where = rounding(placement.device), placement.processes.world_size
    return digest(relevant, ids, hashes, source_digest(LEARNING_CODE), versions(PACKAGES), *where)


@dataclass(frozen=True)
class Training:
    """What a training learns from, and its network."""

    parts: Parts
    group_of: Mapping[str, str]
    """The group of each chip."""
    params: TrainParams
    network: NetworkConfig


def build_task(training: Training, processes: ProcessGroup) -> Task:
    """Build the network and its loss.

    Raises:
        PipelineError: the network cannot be built, or chips have no labelled pixel.
    """
    parts, params = training.parts, training.params
    chips = parts["train"].folder
    table = read_classes(chips / "classes.json")
    L.seed_everything(params.seed, verbose=False)
    segmenter = build(training.network, params.encoder_weights)
    if processes.world_size > 1:
        freeze_unused(segmenter, chip_geometry(chips)["chip_sizes"][0])
    pixels = training_pixels(parts, table)
    loss = params.build_loss(pixels)
    init_prior_bias(segmenter, [count / sum(pixels) for count in pixels], loss)
    return Task(segmenter, table.names, loss, params.train, params.seed)


@dataclass(frozen=True)
class Trained:
    """What a training results in, besides what it wrote."""

    segmenter: Segmenter
    """With the weights of the best epoch."""
    tracker: BestEpoch
    cache: Place


def run_training(training: Training, progress: L.Callback, checkpoint: Checkpoint) -> Trained:
    """Train from scratch or from the checkpoint.

    Raises:
        PipelineError: a loss became NaN or infinite; the best model so far is then written next to the checkpoint.
    """
    placement = training.params.placement
    processes = placement.processes
    task = build_task(training, processes)
    chips, place = keep_chips(training.parts, task, placement.device, processes)
    try:
        tracker = fit(task, training_loaders(chips, training.params), placement.device, progress, checkpoint)
        return Trained(task.segmenter, tracker, place)
    except PreemptedError:
        raise
    except PipelineError as error:
        if not (processes.is_rank_zero and checkpoint.file.exists()):
            raise
        folder = checkpoint.folder / "model"
        write_model(folder, training, task.segmenter)
        raise PipelineError(f"{error}; the best model so far is in {folder}") from None


def training_loaders(
    chips: Mapping[str, ChipSource], params: TrainParams
) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    """Return the loaders of the training and the validation chips."""
    config, device, processes = params.train, params.placement.device, params.placement.processes
    workers, pin = loader_workers(config.workers, device, processes.local_world_size), device.name == "cuda"
    plan, count = BatchPlan(config.batch_size, processes, config.accumulate), config.epoch_chips(len(chips["train"]))
    return (
        training_loader(chips["train"], plan, workers, params.seed, count, pin_memory=pin),
        scoring_loader(chips["val"], config.batch_size, workers, processes, pin_memory=pin),
    )


def fit_temperature(segmenter: Segmenter, val: Chips, group_of: Mapping[str, str], params: TrainParams) -> Calibration:
    """Fit the temperature of a trained network on the validation chips; on rank 0 alone."""
    config, placement = params.train, params.placement
    device = placement.device
    segmenter.eval().to(device.name).to(memory_format=device.memory_format)
    batch_size = math.ceil(config.batch_size / placement.processes.world_size)  # as in validation, which fits memory
    workers = loader_workers(config.workers, device)
    loader = scoring_loader(val, batch_size, workers, pin_memory=device.name == "cuda")
    return calibrate(segmenter, loader, device, val.ids, group_of)


def write_model(folder: Path, training: Training, segmenter: Segmenter) -> None:
    """Fit the network's temperature, and write it with everything that is needed to use it."""
    parts, params = training.parts, training.params
    chips, calibration = parts["train"].folder, fit_temperature(segmenter, parts["val"], training.group_of, params)
    table, source = read_classes(chips / "classes.json"), read_origin(chips).source
    counts = {f"{part}_chips": len(chips) for part, chips in parts.items()}
    data = TrainingData(params.dataset, source, licence(params.dataset, source), **counts)
    more = {"precision": params.placement.device.precision, "calibration": asdict(calibration), "data": asdict(data)}
    more |= chip_geometry(chips) | {"params": params.model_dump()}
    description = describe_model(training.network, table, read_imagery(chips), **more)
    with atomic_path(folder) as partial:
        partial.mkdir()
        save_model(partial, segmenter, description)


@preemptible()
def train(
    chips: Path, lists: Path, model: Path, metrics: Path, cost_file: Path, plots: Path, params: TrainParams
) -> str:
    """Train on the CHIPS listed in train.txt of LISTS; write the MODEL, its METRICS, its COST and curves to PLOTS.

    After an interruption the same command resumes after the last finished epoch, with the same result.
    """
    chip_geometry(chips)
    keep_freed_memory()
    table, placement = read_classes(chips / "classes.json"), params.placement
    if placement.device.name == "cuda":
        allow_tf32()
    processes, group_of = placement.processes, read_groups(lists)
    bands = len(read_imagery(chips).bands)
    parts = {part: Chips(chips, read_list(lists / f"{part}.txt"), table, bands) for part in ("train", "val")}
    train_count, val_count = (len(part) for part in parts.values())
    epoch_chips = params.train.epoch_chips(train_count) + val_count
    lock = locked_checkpoint(fingerprint(parts, params, placement), processes)
    with (
        rank_zero_errors(processes),
        lock as checkpoint,
        training_progress(plots, epoch_chips, processes) as progress,
    ):
        training = Training(parts, group_of, params, params.network(parts["train"], table))
        trained = run_training(training, progress, checkpoint)
        if not processes.is_rank_zero:
            return ""
        epochs, best = trained.tracker.epochs, trained.tracker.best
        write_model(model, training, trained.segmenter)
        write_json(metrics, {"best_epoch": best.number, "train": best.train, "val": best.val})
        costs = cost(placement.device, processes.world_size, epochs, epoch_chips, model)
        write_json(cost_file, costs | {"cache": trained.cache})
    return (
        f"{train_count} training and {val_count} validation chips, best epoch {best.number} of {len(epochs)} "
        f"with validation mean IoU {best.val['mean_iou']:.4f}"
    )


if __name__ == "__main__":
    run(train)
