"""Put the windows of a scene through the network; reading, the network and writing overlap.

By threads, since torch's DataLoader reads ahead only in processes, to which an open scene cannot be sent. A GPU, which
needs no thread, computes one batch while the layers of the one before are compared and written.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeVar

import numpy as np
from rasterio.windows import Window

from pipeline.core.cli import progress
from pipeline.core.interrupt import thread_pool
from pipeline.formats.classes import IGNORE
from pipeline.inference.launch import Launched, empty_images, is_asynchronous, launch
from pipeline.inference.layers import Layer, Work
from pipeline.inference.network import LoadedModel, Wanted
from pipeline.inference.seams import REACH, Seams, extended_core
from pipeline.inference.windows import NetworkWindow, Plan, slices_in
from pipeline.scenes.scene import Scene

T = TypeVar("T")
STRIP_ROWS = 512
"""Rows of a window that are read at once."""


@dataclass(frozen=True)
class Batch:
    """Windows that go through the network together."""

    windows: list[NetworkWindow]
    is_last: bool
    """Whether the row of windows ends with it."""


@dataclass(frozen=True)
class Pixels:
    """What a batch reads of the scene."""

    images_NHWC: np.ndarray
    """uint8, of the windows whose core has a valid pixel."""
    valid: list[np.ndarray]
    """valid_HW of the core of each window, bool."""


@dataclass(frozen=True)
class Core:
    """The layers of a window's core."""

    row: int
    column: int
    """Of its corner, within the mapped part."""
    layers: dict[str, np.ndarray]
    """uint8 (bands, height, width)."""


