"""Pixels of an open file, of which some blocks may be damaged."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
import rasterio
from rasterio.windows import Window, intersection

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import file_errors
from pipeline.raster.integrity import is_one_strip
from pipeline.raster.remote import Location, NetworkError

UNDECODABLE = "cannot be read, the file is damaged"
Decode = Callable[..., Any]
"""Decode a `window` as (…, height, width)."""
Block = tuple[int, int]
"""Row and column of a block."""


class BlockError(PipelineError):
    """A block cannot be decoded."""


class Pixels(Protocol):
    """Bands and masks of windows inside an image."""

    def read(self, bands: tuple[int, ...], window: Window) -> np.ndarray:
        """Read bands, counted from 1, as (bands, height, width) in the file's dtype."""

    def internal_mask(self, window: Window) -> np.ndarray:
        """Read the mask stored in the file, bool (height, width): False where hidden."""

    def left_out(self, window: Window) -> np.ndarray:
        """Return bool (height, width): True in damaged blocks that were left out of what was read so far."""


class FilePixels:
    """Pixels of an open file; names a block that cannot be decoded, or leaves it out."""

    def __init__(
        self,
        path: Location,
        dataset: rasterio.DatasetReader,
        mask_bands: tuple[int, ...],
        damaged: list[str] | None,
    ) -> None:
        """Blocks that cannot be decoded are errors, or are appended to `damaged` as text, each once.

        A pixel is hidden where the masks of all `mask_bands` hide it.
        """
        self._path, self._dataset, self._mask_bands, self._damaged = path, dataset, mask_bands, damaged
        self._height, self._width = int(dataset.height), int(dataset.width)
        self._block_height, self._block_width = (int(side) for side in dataset.block_shapes[0])
        self._is_one_strip = is_one_strip(dataset)
        self._last: tuple[Window, np.ndarray] | None = None
        self._left_out: set[Block] = set()
        self._end = self._height
        """In a file of one strip, the row from which nothing can be decoded."""

    def read(self, bands: tuple[int, ...], window: Window) -> np.ndarray:
        """Read bands of a window; black where blocks are left out.

        Raises:
            PipelineError: a block cannot be decoded and is not left out, or the network failed.
        """
        if not self._is_one_strip:
            return self._read(bands, window)
        if self._last is None or self._last[0] != window:  # another band would decode the strip from its start
            self._last = window, self._read(tuple(self._dataset.indexes), window)
        return self._last[1][[band - 1 for band in bands]]

    def internal_mask(self, window: Window) -> np.ndarray:
        """Read the mask stored in the file; False where blocks of it are left out.

        Raises:
            PipelineError: as for `read`.
        """
        visible_HW = np.full((window.height, window.width), not self._mask_bands)
        for band in self._mask_bands:
            decode = partial(self._dataset.read_masks, band)
            visible_HW |= self._decode_or_leave_out(decode, visible_HW.shape, np.uint8, window) > 0
        return visible_HW

    def left_out(self, window: Window) -> np.ndarray:
        """Return bool (height, width): True where blocks were left out so far."""
        mask_HW = np.zeros((window.height, window.width), bool)
        if not self._is_whole:
            for block, part in self._blocks(window):
                mask_HW[inside(window, part)] = self._is_left_out(block)
        return mask_HW

    def _read(self, bands: tuple[int, ...], window: Window) -> np.ndarray:
        shape = (len(bands), window.height, window.width)
        decode = partial(self._dataset.read, list(bands))
        return self._decode_or_leave_out(decode, shape, self._dataset.dtypes[0], window)

    def _decode_or_leave_out(self, decode: Decode, shape: tuple[int, ...], dtype: Any, window: Window) -> np.ndarray:
        if self._is_whole or not self.left_out(window).any():
            try:
                return self._decode(decode, window)
            except NetworkError:
                raise
            except PipelineError as error:
                undecodable = error
            if self._damaged is None:
                for block, part in self._blocks(window):  # to name the first that cannot be decoded
                    self._decode_block(decode, block, part)
                raise undecodable
        filled = np.zeros(shape, dtype)
        for block, part in self._blocks(window):
            if not self._is_left_out(block):
                try:
                    filled[..., *inside(window, part)] = self._decode_block(decode, block, part)
                except BlockError as error:
                    self._leave_out(block, str(error))
        return filled

    @property
    def _is_whole(self) -> bool:
        """Whether no block was left out so far."""
        return not self._left_out and self._end == self._height

    def _decode(self, decode: Decode, window: Window) -> np.ndarray:
        with file_errors(self._path, UNDECODABLE):
            return np.asarray(decode(window=window))

    def _decode_block(self, decode: Decode, block: Block, part: Window) -> np.ndarray:
        try:
            return self._decode(decode, part)
        except NetworkError:
            raise
        except PipelineError as error:
            reason = str(error).removeprefix(f"{self._path} {UNDECODABLE}: ")
            raise BlockError(f"{self._path} {UNDECODABLE}: {self._describe(block)}: {reason}") from None

    def _leave_out(self, block: Block, text: str) -> None:
        assert self._damaged is not None
        if not self._is_one_strip or self._end == self._height:
            self._damaged.append(text)
        self._left_out.add(block)
        if self._is_one_strip:  # the decoder cannot start again further down
            self._end = min(self._end, block[0] * self._block_height)

    def _is_left_out(self, block: Block) -> bool:
        return block in self._left_out or block[0] * self._block_height >= self._end

    def _describe(self, block: Block) -> str:
        row, column = block
        top, left = row * self._block_height, column * self._block_width
        if self._is_one_strip:
            return f"rows {top} to {self._height - 1} (its only block is damaged there)"
        bottom, right = min(top + self._block_height, self._height) - 1, min(left + self._block_width, self._width) - 1
        return f"block column {column}, row {row} (pixel columns {left} to {right}, rows {top} to {bottom})"

    def _blocks(self, window: Window) -> Iterator[tuple[Block, Window]]:
        """Yield the blocks that a window meets, row by row, and their parts inside the window."""
        height, width = self._block_height, self._block_width
        for row in range(window.row_off // height, -(-(window.row_off + window.height) // height)):
            for column in range(window.col_off // width, -(-(window.col_off + window.width) // width)):
                yield (row, column), intersection(window, Window(column * width, row * height, width, height))


def inside(window: Window, part: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a part of a window, counted in the window."""
    row, column = part.row_off - window.row_off, part.col_off - window.col_off
    return slice(row, row + part.height), slice(column, column + part.width)
