"""From the layers that the network fills to those of the finished map: input grid, area, minimum mapping unit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from rasterio.windows import Window

from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.inference.layers import Layer, Work
from pipeline.inference.sieve import sieve
from pipeline.scenes.area import Area
from pipeline.scenes.scene import Scene

ROWS = 512
"""Rows of a block."""
ReadRows = Callable[[int, int], np.ndarray]
"""Read rows of a layer on the scene's grid, from `start` to `stop` within the mapped part, as (bands, rows, width)."""


@dataclass(frozen=True)
class Finish:
    """What is done to the layers of a map after the network."""

    area: Area
    min_pixels: int
    """Smaller patches are merged; 1 for none."""
    readers: Mapping[str, ReadRows]
    """By layer."""
    scene: Scene | None = None
    """As stored: where it has no data, the map has none. None where the network's layers already are 255 there."""
    is_unchanged: bool = False
    """Whether the network's layers are the finished ones."""


@dataclass
class Finished:
    """The layers of a finished map, on the scene's grid within the mapped part."""

    layers: dict[str, Layer] = field(default_factory=dict)
    counts_V: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    """Pixels by class id; index 255: no data."""

    def counts(self, table: ClassTable) -> dict[int, int]:
        """Return the pixels of each class."""
        return {class_id: int(self.counts_V[class_id]) for class_id in table.ids}


def finish_layers(finish: Finish, work: Work, raw: dict[str, Layer]) -> Finished:
    """Write the finished layers, block by block; a layer that does not change is not copied.

    Args:
        finish: what is done.
        work: where files of unfinished work lie.
        raw: layers as the network filled them.
    """
    finished = Finished()
    for name, layer in raw.items():
        blocks = _blocks(finish, name)
        if name == "classes" and finish.min_pixels > 1:
            blocks = (classes_HW[None] for classes_HW in _sieved(finish))
        if finish.is_unchanged:
            finished.layers[name] = layer
        else:
            bounds = finish.area.bounds
            finished.layers[name] = work.layer(f"finished-{name}", int(bounds.height), int(bounds.width), layer.bands)
        start = 0
        for block_CHW in blocks:
            if not finish.is_unchanged:
                finished.layers[name].write(start, 0, block_CHW)
            if name == "classes":
                finished.counts_V += np.bincount(block_CHW.ravel(), minlength=256)
            start += block_CHW.shape[1]
    return finished


def _sieved(finish: Finish) -> Iterator[np.ndarray]:
    return sieve(lambda: (block_CHW[0] for block_CHW in _blocks(finish, "classes")), finish.min_pixels)


def _blocks(finish: Finish, name: str) -> Iterator[np.ndarray]:
    """Yield row blocks (bands, rows, width) of a layer, no data outside the area."""
    bounds, read = finish.area.bounds, finish.readers[name]
    for start in range(0, int(bounds.height), ROWS):
        stop = min(start + ROWS, int(bounds.height))
        block_CHW = read(start, stop)
        window = Window(bounds.col_off, bounds.row_off + start, bounds.width, stop - start)
        wanted_HW = finish.area.read(window)
        if finish.scene is not None:
            wanted_HW &= finish.scene.read(window)[1]
        yield np.where(wanted_HW, block_CHW, np.uint8(IGNORE))