@dataclass
class Statistics:
    """What a run cost, and how well its windows agree."""

    computed: int = 0
    """Pixels put through the network."""
    network_seconds: float = 0.0
    """In which batches were put through the network and became layers; on a GPU those of its own clock, while reading
    and writing go on."""
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
            Batch(row[start : start + size], start + size >= len(row))
            for row in self.plan.rows[rows_done:]
            for start in range(0, len(row), size)
        ]

    def layers(self, work: Work) -> dict[str, Layer]:
        """Return the layers' files."""
        height, width = int(self.plan.bounds.height), int(self.plan.bounds.width)
        return {name: work.layer(name, height, width, bands) for name, bands in self.layer_bands.items()}

    def read(self, batch: Batch) -> Pixels:
        """Read the windows of a batch.

        Raises:
            PipelineError: pixels cannot be decoded.
        """
        size = (batch.windows[0].rows.size, batch.windows[0].columns.size)
        images_NHWC = empty_images((len(batch.windows), *size, self.scene.band_count), self.model.device)
        valid: list[np.ndarray] = []
        filled = 0
        for window in batch.windows:
            valid.append(self._read_window(window, images_NHWC[filled]))
            filled += int(valid[-1].any())
        return Pixels(images_NHWC[:filled], valid)

    def _read_window(self, window: NetworkWindow, image_HWC: np.ndarray) -> np.ndarray:
        """Fill image_HWC; return valid_HW of the window's core. Beyond the end of the scene the image is mirrored."""
        core, inside = window.core, window.inside(self.scene.height, self.scene.width)
        if not self.is_wanted(core):
            return np.zeros((core.height, core.width), bool)
        valid_HW = np.empty((inside.height, inside.width), bool)
        for row in range(0, inside.height, STRIP_ROWS):  # conversion takes several times the memory of its result
            rows = slice(row, min(row + STRIP_ROWS, inside.height))
            strip = Window(inside.col_off, inside.row_off + row, inside.width, rows.stop - row)
            image_HWC[rows, : inside.width], valid_HW[rows] = self.scene.read(strip)
        missing = ((0, window.rows.size - inside.height), (0, window.columns.size - inside.width), (0, 0))
        if any(after for _, after in missing):
            image_HWC[:] = np.pad(image_HWC[: inside.height, : inside.width], missing, "symmetric")
        return valid_HW[slices_in(core, inside)]

    def predict(self, read: Iterable[tuple[Batch, Pixels]]) -> Iterator[tuple[Batch, Iterator[Core]]]:
        """Put batches through the network; yield each with the layers of its windows' cores.

        A GPU is given a batch before the one before is yielded, so that it need not wait for what is done with that.
        """
        launched = ((batch, self._cores(batch, pixels, self._launch(batch, pixels))) for batch, pixels in read)
        return _one_late(launched) if is_asynchronous(self.model.device) else launched

    def _launch(self, batch: Batch, pixels: Pixels) -> Launched | None:
        """Put the windows with a valid core through the network, if there are any."""
        windows = [window for window, valid_HW in zip(batch.windows, pixels.valid, strict=True) if valid_HW.any()]
        parts = [slices_in(extended_core(window), window.extent) for window in windows]
        return launch(self.model, pixels.images_NHWC, parts, self.wanted) if windows else None

    def _cores(self, batch: Batch, pixels: Pixels, launched: Launched | None) -> Iterator[Core]:
        """Wait for a batch; yield the layers of its cores."""
        bounds = self.plan.bounds
        if launched:
            self.statistics.network_seconds += launched.wait()
            self.statistics.computed += len(launched.layers) * batch.windows[0].pixels
        predicted = iter(launched.layers if launched else ())
        for window, valid_HW in zip(batch.windows, pixels.valid, strict=True):
            if valid_HW.any():
                arrays = {name: layer.numpy() for name, layer in next(predicted).items()}
                layers = self._core_layers(window, arrays, valid_HW)
            else:
                shape = valid_HW.shape
                layers = {name: np.full((n, *shape), IGNORE, np.uint8) for name, n in self.layer_bands.items()}
            yield Core(window.core.row_off - bounds.row_off, window.core.col_off - bounds.col_off, layers)

    def _core_layers(
        self, window: NetworkWindow, predicted: dict[str, np.ndarray], valid_HW: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the layers of a core, no data where it is not valid; compare the window with its neighbours.

        Args:
            window: which core.
            predicted: layers of the extended core.
            valid_HW: of the core.
        """
        if self.plan.tiling.halo >= REACH:
            self.statistics.seams.add(window, predicted["classes"][0])
        core = (slice(None), *slices_in(window.core, extended_core(window)))
        return {name: np.where(valid_HW, values_CHW[core], np.uint8(IGNORE)) for name, values_CHW in predicted.items()}


def run_network(run: NetworkRun, work: Work, title: str) -> None:
    """Fill the layers of a map, from the row of windows on at which an earlier run ended.

    Args:
        run: the scene is read by one thread.
        work: where the layers are written.
        title: shown with the progress bar.

    Raises:
        PipelineError: pixels cannot be decoded.
    """
    batches, layers = run.batches(work.rows_done), run.layers(work)
    rate = _Rate(sum(window.pixels for batch in batches for window in batch.windows))
    with thread_pool(1) as reader, thread_pool(1) as writer:
        written: Future[None] | None = None
        predicted = run.predict(_read_ahead(reader, run, batches))
        for batch, cores in progress(predicted, title, len(batches), rate.text):
            for core in cores:
                if written:
                    written.result()  # one core waits at most
                written = writer.submit(_write, core, layers)
            if written and batch.is_last:
                written.result()
                work.finish_row()
            rate.add(batch)


def _write(core: Core, layers: Mapping[str, Layer]) -> None:
    for name, values_CHW in core.layers.items():
        layers[name].write(core.row, core.column, values_CHW)


def _read_ahead(reader: Executor, run: NetworkRun, batches: list[Batch]) -> Iterator[tuple[Batch, Pixels]]:
    """Yield the batches with their pixels; the next one is read while the network is busy."""
    ahead: Future[Pixels] | None = None
    for batch, following in zip_longest(batches, batches[1:]):
        pixels = ahead or reader.submit(run.read, batch)
        ahead = reader.submit(run.read, following) if following else None
        yield batch, pixels.result()


def _one_late(items: Iterable[T]) -> Iterator[T]:
    """Yield each item once the next one has been made."""
    waiting: list[T] = []
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


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
    """Return a duration in words: `less than 1 s`, `45 s`, `12 min`, `3.5 h`."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
