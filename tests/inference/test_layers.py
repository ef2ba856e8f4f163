"""What is written window by window is read row by row; unfinished work is found again, by one process at a time."""

from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.inference.layers import Layer, open_work


@given(data=st.data())
def test_what_is_written_in_pieces_is_read_in_other_pieces(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bands, height, width = (data.draw(st.integers(1, 6)) for _ in range(3))
    rows_CHW = np.arange(bands * height * width, dtype=np.uint8).reshape(bands, height, width)
    layer = Layer(tmp_path_factory.mktemp("layer") / "x.bin", height, width, bands)
    cut, split = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
    for top, bottom in ((cut, height), (0, cut)):
        for left, right in ((split, width), (0, split)):
            layer.write(top, left, rows_CHW[:, top:bottom, left:right])
    start = data.draw(st.integers(0, height - 1))
    stop = data.draw(st.integers(start + 1, height))
    assert (layer.read(start, stop) == rows_CHW[:, start:stop]).all()


def test_unfinished_work_is_found_again_and_finished_work_removed(own_cache: Path) -> None:
    row_CHW = np.full((1, 2, 3), 7, np.uint8)
    with pytest.raises(PipelineError), open_work("key") as work:
        work.layer("classes", 4, 3).write(0, 0, row_CHW)
        work.finish_row()
        raise PipelineError("stopped")
    with open_work("other") as work:
        assert work.rows_done == 0
    with open_work("key") as work:
        assert work.rows_done == 1
        work.layer("classes", 4, 3).write(2, 0, row_CHW)
        work.finish_row()
        assert (work.layer("classes", 4, 3).read(0, 4) == 7).all()
        assert work.rows_done == 2
    with open_work("key") as work:
        assert work.rows_done == 0
    assert not [path for path in (own_cache / "predict").iterdir() if path.is_dir()]


def test_a_second_process_waits() -> None:
    """A thread stands for it: the lock belongs to the open file."""
    found: list[int] = []

    def other() -> None:
        with open_work("key") as work:
            found.append(work.rows_done)

    with open_work("key") as work:
        thread = Thread(target=other)
        thread.start()
        work.finish_row()
        thread.join(0.5)
        assert found == []
    thread.join(60)
    assert found == [0]
