"""What a map will take: time, memory and disk."""

import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import existing_parent
from pipeline.inference.forward import NetworkRun, duration

SIDE = 256
"""Of the image whose time is taken on a CPU, in pixels; a GPU takes a whole window, since it would only half use it."""


def estimate(run: NetworkRun, map_pixels: int) -> str:
    """Estimate in one line what a map takes: time by the network's speed on a small image, memory, and disk at most.

    Args:
        run: of the network.
        map_pixels: of the map, on the scene's grid.
    """
    plan, window, count = run.plan, run.plan.rows[0][0], len(run.plan.windows)
    pixels, disk = int(plan.bounds.height * plan.bounds.width), _disk_bytes(run, map_pixels)
    seconds = _seconds_per_pixel(run) * plan.computed
    size_text = f"{pixels / 1e6:,.3g} million" if pixels >= 1e6 else f"{pixels:,}"
    windows_text = f"{count:,} windows" if count > 1 else "1 window"
    time_text = f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)
    disk_text = f"{disk / 1e9:.2g} GB" if disk >= 1e9 else f"{max(disk / 1e6, 1):.0f} MB"
    return (
        f"{size_text} px in {windows_text} of {window.columns.size:,} x {window.rows.size:,} px, {time_text}, "
        f"{memory_bytes(run) / 1e9:.1f} GB of memory, at most {disk_text} of disk"
    )


def memory_bytes(run: NetworkRun) -> float:
    """Estimate the most memory that this process will hold: what it held so far, and a batch inside the network."""
    batch = run.plan.batch * run.plan.rows[0][0].pixels * run.model.bytes_per_pixel
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # after finding the bytes, which takes memory too
    return batch + (peak if sys.platform == "darwin" else 1024 * peak)


def require_disk(run: NetworkRun, map_pixels: int, work: Path, out: Path) -> None:
    """Check that there is space for the layers of a map, and for the map beside.

    Layers of unfinished work count as free: they are continued or replaced.

    Raises:
        PipelineError: there is not.
    """
    needed = _disk_bytes(run, map_pixels)
    begun, disk = sum(512 * path.stat().st_blocks for path in work.iterdir()), work.stat().st_dev
    for place, purpose in ((work, "its unfinished layers"), (existing_parent(out), "the map")):
        free = shutil.disk_usage(place).free
        if free + (begun if place.stat().st_dev == disk else 0) < needed:
            raise PipelineError(
                f"{run.scene.name} needs up to {needed / 1e9:.1f} GB for {purpose}, and {free / 1e9:.1f} GB are free "
                f"on the disk of {place}; free disk space, set PIPELINE_CACHE or -o to a larger disk, or map a part: "
                "--bbox"
            )


def _seconds_per_pixel(run: NetworkRun) -> float:
    """Time the network on an image without content, after a first pass that prepares it."""
    window = run.plan.rows[0][0]
    size = (SIDE, SIDE) if run.model.device.name == "cpu" else (window.rows.size, window.columns.size)
    image_NHWC = np.zeros((1, *size, run.scene.band_count), np.uint8)
    run.model.logits(image_NHWC).sum().item()  # waits for a GPU
    start = time.perf_counter()
    run.model.logits(image_NHWC).sum().item()
    return (time.perf_counter() - start) / (size[0] * size[1])


def _disk_bytes(run: NetworkRun, map_pixels: int) -> int:
    """Return an upper bound: all layers, uncompressed, as the network fills them and on the scene's grid."""
    network_pixels = int(run.plan.bounds.height * run.plan.bounds.width)
    return (network_pixels + map_pixels) * sum(run.layer_bands.values())
