"""Layers of a map in flat files: written window by window, kept when the process is killed, read by GDAL.

Not in `numpy.memmap`: on a full disk, a write to it kills the process with SIGBUS, where a file raises an error. Nor
in a GeoTIFF: GDAL reports a full disk only now and then.
"""

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.cache import cache_folder
from pipeline.core.files import read_json, write_json

PROGRESS, WRITING, DONE = "progress.json", "writing.json", ".done"


@dataclass(frozen=True)
class Layer:
    """Bytes of a raster, row by row and within a row band by band, uint8."""

    path: Path
    height: int
    width: int
    bands: int = 1

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows as (bands, rows, width)."""
        shape = (stop - start, self.bands, self.width)
        with self.path.open("rb") as file:
            file.seek(start * self.bands * self.width)
            return np.fromfile(file, np.uint8, int(np.prod(shape))).reshape(shape).transpose(1, 0, 2)

    def write(self, row: int, column: int, values_CHW: np.ndarray) -> None:
        """Write a rectangle with its corner at `row` and `column`; the file is created if it does not exist."""
        self.path.touch()
        with self.path.open("r+b") as file:
            for line, values_CW in enumerate(values_CHW.transpose(1, 0, 2), row):
                for band, values_W in enumerate(values_CW):
                    file.seek((line * self.bands + band) * self.width + column)
                    file.write(np.ascontiguousarray(values_W).data)


class Work:
    """A map that is being made: its layers, and how far they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / PROGRESS
        self.rows_done: int = read_json(self.path) if self.path.exists() else 0
        """Rows of windows whose pixels are written."""

    def start_writing(self, paths: Iterable[Path]) -> None:
        """Record that these files may be the map's from now on: see `begun_files`."""
        write_json(self.folder / WRITING, [str(path.absolute()) for path in paths])

    def layer(self, name: str, height: int, width: int, bands: int = 1) -> Layer:
        """Return a layer of this map."""
        return Layer(self.folder / f"{name}.bin", height, width, bands)

    def finish_row(self) -> None:
        """Record that the next row of windows is written."""
        self.rows_done += 1
        write_json(self.path, self.rows_done)


def begun_files(key: str) -> set[Path]:
    """Return the files of a map that unfinished work with this key has begun to write: those that exist are its own."""
    path = cache_folder() / "predict" / key / WRITING
    return {Path(name) for name in read_json(path)} if path.exists() else set()


@contextmanager
def open_work(key: str) -> Iterator[Work]:
    """Open the unfinished work with this key, or start; remove it when the block succeeds.

    A second process with the same key waits.
    """
    root = cache_folder() / "predict"
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends, however it ends
        for done in root.glob(f"*{DONE}"):  # left by a killed process
            shutil.rmtree(done, ignore_errors=True)  # perhaps at the same time as another process
        folder = root / key
        folder.mkdir(exist_ok=True)
        yield Work(folder)
        done = folder.with_suffix(DONE)
        folder.rename(done)  # at once, so that a kill leaves no half of it to go on with
        shutil.rmtree(done, ignore_errors=True)
