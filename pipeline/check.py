"""Checks every choice in params.yaml before DVC removes what an earlier run made.

DVC deletes a stage's outputs before the stage runs, so a typo that only `train` noticed would cost the last good
model. `check` is the one module that imports stages: it needs the params class of each.
"""

from pathlib import Path

import torch

from pipeline.cloud_filter import CloudFilterParams
from pipeline.core.choices import unknown_key
from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.core.params import PARAMS_FILE, read_yaml
from pipeline.download import DownloadParams
from pipeline.evaluate import EvaluateParams
from pipeline.formats.classes import ClassTable, own_classes
from pipeline.formats.datasets import CLASSES, DatasetName
from pipeline.learning.device import choose
from pipeline.learning.model import Architecture, build
from pipeline.sources.settings import NETWORK_SOURCES
from pipeline.split import SplitParams
from pipeline.splitting.skew import require_class
from pipeline.tif_to_png import TifToPngParams
from pipeline.tile import TileParams
from pipeline.train import TrainParams


class CheckParams(
    DownloadParams, CloudFilterParams, TifToPngParams, TileParams, SplitParams, TrainParams, EvaluateParams
):
    """All of params.yaml: the fields of every stage."""

    dataset: DatasetName
    """Which dataset `train` and `evaluate` use; dvc.yaml reads it."""


def refuse_unknown_keys(keys: set[str]) -> None:
    """Check that each top-level key is one that a stage reads.

    Raises:
        PipelineError: naming those that are not.
    """
    known = CheckParams.model_fields.keys()
    if unknown := sorted(keys - known):
        raise PipelineError(f"{PARAMS_FILE}: {'; '.join(unknown_key(key, known) for key in unknown)}")


def try_network(params: CheckParams) -> None:
    """Build the network that `train` would build, weights and all, and send shapes through it.

    Raises:
        PipelineError: the library lacks a part, the parts do not fit, or the weights cannot be had.
    """
    side = params.tile.size if params.dataset == "landcoverai" else 64
    recipe = params.train
    chips = min(2, recipe.batch_size // recipe.accumulate)  # some cannot learn from one at a time
    segmenter = build(
        Architecture(params.architecture, params.encoder, classes=2), params.encoder_weights, params.online
    )
    try:
        segmenter.to("meta")(torch.empty(chips, 3, side, side, device="meta"))  # no arithmetic, no memory
    except (RuntimeError, AssertionError, ValueError) as error:
        raise PipelineError(
            f"architecture {params.architecture!r} with encoder {params.encoder!r} cannot learn from {side} px at "
            f"train.batch_size {recipe.batch_size}, train.accumulate {recipe.accumulate}: "
            f"{str(error).splitlines()[0]}; set a larger batch, a smaller accumulate, or another architecture"
        ) from None


def classes_of(dataset: DatasetName, params: CheckParams) -> ClassTable:
    """The classes that a dataset will have, as far as can be told before it is fetched.

    Raises:
        PipelineError: its folder is not there, or the table in it is not as it should be.
    """
    settings = getattr(params.download, dataset)
    if settings.source != "local":
        return CLASSES[dataset]
    folder = Path(settings.path)
    if not folder.is_dir():
        raise PipelineError(f"download.{dataset}.path is {settings.path!r}, which is no folder; name that of the files")
    return own_classes(folder, known_as=folder) or CLASSES[dataset]


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
    if fetched.clouds != kept.clouds:
        raise PipelineError(
            f"{own}.clouds is {fetched.clouds}, but {other}.clouds is {kept.clouds}; set both to the same value"
        )
    pairs = [("max_cloud", f"max_{kind}") for kind in ("cloud", "shadow", "haze")]
    pairs += [("max_no_data", "max_no_data"), ("dates", "dates")]
    pairs += [("cld_threshold", "cld_threshold")] if kept.clouds == "cld" else []
    for key, needed in pairs:
        given, limit = getattr(fetched, key), getattr(kept, needed)
        if given < limit:
            raise PipelineError(
                f"{own}.{key} is {given:g}, but {other}.{needed} is {limit:g}: bands of dates that cloud_filter keeps "
                f"would not be fetched; set {own}.{key} to at least {limit:g}"
            )


def check(marker: Path, params: CheckParams) -> str:
    """Check all of params.yaml, then write the constant file MARKER."""
    refuse_unknown_keys(set(read_yaml(PARAMS_FILE)))
    place = params.place
    choose(params.evaluate.device, key="evaluate.device")
    tables = {dataset: classes_of(dataset, params) for dataset in CLASSES}
    for dataset in ("landcovernet", "ghana"):
        require_clouds_first(dataset, params)
    require_class(tables[params.dataset], params.split.skew)
    try_network(params)
    write_text(marker, "params.yaml is valid\n")
    devices = f"{place.ranks.size} x {place.device.name}, {place.device.arithmetic}"
    network = f"{params.architecture} with {params.encoder}, {params.loss} loss, on {devices}"
    return f"{params.dataset}, {network}: params.yaml is valid"


if __name__ == "__main__":
    run(check)
