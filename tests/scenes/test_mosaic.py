"""Any window of a mosaic is what GDAL and painting file over file give, with at most eight files open."""

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.raster.grids import Grid
from pipeline.scenes.mosaic import MAX_OPEN, PlacedFile, Placement, open_mosaic
from pipeline.scenes.vrt import open_vrt
from tests.raster.world import refuse
from tests.scenes.mosaics import OPTIONS, Piece, paint, read_all, read_with_gdal, write_pieces
from tests.world import at

PIECES = st.lists(
    st.builds(
        Piece,
        row=st.integers(-6, 11),
        column=st.integers(-6, 13),
        height=st.integers(1, 7),
        width=st.integers(1, 7),
        kind=st.sampled_from(["simple", "nodata", "mask"]),
        seed=st.integers(0, 99),
    ),
    min_size=1,
    max_size=5,
)


class FlatScene:
    """2 x 2 px of one value, valid; counts the open ones."""

    open_now: list[int] = []
    most_open = 0

    def __init__(self, value: int) -> None:
        self.name, self.height, self.width, self.georeference = f"{value}.tif", 2, 2, at(crs=None)
        self.identity: list[Any] = [value]
        self.files = [Path(self.name)]
        self.notes = ["a slow layout", f"{self.name} has no CRS, and so its map has none"]
        self.damaged: list[str] = []
        self.value = value

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        self.damaged.append(f"{self.name}: block 0")
        shape = (window.height, window.width)
        return np.full((*shape, 3), self.value, np.uint8), np.ones(shape, bool)

    @classmethod
    @contextmanager
    def open(cls, value: int, check_values: bool):  # type: ignore[no-untyped-def]
        if check_values and value == 0:
            raise PipelineError("0.tif would be all black")
        cls.open_now.append(value)
        FlatScene.most_open = max(FlatScene.most_open, len(cls.open_now))
        yield cls(value)
        cls.open_now.remove(value)


def flat(value: int, *place: int) -> PlacedFile:
    return PlacedFile(partial(FlatScene.open, value), Placement(*place))


@settings(max_examples=60)
@given(
    pieces=PIECES,
    corner=st.tuples(st.integers(0, 9), st.integers(0, 11)),
    size=st.tuples(st.integers(1, 10), st.integers(1, 12)),
)
def test_any_window_equals_gdal_and_numpy(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[Piece], corner: tuple[int, int], size: tuple[int, int]
) -> None:
    path = write_pieces(tmp_path_factory.mktemp("mosaic"), pieces)
    (row, column), height, width = corner, min(size[0], 10 - corner[0]), min(size[1], 12 - corner[1])
    window = Window(column, row, width, height)
    with open_vrt(path, OPTIONS) as scene:
        image_HWC, valid_HW = scene.read(window)
    gdal_HWC, gdal_valid_HW = read_with_gdal(path, window)
    part = slice(row, row + height), slice(column, column + width)
    painted_HWC, painted_valid_HW = (whole[part] for whole in paint(pieces))
    np.testing.assert_array_equal(image_HWC, gdal_HWC)
    np.testing.assert_array_equal(valid_HW, gdal_valid_HW)
    np.testing.assert_array_equal(image_HWC, painted_HWC)
    np.testing.assert_array_equal(valid_HW, painted_valid_HW)


def test_no_files_no_data() -> None:
    with open_mosaic(Grid("m", 3, 4, at()), []) as scene:
        assert not read_all(scene)[1].any()


def test_notes_are_those_of_the_mosaic_and_of_layouts() -> None:
    files = [flat(1, 0, 0, 2, 2), flat(2, 0, 2, 2, 2)]
    with open_mosaic(Grid("m", 2, 4, at()), files) as scene:
        assert scene.notes == ["a slow layout"]
    south_up = Georeference("EPSG:32630", Affine(10, 0, 0, 0, 10, 0))
    with open_mosaic(Grid("m", 2, 4, south_up), files) as scene:
        assert scene.notes == ["m is south-up, and so is its map", "a slow layout"]


def test_files_below_a_covered_window_stay_unread() -> None:
    with open_mosaic(Grid("m", 2, 2, at()), [flat(1, 0, 0, 2, 2), flat(2, 0, 0, 2, 2)]) as scene:
        image_HWC, _ = read_all(scene)
        assert (image_HWC == 2).all()
        assert scene.damaged == ["2.tif: block 0"]


def test_at_most_eight_files_are_open_and_none_afterwards() -> None:
    FlatScene.most_open = 0
    files = [flat(value, 0, 2 * value, 2, 2) for value in range(20)]
    with open_mosaic(Grid("m", 2, 40, at()), files) as scene:
        image_HWC, valid_HW = read_all(scene)
        read_all(scene)
        assert valid_HW.all()
        assert image_HWC[0, ::2, 0].tolist() == list(range(20))
        assert sorted(scene.damaged) == sorted(f"{value}.tif: block 0" for value in range(20))  # each once
        assert FlatScene.most_open == MAX_OPEN
    assert FlatScene.open_now == []


def test_identity_covers_files_order_and_placement() -> None:
    def identity(*files: PlacedFile) -> str:
        with open_mosaic(Grid("m", 9, 9, at()), files) as scene:
            assert len(scene.files) == len(files)
            return str(scene.identity)

    one, two = flat(1, 0, 0, 2, 2), flat(2, 1, 1, 2, 2)
    identities = {
        identity(one, two),
        identity(two, one),
        identity(one, flat(3, 1, 1, 2, 2)),
        identity(one, flat(2, 1, 2, 2, 2)),
        identity(one, PlacedFile(two.open, Placement(1, 1, 2, 2, is_opaque=True))),
        identity(one, PlacedFile(two.open, two.placement, ("nodata 0",))),
        identity(one),
    }
    assert len(identities) == 7
    assert identity(one, two) == identity(one, two)


def test_one_file_may_be_black_but_not_all() -> None:
    black, other = flat(0, 0, 0, 2, 2), flat(1, 0, 2, 2, 2)
    with open_mosaic(Grid("m", 9, 9, at()), [black, other]) as scene:
        assert read_all(scene)[1][:2, :4].all()
    refuse("0.tif would be all black", open_mosaic, Grid("m", 9, 9, at()), [black])


def test_a_part_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    message = r"m places rows 1 to 3 and columns 0 to 2 of 5.tif, which has 2 x 2 px"
    refuse(message, open_mosaic, Grid("m", 9, 9, at()), [flat(5, 0, 0, 2, 2, 1)])
    assert FlatScene.open_now == []
