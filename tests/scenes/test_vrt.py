"""A VRT has the pixels that GDAL's own driver reads; one that resamples or computes is refused with what to run."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine

from pipeline.raster.geotiff import write_geotiff
from pipeline.scenes.scene import ReadOptions
from pipeline.scenes.vrt import open_vrt
from tests.raster.world import refuse
from tests.scenes.mosaics import OPTIONS, Piece, read_all, read_with_gdal, source, vrt, write_pieces
from tests.world import at, gradient, hide

PIECE = Piece(1, 2, 5, 6)
SIMPLE = source(PIECE, "0.tif", 1)


def build(folder: Path, *arguments: str) -> Path:
    """Run gdalbuildvrt in the folder, as a person does."""
    if shutil.which("gdalbuildvrt") is None:
        pytest.skip("no gdalbuildvrt on this machine")
    subprocess.run(["gdalbuildvrt", "-q", "m.vrt", *arguments], cwd=folder, check=True)
    return folder / "m.vrt"


def write(folder: Path, text: str) -> Path:
    (folder / "mosaic.vrt").write_text(text)
    return folder / "mosaic.vrt"


def holes(seed: int, bands: int = 3) -> np.ndarray:
    """8 x 8 px of 1 to 255, with holes of 0 in all bands."""
    random = np.random.default_rng(seed)
    return random.integers(1, 256, (bands, 8, 8)).astype(np.uint8) * (random.random((8, 8)) > 0.3)


def write_pair(folder: Path, kind: str) -> None:
    """Two files of which the second begins 40 m to the right of the first."""
    for seed, name in enumerate(("a.tif", "b.tif")):
        place = at(x=500000 + 40 * seed)
        if kind == "alpha":
            values_CHW = holes(seed, 4)
            values_CHW[3] = np.where(values_CHW[3], 255, 0)
            write_geotiff(folder / name, values_CHW, place, photometric="RGB", alpha="YES")
        else:
            write_geotiff(folder / name, holes(seed), place, **({"nodata": 0} if kind == "nodata" else {}))
        if kind == "mask":
            hide(folder / name, holes(seed)[0] > 0)


def require_equal(path: Path) -> None:
    """Check pixels, position and, outside uncovered pixels, validity against GDAL."""
    with open_vrt(path, OPTIONS) as scene:
        image_HWC, valid_HW = read_all(scene)
        assert scene.georeference == at()
        assert (scene.height, scene.width) == valid_HW.shape
    gdal_HWC, gdal_valid_HW = read_with_gdal(path)
    np.testing.assert_array_equal(image_HWC, np.where(valid_HW[..., None], gdal_HWC, 0))
    assert not gdal_HWC[~valid_HW].any() or not gdal_valid_HW[~valid_HW].any()
    assert valid_HW.any()
    assert gdal_valid_HW[valid_HW].all()


@pytest.mark.parametrize("kind", ["plain", "nodata", "mask", "alpha", "of the VRT alone"])
def test_gdalbuildvrt(tmp_path: Path, kind: str) -> None:
    write_pair(tmp_path, kind)
    options = ["-srcnodata", "0", "-vrtnodata", "0"] if kind == "of the VRT alone" else []
    require_equal(build(tmp_path, *options, "a.tif", "b.tif"))


def test_a_pixel_counts_as_a_whole(tmp_path: Path) -> None:
    """GDAL takes red of the file below and green and blue of that above: the colour of neither."""
    for name, colour in (("a.tif", (1, 2, 3)), ("b.tif", (0, 5, 6))):
        write_geotiff(tmp_path / name, np.array(colour, np.uint8).reshape(3, 1, 1), at(), nodata=0)
    path = build(tmp_path, "a.tif", "b.tif")
    with open_vrt(path, OPTIONS) as scene:
        assert read_all(scene)[0].tolist() == [[[0, 5, 6]]]
    assert read_with_gdal(path)[0].tolist() == [[[1, 5, 6]]]


@pytest.mark.parametrize(("hide_nodata", "is_valid"), [("0", False), ("1", True)])
def test_hide_nodata_value(tmp_path: Path, hide_nodata: str, is_valid: bool) -> None:
    write_geotiff(tmp_path / "0.tif", np.zeros((3, 10, 12), np.uint8), at())
    head = f"<NoDataValue>0</NoDataValue><HideNoDataValue>{hide_nodata}</HideNoDataValue>"
    path = write(tmp_path, vrt([head + source(PIECE, "0.tif", band) for band in (1, 2, 3)]))
    with open_vrt(path, OPTIONS) as scene:
        _, valid_HW = read_all(scene)
    inside = slice(1, 6), slice(2, 8)
    assert (valid_HW[inside] == is_valid).all()
    np.testing.assert_array_equal(valid_HW[inside], read_with_gdal(path)[1][inside])


def test_bands_are_found_by_number_and_name(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "0.tif", gradient(10, 12, 5), at())
    sources = [
        f"<Description>{name}</Description>" + source(Piece(0, 0, 5, 5), "0.tif", band)
        for name, band in (("B02", 5), ("B03", 4), ("B04", 3))
    ]
    path = write(tmp_path, vrt(sources))
    for bands, colour in ((("1", "2", "3"), [52, 51, 50]), (("B04", "B03", "B02"), [50, 51, 52])):
        with open_vrt(path, ReadOptions(replace(OPTIONS.imagery, bands=bands))) as scene:
            assert read_all(scene)[0][0, 0].tolist() == colour
    options = ReadOptions(replace(OPTIONS.imagery, bands=("B08", "B03", "B02")))
    refuse("has the bands B02, B03, B04, 1, 2, 3, and the model needs B08, B03, B02", open_vrt, path, options)


def test_unused_bands_may_be_of_any_kind(tmp_path: Path) -> None:
    PIECE.write(tmp_path / "0.tif")
    derived = "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"
    path = write(tmp_path, vrt([*(source(PIECE, "0.tif", band) for band in (1, 2, 3)), derived]))
    with open_vrt(path, OPTIONS) as scene:
        assert read_all(scene)[1].any()


def test_window_by_gdal_translate(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", holes(0), at())
    if shutil.which("gdal_translate") is None:
        pytest.skip("no gdal_translate on this machine")
    command = ["gdal_translate", "-q", "-of", "VRT", "-srcwin", "2", "3", "4", "5", "a.tif", "w.vrt"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with open_vrt(tmp_path / "w.vrt", OPTIONS) as scene:
        image_HWC, _ = read_all(scene)
        assert scene.georeference == at(x=500020, y=999970)
    np.testing.assert_array_equal(image_HWC, read_with_gdal(tmp_path / "w.vrt")[0])


@pytest.mark.parametrize("nodata", [None, 0])
def test_each_band_in_a_file_of_its_own(tmp_path: Path, nodata: int | None) -> None:
    values_CHW = holes(0)
    for name, band_HW in zip(("r.tif", "g.tif", "b.tif"), values_CHW, strict=True):
        write_geotiff(tmp_path / name, band_HW[None], at(), nodata=nodata)
    path = build(tmp_path, "-separate", "r.tif", "g.tif", "b.tif")
    require_equal(path)
    names = ReadOptions(replace(OPTIONS.imagery, bands=("B04", "B03", "B02"), scale=1e-4, stretch=(0.0, 0.0255)))
    with open_vrt(path, names) as scene:
        np.testing.assert_array_equal(read_all(scene)[0], values_CHW.transpose(1, 2, 0))


def test_remote_sources_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    path, name = tmp_path / "mosaic.vrt", "http://127.0.0.1:9/of-a-vrt.tif"
    path.write_text(vrt([source(PIECE, f"/vsicurl/{name}", band) for band in (1, 2, 3)]))
    refuse(f"{name} cannot be reached", open_vrt, path, OPTIONS)


def test_rotated_grid_without_crs(tmp_path: Path) -> None:
    PIECE.write(tmp_path / "0.tif")
    text = vrt([source(PIECE, "0.tif", band) for band in (1, 2, 3)])
    path = write(tmp_path, text.replace("<SRS>EPSG:32630</SRS>", "").replace("10, 0, 1000000, 0", "8, 6, 1000000, 6"))
    with open_vrt(path, OPTIONS) as scene:
        assert scene.georeference.crs is None
        assert scene.georeference.transform == Affine(8, 6, 500000, 6, -10, 1000000)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<VRTDataset ", '<VRTDataset subClass="VRTWarpedDataset" ', "is a VRTWarpedDataset, which resamples"),
        ('band="1"', 'band="1" subClass="VRTDerivedRasterBand"', "has a VRTDerivedRasterBand, which computes"),
        ("SimpleSource", "KernelFilteredSource", "has a KernelFilteredSource, which computes"),
        ("<SrcRect", "<LUT>0:0,255:9</LUT><SrcRect", r"changes the values of a source \(LUT\)"),
        ('xOff="2" yOff="1"', 'xOff="2.5" yOff="1"', r"at fractions of a pixel \(2.5, 1, 6, 5\)"),
        ('xOff="2" yOff="1"', 'xOff="nan" yOff="1"', "at fractions of a pixel"),
        ('xOff="2" yOff="1"', 'xOff="1e300" yOff="1"', "at fractions of a pixel"),
        ('DstRect xOff="2" yOff="1" xSize="6"', 'DstRect xOff="2" yOff="1" xSize="12"', "resamples 6 x 5 px to 12 x 5"),
        ('xSize="6" ySize="5"', 'xSize="0" ySize="5"', "has a source of 0 x 5 px"),
        ("<SrcRect ", "<Other ", "changes the values of a source"),
        ("0.tif", "other.vrt", "has another VRT as a source, .*other.vrt"),
        ("0.tif", "/vsizip/a.zip/b.tif", "has the source '/vsizip/a.zip/b.tif', which is not the name of a GeoTIFF"),
        ("<SourceBand>1", "<SourceBand>mask,1", "reads the band 'mask,1' of a source"),
    ],
)
def test_refused_with_the_command(tmp_path: Path, old: str, new: str, message: str) -> None:
    PIECE.write(tmp_path / "0.tif")
    text = vrt([source(PIECE, "0.tif", band) for band in (1, 2, 3)])
    assert old in text
    path = write(tmp_path, text.replace(old, new))
    command = f"gdal_translate -co TILED=YES -co COMPRESS=DEFLATE -co BIGTIFF=IF_SAFER {path} mosaic.tif"
    assert command in refuse(message, open_vrt, path, OPTIONS)


def test_a_colour_table_is_refused(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "0.tif", gradient(10, 12, 1), at())
    path = write(tmp_path, vrt(["<ColorTable><Entry c1='1' c2='2' c3='3'/></ColorTable>" + SIMPLE]))
    refuse("has a colour table.*gdal_translate -expand rgb", open_vrt, path, OPTIONS)


def test_black_is_valid_where_the_mask_of_a_file_shows_it(tmp_path: Path) -> None:
    """The VRT takes its no-data value from the first file, and GDAL the validity from the MaskBand."""
    write_geotiff(tmp_path / "a.tif", holes(0), at(), nodata=0)
    write_geotiff(tmp_path / "b.tif", np.zeros((3, 8, 8), np.uint8), at(x=500080))
    hide(tmp_path / "b.tif", holes(1)[0] > 0)
    path = build(tmp_path, "a.tif", "b.tif")
    with open_vrt(path, OPTIONS) as scene:
        _, valid_HW = read_all(scene)
    np.testing.assert_array_equal(valid_HW[:, 8:], holes(1)[0] > 0)
    np.testing.assert_array_equal(valid_HW, read_with_gdal(path)[1])


def test_bands_of_different_files_are_refused(tmp_path: Path) -> None:
    pieces = [Piece(0, 0, 3, 3), Piece(2, 2, 3, 3)]
    path = write_pieces(tmp_path, pieces)
    first, second = (source(pieces[0], "0.tif", 1), source(pieces[1], "1.tif", 1))
    for bands, message in (
        ([first + second, first, first], "has bands of different files"),
        ([first, second, first], "places the bands of .*0.tif differently"),
        ([first, first, source(pieces[0], "1.tif", 1)], "combines bands of several files"),
    ):
        path.write_text(vrt(bands))
        refuse(message, open_vrt, path, OPTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a", "is not valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><VRTDataset/>', "it has a DOCTYPE"),
        ("<PAMDataset/>", "is not a VRT: its root element is PAMDataset"),
        ("<VRTDataset/>", "'' is not a number"),
        ('<VRTDataset rasterXSize="1" rasterYSize="0"/>', "states an invalid extent or pixel size, 1 x 0 px"),
        ('<VRTDataset rasterXSize="1" rasterYSize="1"><GCPList/></VRTDataset>', "ground control points"),
        (
            '<VRTDataset rasterXSize="1" rasterYSize="1"><GeoTransform>0,0,0,0,0,0</GeoTransform></VRTDataset>',
            "1 x 1 px with the geotransform 0, 0, 0, 0, 0, 0; recreate it",
        ),
        ('<VRTDataset rasterXSize="1" rasterYSize="1"><SRS>/etc/passwd</SRS></VRTDataset>', "not contain a valid CRS"),
    ],
)
def test_damaged(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    refuse(message, open_vrt, path, OPTIONS)


def test_the_largest_size_allocates_nothing(tmp_path: Path) -> None:
    PIECE.write(tmp_path / "0.tif")
    path = write(tmp_path, vrt([source(PIECE, "0.tif", band) for band in (1, 2, 3)], 2**31 - 1, 2**31 - 1))
    with open_vrt(path, OPTIONS) as scene:
        assert (scene.height, scene.width) == (2**31 - 1, 2**31 - 1)


@pytest.mark.parametrize("is_separate", [False, True])
def test_many_bands_are_found_in_one_file_or_several(tmp_path: Path, is_separate: bool) -> None:
    image_CHW = holes(0, 4)
    write_geotiff(tmp_path / "a.tif", image_CHW, at(), photometric="MINISBLACK")
    for band in range(4):
        write_geotiff(tmp_path / f"{band}.tif", image_CHW[[band]], at())
    path = build(tmp_path, *(["-separate", *(f"{band}.tif" for band in range(4))] if is_separate else ["a.tif"]))
    with open_vrt(path, ReadOptions(replace(OPTIONS.imagery, bands=("2", "1", "3", "4")))) as scene:
        image_HWC, valid_HW = read_all(scene)
    assert np.array_equal(image_HWC, image_CHW[[1, 0, 2, 3]].transpose(1, 2, 0))
    assert valid_HW.all()
