"""Polygons of a map: time, memory, file size, and whether they are exactly the map.

    make repro && python -m benchmarks.vectors [--side PX …] [--dissolve] [--checkerboard PX]

For each side, a scene of the sample, mirrored and repeated, is mapped with the model of the last run, and the map
turned into polygons by `pipeline.vectors`, with simplified borders and with exact ones. Peak memory is VmHWM of the
command. All polygons are then read at once, to check that they are a valid coverage (no gaps, no overlaps), that their
pixels add up to those of the map class by class, and how far the areas of the drawn polygons differ from the map's.
`--checkerboard` is the worst map: each pixel is a patch.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import shapely
from pyogrio import raw
from rasterio.transform import Affine

from benchmarks.predict import MODEL, ROOT, write_scene
from pipeline.polygons.simplify import TOLERANCE_PX
from pipeline.raster.gdal import open_dataset
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff

COMMAND = """
import re, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
"""Run a module and print its peak memory in kB: the resource usage of a child includes the memory of its parent."""


def run(module: str, *arguments: object) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in MB."""
    start = time.monotonic()
    command = [sys.executable, "-W", "ignore", "-c", COMMAND, module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return time.monotonic() - start, int(done.stdout.splitlines()[-1]) / 1000


def count_pixels(path: Path) -> np.ndarray:
    """Count the pixels of a map by class id, (256,)."""
    counts_V = np.zeros(256, np.int64)
    with rasterio.Env(GDAL_CACHEMAX=64), open_dataset(path) as dataset:
        for _, window in dataset.block_windows(1):
            counts_V += np.bincount(dataset.read(1, window=window).ravel(), minlength=256)
    return counts_V


def check(path: Path, counts_V: np.ndarray) -> str:
    """Compare polygons with the map."""
    meta, _, geometry, columns = raw.read(path, layer=path.stem)
    fields = dict(zip(meta["fields"], columns, strict=True))
    polygon_N = shapely.from_wkb(geometry)
    pixels_V = np.bincount(fields["class_id"], fields["pixels"], minlength=256)
    is_exact = np.array_equal(pixels_V[:255], counts_V[:255])
    own_V, drawn_V = (
        np.bincount(fields["class_id"], values) for values in (fields["area_m2"], shapely.area(polygon_N))
    )
    present_V = own_V > 0
    scale = drawn_V.sum() / own_V.sum()  # of the projection
    difference = np.abs(drawn_V / scale - own_V)[present_V] / own_V[present_V]
    vertices = int(shapely.get_num_coordinates(polygon_N).sum())
    is_valid = bool(shapely.is_valid(polygon_N).all() and shapely.coverage_is_valid(polygon_N))
    return (
        f"{len(polygon_N):,} polygons of {fields['patch'].max():,} patches, {vertices:,} vertices; valid coverage: "
        f"{is_valid}; pixels of each class equal: {is_exact}; the area drawn of a class differs by up to "
        f"{100 * difference.max():.2g} %; {own_V.sum() / 1e6:.6g} km² in all"
    )


def write_checkerboard(path: Path, side: int) -> Path:
    """Write a map of the classes 0 and 1, without names."""
    class_HW = np.add.outer(np.arange(side), np.arange(side)) % 2
    place = Georeference("EPSG:32634", Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000))
    write_geotiff(path, class_HW[None].astype(np.uint8), place)
    return path


def measure(path: Path, name: str, *options: object) -> Path:
    """Turn a map into polygons; print what it took; return the GeoPackage."""
    out = path.with_name(f"{name}{path.stem}.gpkg")
    seconds, peak = run("pipeline.vectors", path, "-o", out, *options)
    print(f"{path.stem}, {name}: {seconds:.1f} s, peak {peak:,.0f} MB, {out.stat().st_size / 1e6:.1f} MB", flush=True)
    return out


def main() -> None:
    """Print two lines for each map and kind of polygons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[2000, 10980], help="of the map in pixels")
    parser.add_argument("--dissolve", action="store_true", help="also with --dissolve")
    parser.add_argument("--checkerboard", type=int, metavar="PX", help="side of a checkerboard of pixels")
    arguments = parser.parse_args()
    kinds: dict[str, tuple[object, ...]] = {"simplified": ("--simplify", TOLERANCE_PX), "exact": ("--simplify", 0)}
    if arguments.dissolve:
        kinds["dissolved"] = ("--dissolve",)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for side in arguments.side:
            scene, path = write_scene(folder / "scene.tif", side), folder / f"{side}.tif"
            run("pipeline.predict", scene, "-o", path, "--model", MODEL, "--confidence")
            counts_V = count_pixels(path)
            for kind, options in kinds.items():
                print(f"    {check(measure(path, kind, *options), counts_V)}", flush=True)
        if arguments.checkerboard:
            path = write_checkerboard(folder / f"{arguments.checkerboard}.tif", arguments.checkerboard)
            measure(path, "checkerboard", "--classes", MODEL.parent / "chips/landcoverai/classes.json")


if __name__ == "__main__":
    main()
