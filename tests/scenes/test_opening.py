"""Any kind of scene by its suffix, and several as one."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import write_geotiff
from pipeline.scenes.opening import merge_scenes, open_any
from tests.scenes.mosaics import OPTIONS, Piece, read_all, write_pieces
from tests.scenes.test_tile_index import write_gti, write_index
from tests.world import at


def write(path: Path, value: int, column: int, **profile: object) -> str:
    write_geotiff(path, np.full((3, 2, 3), value, np.uint8), at(x=500000 + 10 * column), **profile)
    return str(path)


def test_by_suffix(tmp_path: Path) -> None:
    tiff = write(tmp_path / "a.TIF", 7, 0)
    vrt = write_pieces(tmp_path, [Piece(0, 0, 3, 3)])
    index = write_index(tmp_path / "i.gpkg", ["a.TIF"])
    gti = write_gti(tmp_path / "i.GTI", index)
    widths = []
    for source in (tiff, str(vrt), str(index), str(gti)):
        with open_any(source, OPTIONS) as scene:
            widths.append(scene.width)
            assert scene.name == source
            assert read_all(scene)[1].any()
    assert widths == [3, 12, 3, 3]


@pytest.mark.parametrize("suffix", [".vrt", ".gpkg", ".gti"])
def test_missing_and_remote(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(PipelineError, match=f"missing{suffix} does not exist"):
        open_any(str(tmp_path / f"missing{suffix}"), OPTIONS)
    with pytest.raises(PipelineError, match=f"https://a.b/c{suffix} is remote; download it"):
        open_any(f"https://a.b/c{suffix}", OPTIONS)


def test_merge_draws_the_later_over_the_earlier(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.tif", 10, 0), write(tmp_path / "b.tif", 20, 2)
    for sources, expected in (((first, second), [10, 10, 20, 20, 20]), ((second, first), [10, 10, 10, 20, 20])):
        with merge_scenes(sources, OPTIONS) as scene:
            image_HWC, valid_HW = read_all(scene)
            assert scene.georeference == at()
        assert image_HWC[0, :, 0].tolist() == expected
        assert valid_HW.all()


def test_merge_of_vrt_and_geotiff(tmp_path: Path) -> None:
    vrt = write_pieces(tmp_path, [Piece(0, 0, 10, 12)])
    tiff = write(tmp_path / "a.tif", 99, 12)
    with merge_scenes([str(vrt), tiff], OPTIONS) as scene:
        image_HWC, _ = read_all(scene)
    assert image_HWC.shape == (10, 15, 3)
    assert (image_HWC[:2, 12:] == 99).all()
