"""The exported ONNX file: against PyTorch, in QGIS' plugin Deepness, in GeoDeep, and in an older onnxruntime.

    make repro && python -m benchmarks.export [--model FOLDER] [--side PX] [--scene SCENE]

On the CPU in fp32, with the model of the last run. Two scenes: the first of the sample, and a mosaic of nine of them,
3 x 3 squares, `--side` px wide; or `--scene`, a GeoTIFF of 8-bit RGB. Printed are the comparison of one tile that the
export itself makes, and per scene the share of pixels with equal classes in pairs of maps, farther than 128 px from the
scene's edge and in the whole scene:

- Deepness and predict with the same windows: Deepness' rules (`benchmarks._export_deepness`) run by onnxruntime, and
  `predict_scene` with windows of 1,024 px that overlap by 256 px, over the scene extended to whole tiles;
- Deepness and predict's windows from its corner: `predict_scene` with the windows that it chooses, over the extended
  scene. Deepness' tiles start at its upper left corner, which is no multiple of the network's stride away from that of
  the scene;
- Deepness and predict: `predict_scene` with the windows that it chooses, over the scene;
- onnxruntime 1.17.0 and this project's: both by Deepness' rules;
- GeoDeep 0.9.13 and Deepness: both after GeoDeep's median filter of 5 x 5 px, which it always applies.

GeoDeep and the older onnxruntime are installed into `.venv-geodeep`, which does not see this project's packages.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from scipy.ndimage import median_filter

from benchmarks._export_deepness import deepness_map, extend, read_parameters
from benchmarks._machine import machine
from benchmarks.predict import MODEL, ROOT, SAMPLE
from pipeline.inference.network import LoadedModel, load_model
from pipeline.inference.options import MapOptions
from pipeline.inference.scene_map import predict_scene
from pipeline.inference.windows import Tiling
from pipeline.publishing.onnx_model import check_onnx, open_session, write_onnx
from pipeline.raster.gdal import open_dataset

PEER = ("geodeep==0.9.13", "onnxruntime==1.17.0", "numpy<2", "scipy")
EDGE = 128
"""Pixels at a scene's edge that are not compared."""
GOAL = 0.999
GRID = 3
"""Scenes in a row of the mosaic."""


@dataclass(frozen=True)
class Setup:
    """What all maps of a scene share."""

    model: LoadedModel
    onnx: Path
    scene: Path
    folder: Path
    """For the maps."""

    def image(self) -> np.ndarray:
        """Read image_HWC, uint8 RGB."""
        return read_image(self.scene)

    def run(self, python: Path, module: str) -> tuple[np.ndarray, str]:
        """Run a module of the peer's environment; return its map and what it printed."""
        out = self.folder / f"{module}.npy"
        command: list[str | Path] = [python, "-W", "ignore", "-m", f"benchmarks.{module}", self.onnx, self.scene, out]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        return np.load(out), done.stdout.strip()

    def predict(self, scene: Path, tiling: Tiling | None) -> np.ndarray:
        """Return the map of `predict_scene` as indices of the network's outputs."""
        out = self.folder / "map.tif"
        predict_scene(self.model, scene, out, MapOptions(tiling=tiling, overwrite=True))
        with open_dataset(out) as file:
            classes_HW = file.read(1)
        ids = list(self.model.model.table.ids)
        index_by_id = np.zeros(256, np.uint8)
        index_by_id[ids] = range(len(ids))
        indices_HW: np.ndarray = index_by_id[classes_HW]
        return indices_HW


def read_image(path: Path) -> np.ndarray:
    """Read image_HWC, uint8 RGB."""
    with open_dataset(path) as scene:
        image_HWC: np.ndarray = scene.read([1, 2, 3]).transpose(1, 2, 0)
    return image_HWC


def write_scene(path: Path, image_HWC: np.ndarray) -> Path:
    """Write an image with the georeference of the first scene of the sample."""
    height, width, _ = image_HWC.shape
    with open_dataset(sorted(SAMPLE.glob("*.tif"))[0]) as source:
        where = {"crs": source.crs, "transform": source.transform}
    shape = {"height": height, "width": width, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, **shape, **where) as scene:
        scene.write(image_HWC.transpose(2, 0, 1))
    return path


