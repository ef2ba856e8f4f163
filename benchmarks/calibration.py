"""Expected calibration error before and after temperature scaling, on test chips and on maps that `predict` wrote.

    make repro && python -m benchmarks.calibration [--model FOLDER] [--chips FOLDER --split FOLDER] [SCENE MASK]...

Maps with confidence are made of each scene twice: by the model as it is, and by a copy of it with temperature 1. Their
error is computed from the two GeoTIFFs, whose confidence is in per cent, at the pixels that the mask labels. Without
scenes, those of the sample that contain test chips are mapped whole, and scored at the pixels of these chips.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rasterio

from pipeline.core.files import read_json, write_json
from pipeline.evaluation.calibration import BINS, calibration_error
from pipeline.evaluation.test_pass import count_predictions
from pipeline.formats.chips import read_chips
from pipeline.formats.classes import IGNORE
from pipeline.formats.png import read_mask
from pipeline.inference.network import PER_CENT, LoadedModel, Wanted, load_model
from pipeline.inference.options import MapOptions
from pipeline.inference.scene_map import predict_scene
from pipeline.learning.calibration import Calibration
from pipeline.learning.data import Chips, read_list
from pipeline.learning.loaders import scoring_loader
from pipeline.learning.model import DESCRIPTION, WEIGHTS
from pipeline.polygons.class_map import layer_file

MODEL, CHIPS, SPLIT = Path("data/model"), Path("data/chips/landcoverai"), Path("data/split/landcoverai")
RAW = Path("data/raw/landcoverai/images")


@dataclass(frozen=True)
class Labelled:
    """A scene with its labels."""

    scene: Path
    truth_HW: np.ndarray
    """uint8, class ids; others are ignored."""


def copy_model(model: Path, folder: Path, temperature: float) -> Path:
    """Copy a model with another temperature. The weights, and so their hash, stay the same."""
    folder.mkdir()
    calibration = Calibration(temperature, 0, temperature, temperature)
    write_json(folder / DESCRIPTION, read_json(model / DESCRIPTION) | {"calibration": asdict(calibration)})
    (folder / WEIGHTS).symlink_to((model / WEIGHTS).resolve())
    return folder


def errors_on_chips(model: LoadedModel, chips: Path, ids: list[str]) -> tuple[float, float, int]:
    """Return the calibration error at temperature 1 and at the model's, and the labelled pixels."""
    loader = scoring_loader(Chips(chips, ids, model.model.table), 1, 0)
    counts = count_predictions(model.model, loader, model.device)
    before, after = (float(calibration_error(bins.sum(axis=0))) for bins in (counts.before_N3B, counts.after_N3B))
    return before, after, int(counts.matrix_KK.sum())


def chips_in_scenes(chips: Path, ids: list[str], raw: Path) -> Iterator[Labelled]:
    """Yield the scenes that contain these chips; all other pixels are ignored."""
    table = read_chips(chips)
    for name, rows in table[table["id"].isin(ids)].groupby("scene"):
        path = raw / f"{name}.tif"
        with rasterio.open(path) as dataset:
            truth_HW = np.full(dataset.shape, IGNORE, np.uint8)
        for row in rows.itertuples():
            mask_HW = read_mask(chips / "masks" / f"{row.id}.png")
            truth_HW[row.row : row.row + mask_HW.shape[0], row.column : row.column + mask_HW.shape[1]] = mask_HW
        yield Labelled(path, truth_HW)


def map_bins(map_path: Path, truth_HW: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    """Count the pixels of a written map by their confidence; see `pipeline.evaluation.calibration`.

    Args:
        map_path: beside it lies the layer of confidence.
        truth_HW: class ids; other values are ignored.
        ids: of the classes.

    Returns:
        bins_3B, float64.
    """
    paths = (map_path, layer_file(map_path, "confidence"))
    predicted_HW, confidence_HW = (_read(path) for path in paths)
    counted_HW = np.isin(truth_HW, ids) & np.isin(predicted_HW, ids)
    confidence, correct = confidence_HW[counted_HW].astype(np.int64), (predicted_HW == truth_HW)[counted_HW]
    bin_index = np.minimum(confidence * BINS // PER_CENT, BINS - 1)
    return np.stack([np.bincount(bin_index, w, BINS).astype(float) for w in (None, confidence / PER_CENT, correct)])


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1))


def error_on_maps(model: LoadedModel, scenes: list[Labelled], work: Path) -> tuple[float, int]:
    """Map the scenes with confidence; return the calibration error and the labelled pixels."""
    work.mkdir()
    total_3B = np.zeros((3, BINS))
    for number, labelled in enumerate(scenes):
        out = work / f"{number}.tif"
        predict_scene(model, labelled.scene, out, MapOptions(Wanted(confidence=True)))
        total_3B += map_bins(out, labelled.truth_HW, model.model.table.ids)
    return float(calibration_error(total_3B)), int(total_3B[0].sum())


def measure(folder: Path, chips: Path, split: Path, scenes: list[Labelled] | None, work: Path) -> None:
    """Print temperature and errors of a model. `scenes`: None for those of the sample's test chips."""
    model = load_model(folder, "cpu")
    calibration = model.model.calibration
    groups = f"{calibration.groups} groups {calibration.lowest:g} to {calibration.highest:g}"
    print(f"temperature {calibration.temperature:g}, by {groups}; {model.device.precision}\n")
    ids = read_list(split / "test.txt")
    chips_before, chips_after, pixels = errors_on_chips(model, chips, ids)
    print("| calibration error on | pixels | before | after |\n|---|---|---|---|")
    print(f"| {len(ids)} test chips | {pixels} | {chips_before:.3f} | {chips_after:.3f} |", flush=True)
    scenes = list(chips_in_scenes(chips, ids, RAW)) if scenes is None else scenes
    before = load_model(copy_model(folder, work / "uncalibrated", 1.0), "cpu")
    of_before, _ = error_on_maps(before, scenes, work / "before")
    of_after, pixels = error_on_maps(model, scenes, work / "after")
    print(f"| written maps of {len(scenes)} scenes | {pixels} | {of_before:.3f} | {of_after:.3f} |")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", type=Path, metavar="SCENE MASK", help="scenes, each before its mask")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FOLDER")
    parser.add_argument("--chips", type=Path, default=CHIPS, metavar="FOLDER")
    parser.add_argument("--split", type=Path, default=SPLIT, metavar="FOLDER", help="val.txt, test.txt, groups.csv")
    options = parser.parse_args()
    if len(options.pairs) % 2:
        parser.error("a scene has no mask: SCENE MASK SCENE MASK …")
    pairs = zip(options.pairs[::2], options.pairs[1::2], strict=True)
    scenes = [Labelled(scene, _read(mask)) for scene, mask in pairs] or None
    with tempfile.TemporaryDirectory() as work:
        measure(options.model, options.chips, options.split, scenes, Path(work))


if __name__ == "__main__":
    main()
