"""Many files as one scene: mosaicked before the network, so that no seam arises at their borders.

`rasterio.merge` makes the whole mosaic at once, in memory or on disk, and a `WarpedVRT` is of one file.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.raster.grids import Grid
from pipeline.scenes.scene import Scene, grid_notes

MAX_OPEN = 8
"""Files kept open at a time."""
OpenFile = Callable[[bool], AbstractContextManager[Scene]]
"""Opens a file; with True it also checks that its pixels are not all black or white, as `open_scene` does."""


@dataclass(frozen=True)
class Placement:
    """Where a part of a file lies in a mosaic, in pixels."""

    row: int
    """Top edge in the mosaic; negative if the part extends beyond it."""
    column: int
    """Left edge in the mosaic."""
    height: int
    width: int
    source_row: int = 0
    """Top edge in the file."""
    source_column: int = 0
    """Left edge in the file."""
    is_opaque: bool = False
    """Whether the part covers the files below also where it has no data."""


@dataclass(frozen=True)
class PlacedFile:
    """A file on the grid of a mosaic."""

    open: OpenFile
    placement: Placement
    overrides: tuple[str, ...] = ()
    """Options that `open` sets for this file, as text for `Mosaic.identity`."""


class Mosaic:
    """A `Scene` of placed files, of which the later cover the earlier where they have data.

    It is not safe to read from several threads.
    """

    def __init__(self, grid: Grid, files: Sequence[PlacedFile], bands: int) -> None:
        self.name, self.band_count = grid.name, bands
        self.height, self.width, self.georeference = grid.height, grid.width, grid.georeference
        self.notes = grid_notes(grid.name, grid.georeference)
        self.damaged: list[str] = []
        self._files = files
        self._open: OrderedDict[int, tuple[Scene, ExitStack]] = OrderedDict()
        """By index in the order of use."""
        places = [file.placement for file in files]
        self._starts_N2 = np.array([(place.row, place.column) for place in places]).reshape(-1, 2)
        self._ends_N2 = self._starts_N2 + np.array([(place.height, place.width) for place in places]).reshape(-1, 2)
        self.identity: list[Any] = []
        self.files: list[Path] = []

    def check(self) -> None:
        """Open each file once, so that a bad one is found at the start; set `identity`, `files` and `notes`.

        Raises:
            PipelineError: a file cannot be opened, the mosaic places pixels that it does not have, or all files are
                black or white.
        """
        self.identity, self.files = [[self.height, self.width]], []
        for index, file in enumerate(self._files):
            place, scene = file.placement, self._scene(index)
            rows = range(place.source_row, place.source_row + place.height)
            columns = range(place.source_column, place.source_column + place.width)
            if rows.start < 0 or columns.start < 0 or rows.stop > scene.height or columns.stop > scene.width:
                raise PipelineError(
                    f"{self.name} places rows {rows.start} to {rows.stop} and columns {columns.start} to "
                    f"{columns.stop} of {scene.name}, which has {scene.width} x {scene.height} px; recreate it from "
                    "its files: gdalbuildvrt"
                )
            notes = grid_notes(scene.name, scene.georeference), self.notes  # the first do not hold for the mosaic
            self.notes += [note for note in scene.notes if not any(note in known for known in notes)]
            self.files += scene.files
            self.identity.append([list(astuple(place)), list(file.overrides), scene.identity])
        self._require_contrast()

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window that lies inside the mosaic.

        Files are read from the last to the first until each pixel is covered.

        Returns:
            image_HWC, uint8, black where invalid; and valid_HW, bool: False where no file has data.

        Raises:
            PipelineError: a file cannot be opened, or its pixels cannot be decoded.
        """
        image_HWC = np.zeros((window.height, window.width, self.band_count), np.uint8)
        valid_HW = np.zeros(image_HWC.shape[:2], bool)
        covered_HW = valid_HW.copy()
        start_2 = np.array([window.row_off, window.col_off])
        starts_N2 = np.maximum(self._starts_N2, start_2)
        ends_N2 = np.minimum(self._ends_N2, start_2 + valid_HW.shape)
        for index in np.flatnonzero((starts_N2 < ends_N2).all(axis=1))[::-1].tolist():
            (top, left), (bottom, right) = (starts_N2[index] - start_2).tolist(), (ends_N2[index] - start_2).tolist()
            part = slice(top, bottom), slice(left, right)
            if covered_HW[part].all():
                continue
            part_HWC, part_valid_HW = self._read_file(index, starts_N2[index], bottom - top, right - left)
            is_opaque = self._files[index].placement.is_opaque
            paint_HW = ~covered_HW[part] if is_opaque else part_valid_HW & ~covered_HW[part]
            np.copyto(image_HWC[part], part_HWC, where=paint_HW[..., None])
            np.copyto(valid_HW[part], part_valid_HW, where=paint_HW)
            covered_HW[part] |= paint_HW
        return image_HWC, valid_HW

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1][1].close()

    def _require_contrast(self) -> None:
        """Check that not all files are black or white; some may be, such as one of clouds."""
        self.close()  # one more is opened
        problem: PipelineError | None = None
        for file in self._files:
            try:
                with file.open(True):
                    return
            except PipelineError as error:
                problem = problem or error
        if problem is not None:
            raise problem

    def _read_file(self, index: int, start_2: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read from a file the part that begins at (row, column) `start_2` of the mosaic."""
        place, scene = self._files[index].placement, self._scene(index)
        row, column = (start_2 - self._starts_N2[index]).tolist()
        pixels = scene.read(Window(place.source_column + column, place.source_row + row, width, height))
        self.damaged += [text for text in scene.damaged if text not in self.damaged]
        return pixels

    def _scene(self, index: int) -> Scene:
        """Return an open file, closing the least recently used one if there are too many."""
        if index in self._open:
            self._open.move_to_end(index)
        else:
            if len(self._open) == MAX_OPEN:
                self._open.popitem(last=False)[1][1].close()
            with ExitStack() as stack:
                scene = stack.enter_context(self._files[index].open(False))
                self._open[index] = scene, stack.pop_all()
        return self._open[index][0]


@contextmanager
def open_mosaic(grid: Grid, files: Sequence[PlacedFile], bands: int = IMAGE_BANDS) -> Iterator[Mosaic]:
    """Open files as one scene.

    Args:
        grid: name and pixels of the mosaic; pixels that no file covers have no data.
        files: in the order in which they are drawn: the last lies on top.
        bands: of each file, as its scene returns them.

    Raises:
        PipelineError: see `Mosaic.check`.
    """
    with closing(Mosaic(grid, files, bands)) as mosaic:
        mosaic.check()
        yield mosaic
