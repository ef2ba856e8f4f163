"""Windows of a raster of which some blocks cannot be decoded."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window, intersection

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import file_errors
from pipeline.raster.integrity import is_one_strip
from pipeline.raster.remote import Location, NetworkError

UNDECODABLE = "cannot be read, the file is damaged"
Decode = Callable[[Window], Any]
"""Decode a window as (…, height, width)."""
Block = tuple[int, int]
"""Row and column of a block."""


class BlockError(PipelineError):
    """A block cannot be decoded."""


class BlockReader:
    """Decodes windows of a file; names a block that cannot be decoded, or leaves it out."""

    def __init__(self, path: Location, dataset: rasterio.DatasetReader, damaged: list[str] | None) -> None:
        """Blocks that cannot be decoded are errors, or are appended to `damaged` as text, each once."""
        self._path, self._damaged = path, damaged
        self._height, self._width = int(dataset.height), int(dataset.width)
        self.block_height, self.block_width = (int(side) for side in dataset.block_shapes[0])
        self._is_one_strip = is_one_strip(dataset)
        self._left_out: set[Block] = set()
        self._end = self._height
        """In a file of one strip, the row from which nothing can be decoded."""

    def read(self, decode: Decode, make_filled: Callable[[], np.ndarray], window: Window | None) -> np.ndarray:
        """Decode a window.

        Args:
            decode: decodes a window inside the image.
            make_filled: creates (…, height, width), the values where blocks are left out; called only if some are.
            window: None for the whole image.

        Raises:
            PipelineError: a block cannot be decoded and is not left out, or the network failed.
        """
        window = window or Window(0, 0, self._width, self._height)
        if self._is_whole or not self.left_out(window).any():
            try:
                return self._decode(decode, window)
            except NetworkError:
                raise
            except PipelineError as error:
                undecodable = error
            if self._damaged is None:
                self._name_damage(decode, window)
                raise undecodable
        filled = make_filled()
        for block, part in self._blocks(window):
            if not self._is_left_out(block):
                try:
                    filled[..., *_inside(window, part)] = self._decode_block(decode, block, part)
                except BlockError as error:
                    self._leave_out(block, str(error))
        return filled

    def left_out(self, window: Window | None) -> np.ndarray:
        """Return bool (height, width): True where blocks were left out so far."""
        window = window or Window(0, 0, self._width, self._height)
        mask_HW = np.zeros((window.height, window.width), bool)
        if not self._is_whole:
            for block, part in self._blocks(window):
                mask_HW[_inside(window, part)] = self._is_left_out(block)
        return mask_HW

    @property
    def _is_whole(self) -> bool:
        """Whether no block was left out so far."""
        return not self._left_out and self._end == self._height

    def _decode(self, decode: Decode, window: Window) -> np.ndarray:
        with file_errors(self._path, UNDECODABLE):
            return np.asarray(decode(window))

    def _decode_block(self, decode: Decode, block: Block, part: Window) -> np.ndarray:
        try:
            return self._decode(decode, part)
        except NetworkError:
            raise
        except PipelineError as error:
            reason = str(error).removeprefix(f"{self._path} {UNDECODABLE}: ")
            raise BlockError(f"{self._path} {UNDECODABLE}: {self._describe(block)}: {reason}") from None

    def _name_damage(self, decode: Decode, window: Window) -> None:
        """Decode block by block.

        Raises:
            BlockError: the first block that cannot be decoded.
        """
        for block, part in self._blocks(window):
            self._decode_block(decode, block, part)

    def _leave_out(self, block: Block, text: str) -> None:
        assert self._damaged is not None
        if not self._is_one_strip or self._end == self._height:
            self._damaged.append(text)
        self._left_out.add(block)
        if self._is_one_strip:  # the decoder cannot start again further down
            self._end = min(self._end, block[0] * self.block_height)

    def _is_left_out(self, block: Block) -> bool:
        return block in self._left_out or block[0] * self.block_height >= self._end

    def _describe(self, block: Block) -> str:
        row, column = block
        top, left = row * self.block_height, column * self.block_width
        if self._is_one_strip:
            return f"rows {top} to {self._height - 1} (its only block is damaged there)"
        bottom, right = min(top + self.block_height, self._height) - 1, min(left + self.block_width, self._width) - 1
        return f"block column {column}, row {row} (pixel columns {left} to {right}, rows {top} to {bottom})"

    def _blocks(self, window: Window) -> Iterator[tuple[Block, Window]]:
        """Yield the blocks that a window meets, row by row, and their parts inside the window."""
        height, width = self.block_height, self.block_width
        for row in range(window.row_off // height, -(-(window.row_off + window.height) // height)):
            for column in range(window.col_off // width, -(-(window.col_off + window.width) // width)):
                yield (row, column), intersection(window, Window(column * width, row * height, width, height))


def _inside(window: Window, part: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a part of a window, counted in the window."""
    row, column = part.row_off - window.row_off, part.col_off - window.col_off
    return slice(row, row + part.height), slice(column, column + part.width)
