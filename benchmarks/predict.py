"""Making a map: the command, the network alone, MONAI and geoai; and the memory of small and large scenes.

    make repro && python -m benchmarks.predict [--rounds N] [--side PX] [--small PX] [--large PX] [--large-stub PX]

On the CPU, with the model of the last run in the precision of its training. Scenes are a scene of the sample, mirrored
and repeated: 8-bit RGB, deflated in tiles of 512 px. Each round runs every contender once on a scene of `--side` px,
each in its own process; the medians are printed. Peak memory is VmHWM of the process.

- ours: `pipeline.predict`, from opening the scene to the Cloud-Optimised GeoTIFF in its place: reading, the network,
  overlapping windows, writing.
- bare windows: the network alone on the same windows in memory, memory format and allocator as in ours.
- bare whole: the network alone on the whole scene at once, where that fits in memory.
- MONAI: its `sliding_window_inference` over the scene in memory.
- geoai: its `semantic_inference_on_geotiff`.

MONAI and geoai run the same network in the same precision and memory format, with the same windows and overlap. They
are installed into `.venv-monai` and `.venv-geoai`, which also see this project's packages.

Then the peak memory of the command: with the same small network (Linknet with MobileNetV2 x 0.35, random weights) at
`--small` and `--large-stub` px, and with the model at `--small`, `--large` and `--large-stub` px.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks._machine import machine
from pipeline.core.files import read_json
from pipeline.inference.network import load_model
from pipeline.inference.windows import network_windows
from pipeline.learning.model import build, network_config, save_model
from pipeline.raster.gdal import open_dataset

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "data/model"
SAMPLE = ROOT / "data/raw/landcoverai/images"
PEERS = {"monai": "monai==1.6.1", "geoai": "geoai-py==0.40.1"}
STUB = {"architecture": "linknet", "encoder": "tu-mobilenetv2_035"}
BLOCK = 512
"""Side of a tile of the scenes."""
MEMORY_GOAL_MB = 150


@dataclass(frozen=True)
class Result:
    """What a contender printed."""

    seconds: float
    peak_mb: float
    computed: int = 0
    """Pixels put through the network, if counted."""
    network_seconds: float = 0
    """Of `seconds`, if measured."""


@dataclass(frozen=True)
class Setup:
    """What all contenders get."""

    scene: Path
    side: int
    precision: str
    window: int
    halo: int
    folder: Path
    """For the maps."""

    @property
    def pixels(self) -> int:
        """Of the scene."""
        return self.side**2


def write_scene(path: Path, side: int) -> Path:
    """Write a scene of `side` x `side` px, one row of tiles at a time."""
    with open_dataset(sorted(SAMPLE.glob("*.tif"))[0]) as source:
        image_CHW, crs, transform = source.read(), source.crs, source.transform
    half_CHW = np.concatenate([image_CHW, image_CHW[:, ::-1]], axis=1)
    pattern_CHW = np.concatenate([half_CHW, half_CHW[:, :, ::-1]], axis=2)
    columns = np.arange(side) % pattern_CHW.shape[2]
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "zlevel": 1}
    shape = {"width": side, "height": side, "count": 3, "dtype": "uint8", "crs": crs, "transform": transform}
    options = {"photometric": "rgb", "num_threads": "all_cpus", "bigtiff": "if_safer"}
    with (
        rasterio.Env(GDAL_CACHEMAX=64),
        rasterio.open(path, "w", driver="GTiff", **shape, **layout, **options) as scene,
    ):
        for row in range(0, side, BLOCK):
            rows = np.arange(row, min(side, row + BLOCK)) % pattern_CHW.shape[1]
            scene.write(pattern_CHW[:, rows][:, :, columns], window=Window(0, row, side, len(rows)))
    return path


def write_stub(folder: Path) -> Path:
    """Write a model with the description of `MODEL` and a small network with random weights."""
    folder.mkdir()
    description = read_json(MODEL / "model.json") | STUB
    config = network_config(STUB["architecture"], STUB["encoder"], "none", len(description["classes"]))
    save_model(folder, build(config), description)
    return folder


def peer_python(name: str) -> Path:
    """Return the Python of a peer's environment; create it if it does not exist."""
    environment = ROOT / f".venv-{name}"
    python = environment / "bin/python"
    if not (environment / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        (site,) = environment.glob("lib/python3*/site-packages")
        (own,) = (ROOT / ".venv").glob("lib/python3*/site-packages")
        (site / "project.pth").write_text(f"{own}\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEERS[name]], check=True)
        (environment / "ready").touch()
    return python


def run(python: Path | str, module: str, *arguments: object) -> Result | None:
    """Run a contender; return what its last line reports, None if it reports that it does not fit in memory."""
    command = [str(python), "-W", "ignore", "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    values = json.loads(done.stdout.splitlines()[-1])
    return values and Result(**values)


def measure(setup: Setup) -> dict[str, Result | None]:
    """Run every contender once."""
    maps = {name: setup.folder / f"{name}.tif" for name in ("ours", *PEERS)}
    for path in maps.values():
        path.unlink(missing_ok=True)
    same = (setup.precision, setup.window, setup.halo)
    return {
        "ours": run(sys.executable, "_predict_ours", MODEL, setup.scene, maps["ours"]),
        "bare windows": run(sys.executable, "_predict_bare", MODEL, setup.scene, "windows"),
        "bare whole": run(sys.executable, "_predict_bare", MODEL, setup.scene, "whole"),
        "MONAI": run(peer_python("monai"), "_predict_monai", MODEL, setup.scene, maps["monai"], *same),
        "geoai": run(peer_python("geoai"), "_predict_geoai", MODEL, setup.scene, maps["geoai"], *same),
    }


def equal_classes(left: Path, right: Path) -> float:
    """Return the share of equal pixels of two maps."""
    with rasterio.open(left) as one, rasterio.open(right) as other:
        return float((one.read(1) == other.read(1)).mean())


def print_speed(setup: Setup, rounds: int) -> None:
    """Run all rounds; print the table of speed and memory, and the three ratios that have a goal."""
    results = [measure(setup) for _ in range(rounds)]
    print(f"\n| contender | scene Mpx/s | ours / this | peak MB | this / ours |\n|{'---|' * 5}")
    for name in results[0]:
        pairs = [(found["ours"], found[name]) for found in results]
        both = [(ours, this) for ours, this in pairs if ours and this]
        if not both:
            print(f"| {name} | does not fit in memory |")
            continue
        rate = statistics.median(setup.pixels / this.seconds / 1e6 for _, this in both)
        faster = statistics.median(this.seconds / ours.seconds for ours, this in both)
        peak = statistics.median(this.peak_mb for _, this in both)
        larger = statistics.median(this.peak_mb / ours.peak_mb for ours, this in both)
        print(f"| {name} | {rate:.2f} | {faster:.2f} | {peak:.0f} | {larger:.2f} |")
    print_goals(setup, results)
    for name in PEERS:
        share = equal_classes(setup.folder / "ours.tif", setup.folder / f"{name}.tif")
        print(f"classes equal in the maps of ours and {name}: {share:.2%}", flush=True)


def print_goals(setup: Setup, results: list[dict[str, Result | None]]) -> None:
    """Print the ratios of speed that have a goal."""
    put_through, in_network, whole = [], [], []
    for found in results:
        ours, windows, all_at_once = found["ours"], found["bare windows"], found["bare whole"]
        assert ours and windows
        put_through.append((ours.computed / ours.seconds) / (windows.computed / windows.seconds))
        in_network.append(ours.network_seconds / ours.seconds)
        useful = setup.pixels / ours.computed
        whole += [all_at_once.seconds / ours.seconds] if all_at_once else []
    print(f"\npixels put through the network per second / bare: {statistics.median(put_through):.3f} (goal: 0.90)")
    print(f"share of the seconds that ours spends in the network: {statistics.median(in_network):.3f}")
    print(f"useful / computed pixels: {useful:.3f} (goal: 0.55)")
    if whole:
        print(f"scene pixels per second / bare whole scene: {statistics.median(whole):.3f} (goal: 0.5)")


def print_memory(name: str, model: Path, sides: Sequence[int], folder: Path) -> None:
    """Print the peak memory of the command on scenes from small to large."""
    peaks = []
    for side in sides:
        scene, out = write_scene(folder / "memory.tif", side), folder / "memory-map.tif"
        arguments = (scene, "-o", out, "--model", model, "--device", "cpu", "--overwrite")
        result = run(sys.executable, "_predict_command", *arguments)
        assert result
        peaks.append(result.peak_mb)
        print(f"{name}, {side:,} x {side:,} px: {result.peak_mb:.0f} MB, {result.seconds:.1f} s", flush=True)
        scene.unlink()
        out.unlink()
    print(f"{name}: difference {max(peaks) - peaks[0]:.0f} MB (goal: within {MEMORY_GOAL_MB})", flush=True)


def main() -> None:
    """Print speed, then memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    for option, side in (("--side", 4000), ("--small", 2000), ("--large", 12_000), ("--large-stub", 20_000)):
        parser.add_argument(option, type=int, default=side, metavar="PX")
    options = parser.parse_args()
    model = load_model(MODEL, "cpu")
    tiling, _ = model.plan(None)
    first = network_windows(Window(0, 0, options.side, options.side), options.side, options.side, tiling)[0][0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["PIPELINE_CACHE"] = f"{scratch}/cache"
        scene = write_scene(folder / "scene.tif", options.side)
        setup = Setup(scene, options.side, model.device.precision, first.rows.size, tiling.halo, folder)
        print(f"{machine()}, {setup.precision}; a scene of {setup.side:,} x {setup.side:,} px, windows of", end=" ")
        print(f"{setup.window} px, halo {setup.halo} px; medians of {options.rounds} rounds", flush=True)
        print_speed(setup, options.rounds)
        print_memory("small network", write_stub(folder / "stub"), (options.small, options.large_stub), folder)
        print_memory("the model", MODEL, (options.small, options.large, options.large_stub), folder)


if __name__ == "__main__":
    main()
