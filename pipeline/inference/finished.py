"""From the layers that the network fills to those of the finished map: input grid, area, minimum mapping unit."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from rasterio.windows import Window

from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.inference.frame import Frame
from pipeline.inference.layers import Layer, Work
from pipeline.inference.sieve import sieve
from pipeline.scenes.area import Area

ROWS = 512
"""Rows of a block."""


@dataclass(frozen=True)
class Finish:
    """What is done to the layers of a map after the network."""

    frame: Frame
    """The grid of the network's layers."""
    area: Area
    min_pixels: int
    """Smaller patches are merged; 1 for none."""

    @property
    def is_unchanged(self) -> bool:
        """Whether the network's layers are the finished ones."""
        return self.frame.resampled is None and self.area.is_whole and self.min_pixels == 1


@dataclass
class Finished:
    """The layers of a finished map, on the scene's grid within the mapped part."""

    layers: dict[str, Layer] = field(default_factory=dict)
    """Classes first."""
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
    finished, bounds = Finished(), finish.area.bounds
    for name, layer in raw.items():
        blocks = _sieved(finish, layer) if name == "classes" else _blocks(finish, layer)
        if finish.is_unchanged:
            finished.layers[name] = layer
        else:
            finished.layers[name] = work.layer(f"finished-{name}", int(bounds.height), int(bounds.width), layer.bands)
        start = 0
        for block_CHW in blocks:
            if not finish.is_unchanged:
                finished.layers[name].write(start, 0, block_CHW)
            if name == "classes":
                finished.counts_V += np.bincount(block_CHW.ravel(), minlength=256)
            start += block_CHW.shape[1]
    return finished


def _sieved(finish: Finish, layer: Layer) -> Iterator[np.ndarray]:
    """Yield the blocks of the classes without patches that are too small."""
    classes = sieve(lambda: (block_CHW[0] for block_CHW in _blocks(finish, layer)), finish.min_pixels)
    return (class_HW[None] for class_HW in classes)


def _blocks(finish: Finish, layer: Layer) -> Iterator[np.ndarray]:
    """Yield row blocks (bands, rows, width) of a layer on the scene's grid, no data outside the area."""
    bounds, resampled = finish.area.bounds, finish.frame.resampled
    for start in range(0, int(bounds.height), ROWS):
        stop = min(start + ROWS, int(bounds.height))
        block_CHW = finish.frame.read_rows(layer, start, stop)
        window = Window(bounds.col_off, bounds.row_off + start, bounds.width, stop - start)
        wanted_HW = finish.area.read(window)
        if resampled is not None:  # a thin line of no data is lost at another pixel size
            wanted_HW &= resampled.scene.read(window)[1]
        yield np.where(wanted_HW, block_CHW, np.uint8(IGNORE))