def mosaic(side: int) -> np.ndarray:
    """Put squares of the sample's scenes side by side: image_HWC of `side` x `side` px."""
    square = -(-side // GRID)
    images = [read_image(path)[:square, :square] for path in sorted(SAMPLE.glob("*.tif"))[: GRID**2]]
    if len(images) < GRID**2 or any(image.shape[:2] != (square, square) for image in images):
        raise SystemExit(f"{SAMPLE} has no {GRID**2} scenes of {square} px: run `make repro`, or give a lower --side")
    rows = [np.hstack(images[start : start + GRID]) for start in range(0, GRID**2, GRID)]
    return np.vstack(rows)[:side, :side]


def peer_python() -> Path | None:
    """Return the Python of GeoDeep's environment; create it if it does not exist. None if it cannot be installed."""
    environment = ROOT / ".venv-geodeep"
    python = environment / "bin/python"
    if not (environment / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"GeoDeep is left out: {done.stderr.strip().splitlines()[-1]}", flush=True)
            return None
        (environment / "ready").touch()
    return python


def report(name: str, one_HW: np.ndarray, other_HW: np.ndarray, goal: float | None = None) -> None:
    """Print how many pixels are equal."""
    equal_HW = one_HW == other_HW
    inner, whole = equal_HW[EDGE:-EDGE, EDGE:-EDGE].mean(), equal_HW.mean()
    print(f"| {name} | {inner:.4%} | {whole:.4%} | {'' if goal is None else f'≥ {goal:.1%}'} |", flush=True)


def compare(title: str, setup: Setup, peer: Path | None) -> None:
    """Print the table of a scene."""
    image_HWC = setup.image()
    height, width, _ = image_HWC.shape
    print(f"\n{title}, {width:,} x {height:,} px:\n\n| maps | equal, > {EDGE} px from the edge | equal | goal |")
    print("|---|---|---|---|", flush=True)
    session = open_session(setup.onnx)
    size, overlap, _ = read_parameters(session)
    deepness_HW = deepness_map(session, image_HWC)
    whole_tiles = write_scene(setup.folder / "extended.tif", extend(image_HWC, size, overlap))
    same_HW = setup.predict(whole_tiles, Tiling(size, overlap // 2, setup.model.stride))[-height:, :width]
    report("Deepness, predict with the same windows", deepness_HW, same_HW, GOAL)
    corner_HW = setup.predict(whole_tiles, None)[-height:, :width]
    report("Deepness, predict's windows from its corner", deepness_HW, corner_HW)
    report("Deepness, predict", deepness_HW, setup.predict(setup.scene, None))
    if peer:
        older_HW, version = setup.run(peer, "_export_deepness")
        report(f"Deepness in onnxruntime {version}, in this one", older_HW, deepness_HW)
        geodeep_HW, _ = setup.run(peer, "_export_geodeep")
        if geodeep_HW.shape == deepness_HW.shape:
            report("GeoDeep, Deepness", geodeep_HW, median_filter(deepness_HW, 5))
        else:
            print("\nGeoDeep reduced the scene to the pixel size of the training: not compared", flush=True)


def main() -> None:
    """Export, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FOLDER")
    parser.add_argument("--side", type=int, default=2560, help="of the mosaic in px; by default, whole tiles")
    parser.add_argument("--scene", type=Path, help="instead of the sample's; of the kind that the model was trained on")
    options = parser.parse_args()
    model, peer = load_model(options.model, "cpu", "fp32"), peer_python()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        onnx = folder / "model.onnx"
        write_onnx(model.model, onnx)
        check = check_onnx(onnx, model.model)
        names = f"{model.model.config.architecture} with {model.model.config.encoder}"
        print(f"{machine()}; {names}, {onnx.stat().st_size / 1e6:.1f} MB")
        print(f"one tile against PyTorch: {check.equal_share:.4%} equal, largest difference of probabilities", end=" ")
        print(f"{check.largest_difference:.2g}", flush=True)
        if options.scene:
            compare(options.scene.name, Setup(model, onnx, options.scene, folder), peer)
            return
        first = sorted(SAMPLE.glob("*.tif"))[0]
        scene = write_scene(folder / "first.tif", read_image(first))  # tiled, as GeoDeep wants it
        compare(first.name, Setup(model, onnx, scene, folder), peer)
        scene = write_scene(folder / "mosaic.tif", mosaic(options.side))
        compare("mosaic", Setup(model, onnx, scene, folder), peer)


if __name__ == "__main__":
    main()
