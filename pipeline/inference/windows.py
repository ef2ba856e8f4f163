"""Overlapping windows over a scene, on multiples of the encoder's stride."""

from dataclasses import dataclass
from itertools import pairwise

from rasterio.windows import Window

from pipeline.scenes.scene import Scene


@dataclass(frozen=True)
class Tiling:
    """How windows are placed; all in pixels."""

    window: int
    """Largest side of a window, a multiple of `stride`, and at least `smallest_window`."""
    halo: int
    """Pixels around a window's core that only give context, a multiple of `stride`."""
    stride: int
    """Of the encoder: windows at multiples of it see the same pooling grid as the whole scene."""

    @property
    def smallest_window(self) -> int:
        """The smallest side that leaves a core."""
        return 2 * self.halo + 2 * self.stride


@dataclass(frozen=True)
class Span:
    """A window along one axis; its core is what it contributes to the map."""

    start: int
    size: int
    """A multiple of the stride: the last window may extend beyond the scene, by less than a stride."""
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class NetworkWindow:
    """A window of the network."""

    rows: Span
    columns: Span

    @property
    def extent(self) -> Window:
        """What goes through the network; it may extend beyond the scene."""
        return Window(self.columns.start, self.rows.start, self.columns.size, self.rows.size)

    @property
    def pixels(self) -> int:
        """Pixels put through the network."""
        return self.rows.size * self.columns.size

    @property
    def core(self) -> Window:
        """The part of the scene that the window contributes to the map."""
        rows, columns = self.rows, self.columns
        height, width = rows.core_stop - rows.core_start, columns.core_stop - columns.core_start
        return Window(columns.core_start, rows.core_start, width, height)

    def inside(self, height: int, width: int) -> Window:
        """The part of the window that lies inside a scene."""
        rows, columns = self.rows, self.columns
        size = (min(columns.size, width - columns.start), min(rows.size, height - rows.start))
        return Window(columns.start, rows.start, *size)


def window_spans(start: int, stop: int, length: int, tiling: Tiling) -> list[Span]:
    """Cover the pixels from `start` to `stop` of an axis with windows of equal size.

    Each core lies at least a halo away from its window's borders, except where the scene itself ends. At the end of the
    scene the last window is completed to a multiple of the stride.

    Args:
        start: first pixel to cover.
        stop: end of the pixels to cover.
        length: of the scene.
        tiling: size of windows.
    """
    stride, halo = tiling.stride, tiling.halo
    first = max(0, _floor(start - halo, stride))
    total = min(_ceil(length, stride), _ceil(stop + halo, stride)) - first
    count = 1 if total <= tiling.window else -(-(total - 2 * halo) // (tiling.window - 2 * halo))
    size = _ceil(-(-(total + 2 * halo * (count - 1)) // count), stride)
    starts = [first + _floor(number * (total - size) // max(1, count - 1), stride) for number in range(count)]
    borders = [(left + right + size) // 2 for left, right in pairwise(starts)]  # the middle of each overlap
    cores = pairwise([start, *borders, stop])
    return [
        Span(window_start, size, max(start, low), min(stop, high))
        for window_start, (low, high) in zip(starts, cores, strict=True)
    ]


def network_windows(bounds: Window, height: int, width: int, tiling: Tiling) -> list[list[NetworkWindow]]:
    """Cover `bounds` of a scene of `height` x `width` px: rows of windows, all of the same size."""
    rows = window_spans(bounds.row_off, bounds.row_off + bounds.height, height, tiling)
    columns = window_spans(bounds.col_off, bounds.col_off + bounds.width, width, tiling)
    return [[NetworkWindow(row, column) for column in columns] for row in rows]


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
        """Place the windows."""
        return cls(bounds, tiling, network_windows(bounds, scene.height, scene.width, tiling), batch)

    @property
    def windows(self) -> list[NetworkWindow]:
        """All windows, row by row."""
        return [window for row in self.rows for window in row]

    @property
    def computed(self) -> int:
        """Pixels put through the network if no window is skipped."""
        return sum(window.pixels for window in self.windows)


def slices_in(part: Window, whole: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a window in the array of another that contains it."""
    row, column = part.row_off - whole.row_off, part.col_off - whole.col_off
    return slice(row, row + part.height), slice(column, column + part.width)


def _floor(value: int, step: int) -> int:
    return value // step * step


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step
