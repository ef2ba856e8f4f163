"""Validate all of params.yaml before any stage runs.

DVC deletes a stage's outputs before it runs the stage, so a typo detected only in `train` would cost the last model.
This is the only module that imports stages: it needs their params classes.
"""

from pathlib import Path
from typing import Any

import torch

from pipeline.cloud_filter import CloudFilterParams
from pipeline.core.choices import unknown_key
from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.core.params import PARAMS_FILE, read_yaml, validate
from pipeline.download import DownloadParams
from pipeline.evaluate import EvaluateParams
from pipeline.formats.classes import ClassTable, user_classes
from pipeline.formats.datasets import CLASSES, LAYOUTS, DatasetName
from pipeline.importing.rules import rules_kind
from pipeline.learning.device import select_device
from pipeline.learning.model import NetworkConfig, build
from pipeline.sources.settings import NETWORK_SOURCES
from pipeline.split import SplitParams
from pipeline.splitting.skew import require_class
from pipeline.tif_to_png import TifToPngParams
from pipeline.tile import TileParams
from pipeline.train import TrainParams

LOCK_FILE = Path("dvc.lock")


class CheckParams(
    DownloadParams, CloudFilterParams, TifToPngParams, TileParams, SplitParams, TrainParams, EvaluateParams
):
    """All of params.yaml: the params of every stage."""


def require_known_keys(keys: set[str]) -> None:
    """Check that a stage reads each top-level key.

    Raises:
        PipelineError: naming the unknown ones.
    """
    known = CheckParams.model_fields.keys()
    if unknown := sorted(keys - known):
        raise PipelineError(f"{PARAMS_FILE}: {'; '.join(unknown_key(key, known) for key in unknown)}")


def require_trainable(params: CheckParams) -> None:
    """Build the network, load its weights, and run a forward pass on the meta device.

    Raises:
        PipelineError: unknown architecture or encoder, incompatible with each other or with the batch and tile size,
            or weights that cannot be loaded.
    """
    side = params.tile.size if params.dataset == "landcoverai" else 64
    batch_size, accumulate = params.train.batch_size, params.train.accumulate
    chips = min(2, batch_size // accumulate)  # batch normalisation may need more than one chip
    bands = len(params.tile.bands if params.dataset == "landcoverai" else getattr(params.bands, params.dataset))
    normalisation = (0.0,) * bands, (1.0,) * bands
    network = NetworkConfig(params.architecture, params.encoder, 2, *normalisation)
    segmenter = build(network, params.encoder_weights)
    try:
        segmenter.to("meta")(torch.empty(chips, bands, side, side, device="meta"))  # shapes only, no computation
    except (RuntimeError, AssertionError, ValueError) as error:
        raise PipelineError(
            f"architecture {params.architecture!r} with encoder {params.encoder!r} cannot be trained on {side} px at "
            f"train.batch_size {batch_size}, train.accumulate {accumulate}: {str(error).splitlines()[0]}; set a larger "
            "train.batch_size, a smaller train.accumulate, or another architecture"
        ) from None


def was_downloaded_from(path: str, dataset: DatasetName) -> bool:
    """Return whether dvc.lock names this local folder as the source of the last download.

    A colleague who lacks the folder then pulls what was made from it.
    """
    if not LOCK_FILE.is_file():
        return False
    try:
        stage = read_yaml(LOCK_FILE)["stages"][f"download@{dataset}"]
        last = stage["params"][PARAMS_FILE.name][f"download.{dataset}"]
        return bool((last["source"], last["path"]) == ("local", path))
    except (KeyError, TypeError):  # another run, or edited by hand
        return False


def expected_classes(dataset: DatasetName, params: CheckParams) -> ClassTable | None:
    """Return the classes of a dataset: those of the local folder, else of the archive.

    None if a colleague has downloaded from a folder that this machine lacks: its classes are not known here.

    Raises:
        PipelineError: the folder does not exist and nothing was downloaded from it, or its class table is invalid.
    """
    settings = getattr(params.download, dataset)
    if settings.source != "local":
        return CLASSES[dataset]
    folder = Path(settings.path)
    if not folder.is_dir():
        if was_downloaded_from(settings.path, dataset):
            return None
        path = f"download.{dataset}.path is {settings.path!r}"
        raise PipelineError(f"{path}, which is not a folder; set it to the folder with your files")
    return user_classes(folder, folder, rules_kind(dataset, settings.source)) or CLASSES[dataset]


def require_clouds_first(dataset: DatasetName, params: CheckParams) -> None:
    """Check that a network source fetches the bands of every date that `cloud_filter` may keep.

    Raises:
        PipelineError: `download.D.clouds_first` is stricter than `cloud_filter.D`, or finds clouds in another way.
    """
    settings = getattr(params.download, dataset)
    if settings.source not in NETWORK_SOURCES:
        return
    fetched, kept = settings.clouds_first, params.cloud_filter.thresholds(dataset)
    own, other = f"download.{dataset}.clouds_first", f"cloud_filter.{dataset}"
    # with another cld_threshold, the dates that look clearest to `download` may not be those that `cloud_filter` keeps
    for key in ("clouds", "cld_threshold") if kept.clouds == "cld" else ("clouds",):
        given, needed = getattr(fetched, key), getattr(kept, key)
        if given != needed:
            raise PipelineError(f"{own}.{key} is {given}, but {other}.{key} is {needed}; set both to the same value")
    pairs = [("max_cloud", f"max_{kind}") for kind in ("cloud", "shadow", "haze")]
    pairs += [("max_no_data", "max_no_data"), ("dates", "dates")]
    for key, needed in pairs:
        given, limit = getattr(fetched, key), getattr(kept, needed)
        if given < limit:
            raise PipelineError(
                f"{own}.{key} is {given:g}, but {other}.{needed} is {limit:g}: bands of dates that cloud_filter keeps "
                f"would not be fetched; set {own}.{key} to at least {limit:g}"
            )


def require_runnable(params: CheckParams) -> None:
    """Check what the types of the params do not: devices, classes, sources, the network.

    Raises:
        PipelineError: naming what is not valid.
    """
    _ = params.placement  # raises where the machine has no such device
    select_device(params.evaluate.device, key="evaluate.device")
    tables = {dataset: expected_classes(dataset, params) for dataset in CLASSES}
    for dataset in LAYOUTS:
        require_clouds_first(dataset, params)
    if table := tables[params.dataset]:
        require_class(table, params.split.skew)
    require_trainable(params)


def validate_params(values: dict[str, Any]) -> None:
    """Validate the contents of params.yaml.

    Raises:
        PipelineError: naming what is not valid.
    """
    require_known_keys(set(values))
    require_runnable(validate(CheckParams, values, PARAMS_FILE))


def check(marker: Path, params: CheckParams) -> str:
    """Validate params.yaml, then write the constant file MARKER."""
    require_known_keys(set(read_yaml(PARAMS_FILE)))
    require_runnable(params)
    write_text(marker, "params.yaml is valid\n")
    placement = params.placement
    devices = f"{placement.processes.world_size} x {placement.device.name}, {placement.device.precision}"
    network = f"{params.architecture} with {params.encoder}, {params.loss} loss, on {devices}"
    return f"{params.dataset}, {network}: params.yaml is valid"


if __name__ == "__main__":
    run(check)
