"""Put the windows of a scene through the network; reading, the network and writing overlap."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from rasterio.windows import Window

from pipeline.core.cli import progress
from pipeline.core.interrupt import thread_pool
from pipeline.formats.classes import IGNORE
from pipeline.inference.layers import Work
from pipeline.inference.network import LoadedModel, Wanted, map_layers
from pipeline.inference.scene import Scene
from pipeline.inference.seams import REACH, Seams, extended_core
from pipeline.inference.windows import NetworkWindow, Tiling, network_windows

AHEAD = 2
"""Batches that are read while the network is busy."""


@dataclass(frozen=True)
class Plan:
    """The windows of a map."""

    bounds: Window
    """The part of the scene that is mapped."""
    tiling: Tiling
    rows: list[list[NetworkWindow]]
    batch: int
    """Windows put through the network at once; batches do not cross rows, so they are the same after a restart."""

    @classmethod
    def make(cls, bounds: Window, scene: Scene, tiling: Tiling, batch: int) -> "Plan":
        """Place the windows.

        Raises:
            PipelineError: windows are too small for their halo.
        """
        return cls(bounds, tiling, network_windows(bounds, scene.height, scene.width, tiling), batch)

    @property
    def windows(self) -> list[NetworkWindow]:
        """All windows, row by row."""
        return [window for row in self.rows for window in row]

    @property
    def computed(self) -> int:
        """Pixels put through the network if no window is skipped."""
        return sum(window.pixels for window in self.windows)


@dataclass(frozen=True)
class Batch:
    """Windows that go through the network together."""

    row: int
    """Index of the row of windows."""
    is_last: bool
    """Whether the row of windows ends with it."""
    windows: list[NetworkWindow]


@dataclass(frozen=True)
class Pixels:
    """The windows of a batch that hold data."""

    windows: list[NetworkWindow]
    images_NHWC: np.ndarray
    """uint8 RGB."""
    valid: list[np.ndarray]
    """valid_HW of the core of each window, bool."""


@dataclass
class Statistics:
    """What a run cost, and how well its windows agree."""

    computed: int = 0
    """Pixels put through the network."""
    network_seconds: float = 0.0
    seams: Seams = field(default_factory=Seams)


@dataclass(frozen=True)
class NetworkRun:
    """Everything that the windows of a map share."""

    model: LoadedModel
    scene: Scene
    plan: Plan
    wanted: Wanted
    is_wanted: Callable[[Window], bool]
    """Whether any pixel of a core is wanted; windows without any are skipped unread."""
    statistics: Statistics = field(default_factory=Statistics)

    @property
    def layer_bands(self) -> dict[str, int]:
        """The layers and their numbers of bands."""
        bands = {"probabilities": len(self.model.model.table.ids)}
        return {name: bands.get(name, 1) for name in ("classes", *self.wanted.layers)}

    def batches(self, rows_done: int) -> list[Batch]:
        """List the batches that remain after some rows of windows."""
        size = self.plan.batch
        return [
            Batch(number, start + size >= len(row), row[start : start + size])
            for number, row in islice(enumerate(self.plan.rows), rows_done, None)
            for start in range(0, len(row), size)
        ]

    def read(self, batch: Batch) -> Pixels:
        """Read the windows of a batch that hold data.

        Raises:
            PipelineError: pixels cannot be decoded.
        """
        windows, images, valid = [], [], []
        for window in batch.windows:
            core = window.core
            if not self.is_wanted(core):
                continue
            image_HWC, valid_HW = self.scene.read(window.inside(self.scene.height, self.scene.width))
            top, left = core.row_off - window.rows.start, core.col_off - window.columns.start
            valid_HW = valid_HW[top : top + core.height, left : left + core.width]
            if valid_HW.any():
                windows.append(window)
                images.append(_complete(image_HWC, window))
                valid.append(valid_HW)
        return Pixels(windows, np.stack(images) if images else np.empty(0, np.uint8), valid)

    def predict(self, pixels: Pixels, layers: dict[str, np.ndarray]) -> None:
        """Put windows through the network and enter their cores into the layers of a row of windows."""
        if not pixels.windows:
            return
        start = time.perf_counter()
        logits_NKHW = self.model.logits(pixels.images_NHWC)
        for window, logits_KHW, valid_HW in zip(pixels.windows, logits_NKHW, pixels.valid, strict=True):
            extent = extended_core(window)
            top, left = extent.top - window.rows.start, extent.left - window.columns.start
            size = (extent.bottom - extent.top, extent.right - extent.left)
            part_KHW = logits_KHW[:, top : top + size[0], left : left + size[1]]
            predicted = map_layers(self.model, part_KHW, self.wanted)
            if self.plan.tiling.halo >= REACH:
                self.statistics.seams.add(window, predicted["classes"][0])
            self._enter(window, predicted, valid_HW, layers)
        self.statistics.network_seconds += time.perf_counter() - start
        self.statistics.computed += sum(window.pixels for window in pixels.windows)

    def _enter(
        self,
        window: NetworkWindow,
        predicted: dict[str, np.ndarray],
        valid_HW: np.ndarray,
        layers: dict[str, np.ndarray],
    ) -> None:
        core, extent = window.core, extended_core(window)
        top, left = core.row_off - extent.top, core.col_off - extent.left
        column = core.col_off - self.plan.bounds.col_off
        for name, values_CHW in predicted.items():
            core_CHW = values_CHW[:, top : top + core.height, left : left + core.width]
            layers[name][:, :, column : column + core.width] = np.where(valid_HW, core_CHW, IGNORE)


def run_network(run: NetworkRun, work: Work, title: str) -> None:
    """Fill the layers of a map, from the row of windows on at which an earlier run ended.

    Args:
        run: the scene is read by one thread.
        work: where the layers are written, a row of windows at a time.
        title: shown with the progress bar.

    Raises:
        PipelineError: pixels cannot be decoded.
    """
    batches = run.batches(work.rows_done)
    rate = _Rate(sum(window.pixels for batch in batches for window in batch.windows))
    with thread_pool(1) as reader, thread_pool(1) as writer:
        written: Future[None] | None = None
        layers: dict[str, np.ndarray] = {}
        for batch, pixels in progress(_read_ahead(reader, run, batches), title, len(batches), rate.text):
            if not layers:
                layers = _empty_layers(run, batch)
            run.predict(pixels, layers)
            rate.add(batch)
            if batch.is_last:
                if written:
                    written.result()
                start = batch.windows[0].rows.core_start - run.plan.bounds.row_off
                written, layers = writer.submit(work.write, start, layers), {}
        if written:
            written.result()


def _read_ahead(reader: Executor, run: NetworkRun, batches: list[Batch]) -> Iterator[tuple[Batch, Pixels]]:
    pending: deque[tuple[Batch, Future[Pixels]]] = deque()
    for batch in batches:
        pending.append((batch, reader.submit(run.read, batch)))
        if len(pending) > AHEAD:
            first, future = pending.popleft()
            yield first, future.result()
    for last, future in pending:
        yield last, future.result()


def _complete(image_HWC: np.ndarray, window: NetworkWindow) -> np.ndarray:
    """Mirror the image beyond the end of the scene, up to the size of the window."""
    height, width, _ = image_HWC.shape
    missing = ((0, window.rows.size - height), (0, window.columns.size - width), (0, 0))
    return (
        np.pad(image_HWC, missing, "symmetric")
        if (height, width) != (window.rows.size, window.columns.size)
        else image_HWC
    )


def _empty_layers(run: NetworkRun, batch: Batch) -> dict[str, np.ndarray]:
    """Return the layers of a row of windows without data."""
    height, width = int(batch.windows[0].core.height), int(run.plan.bounds.width)
    return {name: np.full((bands, height, width), IGNORE, np.uint8) for name, bands in run.layer_bands.items()}


class _Rate:
    """Pixels per second, and the time left."""

    def __init__(self, pixels: int) -> None:
        self.pixels, self.done, self.start = pixels, 0, time.monotonic()

    def add(self, batch: Batch) -> None:
        self.done += sum(window.pixels for window in batch.windows)

    def text(self) -> str:
        if not self.done:
            return ""
        rate = self.done / (time.monotonic() - self.start)
        return f"{rate / 1e6:.2g} million px/s, {duration((self.pixels - self.done) / rate)} left"


def duration(seconds: float) -> str:
    """Return a duration in words: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
