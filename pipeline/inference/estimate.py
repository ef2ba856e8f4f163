"""What a map will take: time, memory and disk."""

import resource
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import existing_parent
from pipeline.inference.forward import NetworkRun, duration
from pipeline.inference.memory import batch_bytes_per_pixel

SIDE = 256
"""Of the image whose time is taken, in pixels."""


@dataclass(frozen=True)
class Estimate:
    """What a map will take."""

    pixels: int
    """Of the mapped part, as the network reads it."""
    windows: int
    size: tuple[int, int]
    """Height and width of a window."""
    seconds: float
    memory_gb: float
    disk_gb: float
    """At most."""

    def __str__(self) -> str:
        """Return it in one line."""
        height, width = self.size
        pixels = f"{self.pixels / 1e6:,.3g} million" if self.pixels >= 1e6 else f"{self.pixels:,}"
        windows = f"{self.windows:,} windows" if self.windows > 1 else "1 window"
        seconds = f"about {duration(self.seconds)}" if self.seconds >= 1 else duration(self.seconds)
        disk = f"{self.disk_gb:.2g} GB" if self.disk_gb >= 1 else f"{max(1000 * self.disk_gb, 1):.0f} MB"
        return (
            f"{pixels} px in {windows} of {width:,} x {height:,} px, {seconds}, {self.memory_gb:.1f} GB of memory, "
            f"at most {disk} of disk"
        )


def estimate(run: NetworkRun, map_pixels: int) -> Estimate:
    """Estimate what a map takes; the network's speed is that on a small image.

    Args:
        run: of the network.
        map_pixels: of the map, on the scene's grid.
    """
    window = run.plan.rows[0][0]
    size = (window.rows.size, window.columns.size)
    seconds_per_pixel = _seconds(run) / SIDE**2
    per_pixel = batch_bytes_per_pixel(run.model.model.segmenter, run.model.device)
    pixels = int(run.plan.bounds.height * run.plan.bounds.width)
    memory = _resident_bytes() + run.plan.batch * window.pixels * per_pixel
    return Estimate(
        pixels,
        len(run.plan.windows),
        size,
        run.plan.computed * seconds_per_pixel,
        memory / 1e9,
        _disk_bytes(run, map_pixels) / 1e9,
    )


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


def _seconds(run: NetworkRun) -> float:
    """Time the network on an image without content, after a first pass that prepares it."""
    image_NHWC = np.zeros((1, SIDE, SIDE, run.scene.band_count), np.uint8)
    run.model.logits(image_NHWC).sum().item()  # waits for a GPU
    start = time.perf_counter()
    run.model.logits(image_NHWC).sum().item()
    return time.perf_counter() - start


def _disk_bytes(run: NetworkRun, map_pixels: int) -> int:
    """Return an upper bound: all layers, uncompressed, as the network fills them and on the scene's grid."""
    network_pixels = int(run.plan.bounds.height * run.plan.bounds.width)
    return (network_pixels + map_pixels) * sum(run.layer_bands.values())


def _resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
