"""GeoTIFFs that claim more than they can hold, a place that is none, or files beside them."""

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.errors import PipelineError
from pipeline.raster import geotiff
from pipeline.raster.geotiff import Georeference, open_geotiff, write_geotiff
from tests.world import UTM, at


def read(path: Path) -> None:
    with open_geotiff(path) as file:
        file.read()


def rewritten(path: Path, width: int, height: int) -> Path:
    """The same file, whose header claims another size."""
    write_geotiff(path, np.ones((1, 16, 16), np.uint8))
    text = bytearray(path.read_bytes())
    for tag, value in ((256, width), (257, height), (278, height)):  # ImageWidth, ImageLength, RowsPerStrip
        at = text.find(struct.pack("<H", tag), 8)
        text[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize(("width", "height"), [(31623, 31623), (2**31 - 1, 2**30), (1_000_000_000, 1)])
def test_a_few_bytes_that_claim_a_billion_pixels_are_refused(tmp_path: Path, width: int, height: int) -> None:
    path = rewritten(tmp_path / "a.tif", width, height)
    with pytest.raises(PipelineError, match=r"a.tif (claims .* px of 1 bytes in a file of|is not a readable GeoTIFF)"):
        read(path)


def test_a_file_that_is_too_large_to_read_at_once_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotiff, "MOST_PIXELS", 15)
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.read(window=Window(0, 0, 2, 2)).sum() == 4
        with pytest.raises(PipelineError, match="a.tif has 4 x 4 px; at most 15 are read at once"):
            file.read()


def test_blocks_that_are_too_large_to_decode_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 64, 64), np.uint8), blockysize=64)
    monkeypatch.setattr(geotiff, "MOST_AT_ONCE", 1000)
    with (
        pytest.raises(
            PipelineError, match="is stored in blocks of 64 x 64 px, which are too large to decode; write it"
        ),
        open_geotiff(tmp_path / "a.tif"),
    ):
        pass


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "transform",
    [
        (0.0, 0.0, 5.0, 0.0, 0.0, 7.0),
        (1.0, 1.0, 5.0, 1.0, 1.0, 7.0),
        (10.0, 0.0, 5.0, 0.0, 0.0, 7.0),
        (NAN, 0.0, 5.0, 0.0, -1.0, 7.0),
        (1.0, 0.0, INF, 0.0, -1.0, 7.0),
        (1e308, 0.0, 5.0, 0.0, -1.0, 7.0),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, transform: tuple[float, ...]) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), Georeference(UTM, Affine(*transform)))
    with pytest.raises(PipelineError, match=r"a.tif does not say where it lies: its geotransform is \[.*; set it w"):
        read(tmp_path / "a.tif")


VRT = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>'
    '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">secret.tif'
    "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.mark.parametrize("ending", [".MSK", ".ovr", ".ovr.msk", ".aux.xml"])
def test_no_file_beside_a_geotiff_is_opened(tmp_path: Path, ending: str) -> None:
    """Whatever driver it asks for: GDAL looks for .MSK too, if .msk is not there."""
    for name, value in (("a", 1), ("secret", 0)):
        write_geotiff(tmp_path / f"{name}.tif", np.full((1, 4, 4), value, np.uint8), at())
    body = VRT if ending != ".aux.xml" else "<PAMDataset><GeoTransform>0,0,0,0,0,0</GeoTransform></PAMDataset>"
    (tmp_path / f"a.tif{ending}").write_text(body)
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid().all()
        assert (file.read() == 1).all()
        assert file.georeference == at()


def test_a_mask_beside_a_geotiff_is_refused_not_overlooked(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), at())
    write_geotiff(tmp_path / "a.tif.msk", np.ones((1, 4, 4), np.uint8))
    with pytest.raises(PipelineError, match=r"a.tif has its mask in a file beside it, a.tif.msk, which is not read; w"):
        read(tmp_path / "a.tif")


def test_a_mask_within_a_geotiff_counts(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 2, 2), np.uint8), at())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.write_mask(np.array([[255, 0], [255, 255]], np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid().tolist() == [[True, False], [True, True]]
