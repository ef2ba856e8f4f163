"""Sidecars of a GeoTIFF, with GDAL as the oracle."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import WktVersion
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster import sidecars
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.sidecars import with_sidecars
from tests.world import UTM, at, gradient

BANDS_CHW = np.array([[[0, 1, 2]], [[0, 0, 9]]], np.uint8)
PL92 = CRS.from_epsg(2180)
ESRI = str(PL92.to_wkt(version=WktVersion.WKT1_ESRI))
WORLD = "0.5\n0\n0\n-0.5\n100.25\n199.75\n"
TRANSFORM = Affine(0.5, 0, 100, 0, -0.5, 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_geotiff(tmp_path / "a.tif", BANDS_CHW)
    return tmp_path / "a.tif"


def pam(path: Path, body: str, name: str = "a.tif.aux.xml") -> None:
    path.with_name(name).write_text(f"<PAMDataset>{body}</PAMDataset>")


def band(number: int, body: str) -> str:
    return f'<PAMRasterBand band="{number}">{body}</PAMRasterBand>'


def read_with_gdal(path: Path) -> tuple[Any, ...]:
    with rasterio.open(path) as dataset:
        code = dataset.crs.to_epsg(confidence_threshold=100) if dataset.crs else None
        alpha = [band for band, meaning in enumerate(dataset.colorinterp, 1) if meaning.name == "alpha"]
        return (
            dataset.nodatavals,
            dataset.scales,
            dataset.offsets,
            f"EPSG:{code}" if code else None,
            dataset.transform,
            alpha[0] if alpha else None,
        )


def read_with_pipeline(path: Path) -> tuple[Any, ...]:
    with open_geotiff(path) as file:
        georeference = file.georeference
        nodata = tuple(None if value is None else float(value) for value in file.nodata)
        scales, offsets = (tuple(map(float, values)) for values in (file.scales, file.offsets))
        return nodata, scales, offsets, georeference.crs, georeference.transform, file.alpha_band


@pytest.mark.parametrize(
    "body",
    [
        band(1, "<NoDataValue>0</NoDataValue>") + band(2, "<NoDataValue>9.00000000000000000E+00</NoDataValue>"),
        band(2, "<NoDataValue>0</NoDataValue>"),
        band(1, "<Offset>5</Offset><Scale>0.25</Scale>"),
        band(2, "<ColorInterp>Alpha</ColorInterp>"),
        f'<SRS dataAxisToSRSAxisMapping="2,1">{PL92.to_wkt()}</SRS>'
        "<GeoTransform> 1.0e+02,  5.0e-01,  0, 2.0e+02,  0, -5.0e-01</GeoTransform>",
        "<SRS>EPSG:2180</SRS>",
        '<Metadata domain="xml:ESRI" format="xml"><GeodataXform xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:type="typens:IdentityXform"><SpatialReference><WKT>{PL92.to_wkt()}</WKT></SpatialReference></GeodataXform></Metadata>',
    ],
)
@pytest.mark.parametrize("own", [None, at(crs=UTM)])
def test_an_aux_xml_overrides_the_file_as_in_gdal(path: Path, body: str, own: Georeference | None) -> None:
    write_geotiff(path, BANDS_CHW, own or Georeference(None, TRANSFORM), nodata=1)
    before = read_with_pipeline(path)
    pam(path, body)
    assert str(read_with_pipeline(path)) == str(read_with_gdal(path)) != str(before)  # as text, since NaN != NaN


def test_a_pixel_is_hidden_where_all_bands_with_no_data_have_none(path: Path) -> None:
    pam(path, band(1, "<NoDataValue>0</NoDataValue>"))
    with open_geotiff(path) as file:
        assert file.valid_mask().tolist() == [[False, True, True]]
    pam(path, band(1, "<NoDataValue>2</NoDataValue>") + band(2, "<NoDataValue>9</NoDataValue>"))
    with open_geotiff(path) as file:
        assert file.valid_mask().tolist() == [[True, True, False]]
        assert file.has_data(file.read(), (1, 2)).tolist() == [[[True, True, False]], [[True, True, False]]]


def test_no_data_may_be_nan(path: Path) -> None:
    write_geotiff(path, np.array([[[1, np.nan]]], np.float32), at())
    pam(path, band(1, '<NoDataValue le_hex_equiv="000000000000F87F">nan</NoDataValue>'))
    with open_geotiff(path) as file:
        assert file.valid_mask().tolist() == [[True, False]]


STATISTICS = band(
    1,
    "<Description>red</Description><Histograms><HistItem><HistMin>0</HistMin></HistItem></Histograms><Metadata>"
    '<MDI key="STATISTICS_MAXIMUM">255</MDI></Metadata><UnitType>m</UnitType><CategoryNames/>'
    "<GDALRasterAttributeTable/><ColorInterp>Red</ColorInterp>",
)


@pytest.mark.parametrize(
    "text", [f"<PAMDataset>{STATISTICS}</PAMDataset>", "\ufeff<PAMDataset/>", "<metadata><GCPList/></metadata>"]
)
def test_statistics_and_unknown_elements_change_nothing(path: Path, text: str) -> None:
    before = read_with_pipeline(path)
    path.with_name("a.tif.aux.xml").write_text(text, encoding="utf-8")
    assert read_with_pipeline(path) == before == read_with_gdal_quietly(path)


def read_with_gdal_quietly(path: Path) -> tuple[Any, ...]:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        return read_with_gdal(path)


WARP = "contains ground control points or a warp, which is not supported; write the georeference into"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<PAMDataset><GCPList><GCP/></GCPList></PAMDataset>", WARP),
        ('<PAMDataset><Metadata><GeodataXform a="b"/></Metadata></PAMDataset>', WARP),
        ('<PAMDataset><GeodataXform xmlns:x="y" x:type="typens:PolynomialXform"/></PAMDataset>', WARP),
        ("<PAMDataset>", "is not valid XML: no element found"),
        ("not XML", "is not valid XML: syntax error"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset>&b;</PAMDataset>', "is not valid XML: it has a DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "secret.txt"><PAMDataset/>', "is not valid XML: it has a DOCTYPE"),
        ("<PAMDataset><SRS>secret.txt</SRS></PAMDataset>", "does not contain a valid CRS"),
        ("<PAMDataset><SRS>EPSG:999999</SRS></PAMDataset>", "does not contain a valid CRS"),
    ],
)
def test_an_invalid_or_unsupported_aux_xml_is_refused(
    path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    (path.parent / "secret.txt").write_text(PL92.to_wkt())
    path.with_name("a.tif.aux.xml").write_text(text)
    with pytest.raises(PipelineError, match=rf"/a\.tif\.aux\.xml {message}"), open_geotiff(path):
        pass


def test_an_invalid_transform_in_an_aux_xml_is_refused(path: Path) -> None:
    pam(path, "<GeoTransform>0,0,0,0,0,0</GeoTransform>")
    with (
        pytest.raises(PipelineError, match=r"a.tif has an invalid geotransform"),
        open_geotiff(path),
    ):
        pass


@pytest.mark.parametrize("name", ["a.tfw", "a.TFW", "a.Tfw", "a.tifw", "a.wld"])
def test_a_world_file_georeferences_a_file_without_transform(path: Path, name: str) -> None:
    path.with_name(name).write_text(WORLD)
    assert read_with_pipeline(path) == read_with_gdal(path)
    with open_geotiff(path) as file:
        assert file.georeference == Georeference(None, TRANSFORM)
    write_geotiff(path, BANDS_CHW, at())  # its own transform takes precedence
    with open_geotiff(path) as file:
        assert file.georeference == at()


@pytest.mark.parametrize("name", ["b.tiff", "b.TIF"])
def test_other_extensions_have_world_files_too(path: Path, name: str) -> None:
    other = path.rename(path.with_name(name))
    path.with_name("b.tfw").write_text(WORLD.replace(".", ","))
    assert read_with_pipeline(other) == read_with_gdal(other)
    with open_geotiff(other) as file:
        assert file.georeference.transform == TRANSFORM


def test_world_files_give_the_centre_of_a_rotated_pixel(path: Path) -> None:
    path.with_name("a.tfw").write_text("0.3\n0.4\n0.4\n-0.3\n100\n200")
    assert read_with_pipeline(path)[4] == pytest.approx(read_with_gdal(path)[4])


@pytest.mark.parametrize("name", ["a.prj", "a.PRJ"])
@pytest.mark.parametrize("wkt", [ESRI, PL92.to_wkt(), PL92.to_wkt(version=WktVersion.WKT2_2019)])
def test_a_prj_gives_the_crs_of_a_file_without_one(path: Path, name: str, wkt: str) -> None:
    path.with_name("a.tfw").write_text(WORLD)
    path.with_name(name).write_text(f"{wkt}\n")
    with open_geotiff(path) as file:
        assert file.georeference == Georeference("EPSG:2180", TRANSFORM)
        assert file.georeference.locate(1, 1) == {"x": 100.5, "y": 199.5, "crs": "EPSG:2180", "pixel_size": 0.5}
    write_geotiff(path, BANDS_CHW, at())
    with open_geotiff(path) as file:
        assert file.georeference == at()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tfw", b"1 2 3"),
        ("a.tfw", b"a b c d e f"),
        ("a.tfw", b"\xff\xfe1\x00"),
        ("a.tab", b"!table"),
        ("a.aux", b"EHFA"),
    ],
)
def test_a_position_that_cannot_be_read_is_refused(path: Path, name: str, content: bytes) -> None:
    path.with_name(name).write_bytes(content)
    with (
        pytest.raises(PipelineError, match=rf"/{name} may contain the georeference of .*a.tif, but"),
        open_geotiff(path),
    ):
        pass
    write_geotiff(path, BANDS_CHW, at())  # then it is not needed
    with open_geotiff(path) as file:
        assert file.georeference == at()


def test_a_prj_without_a_crs_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.with_name("a.prj").write_text("somewhere")
    with pytest.raises(PipelineError, match=r"a.prj does not contain a valid CRS; remove or rec"), open_geotiff(path):
        pass
    monkeypatch.setattr(sidecars, "MAX_BYTES", 3)
    with pytest.raises(PipelineError, match=r"a.prj has 9 bytes; at most 3 are read"), open_geotiff(path):
        pass


def test_text_in_any_encoding_is_read(path: Path) -> None:
    named = '<?xml version="1.0" encoding="ISO-8859-1"?><PAMDataset>' + band(1, "<Description>Höhe</Description>")
    path.with_name("a.tif.aux.xml").write_text(f"{named}</PAMDataset>", encoding="latin-1")
    with open_geotiff(path) as file:
        assert file.nodata == (None, None)


VRT = (
    '<VRTDataset rasterXSize="3" rasterYSize="1"><Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>'
    '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">secret.tif'
    "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.mark.parametrize("ending", [".ovr", ".ovr.msk", ".aux.xml"])
def test_no_other_driver_opens_a_sidecar(path: Path, ending: str) -> None:
    write_geotiff(path.with_name("secret.tif"), BANDS_CHW[:1] * 0, at())
    path.with_name(f"a.tif{ending}").write_text(VRT)
    with open_geotiff(path) as file:
        assert file.valid_mask().all()
        assert np.array_equal(file.read(), BANDS_CHW)


@pytest.mark.parametrize("ending", [".msk", ".MSK"])
@pytest.mark.parametrize("text", [VRT, ""])
def test_an_external_mask_is_refused(path: Path, ending: str, text: str) -> None:
    path.with_name(f"a.tif{ending}").write_text(text)
    with pytest.raises(
        PipelineError, match=rf"a.tif has its mask in a separate file, a.tif{ending}, which is not supported"
    ):
        read_with_pipeline(path)


def test_files_are_followed_by_their_sidecars(tmp_path: Path) -> None:
    images = [tmp_path / "a.tif", tmp_path / "ab.tif"]
    for name in ("a.tif", "a.tif.aux.xml", "a.TFW", "a.txt", "ab.tif", "ab.prj", "ab.tif.ovr", "b.tfw"):
        (tmp_path / name).touch()
    names = [file.name for file in with_sidecars(images)]
    assert names == ["a.tif", "a.TFW", "a.tif.aux.xml", "ab.tif", "ab.prj"]


@pytest.mark.parametrize("text", ["99999999999999999999", "-9999999999999999999"])
def test_no_data_beyond_64_bits_hides_nothing_in_integers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, gradient(4, 4), at())
    pam(path, band(1, f"<NoDataValue>{text}</NoDataValue>"))
    with open_geotiff(path) as file:
        assert file.valid_mask().all()


def test_no_data_in_a_sidecar_fills_the_blocks_that_a_sparse_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True, "crs": UTM}
    shape = {"driver": "GTiff", "width": 32, "height": 32, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", transform=at().transform, **shape, **profile) as dataset:
        dataset.write(np.ones((16, 16), np.uint8), 1, window=Window(0, 0, 16, 16))
    pam(path, band(1, "<NoDataValue>200</NoDataValue>"))
    with open_geotiff(path) as file:
        assert int(file.valid_mask().sum()) == 256


def test_a_mapinfo_table_georeferences_a_file_without_transform(path: Path) -> None:
    path.with_name("a.tab").write_text(
        '!table\n!version 300\nDefinition Table\n  File "a.tif"\n  Type "RASTER"\n'
        '  (100,200) (0,0) Label "1",\n  (101.5,200) (3,0) Label "2",\n  (100,199.5) (0,1) Label "3"\n'
        '  CoordSys Earth Projection 8, 104, "m", -3, 0, 0.9996, 500000, 0\n  Units "m"\n'
    )
    with open_geotiff(path) as file:
        assert file.georeference.transform.almost_equals(TRANSFORM)
        assert 'PARAMETER["central_meridian",-3]' in str(file.georeference.crs)


def test_a_folder_is_listed_again_when_it_has_changed(path: Path) -> None:
    hour = time.time() - 3600
    os.utime(path.parent, (hour, hour))
    assert with_sidecars([path]) == [path]
    path.with_suffix(".tfw").write_text(WORLD)
    assert with_sidecars([path]) == [path, path.with_suffix(".tfw")]


def test_a_folder_that_has_just_changed_is_listed_each_time(path: Path) -> None:
    now = time.time()
    os.utime(path.parent, (now, now))
    assert with_sidecars([path]) == [path]
    path.with_suffix(".tfw").write_text(WORLD)
    os.utime(path.parent, (now, now))  # as if both changes were too close to be told apart
    assert with_sidecars([path]) == [path, path.with_suffix(".tfw")]


def test_files_whose_names_begin_alike_have_their_own_sidecars(path: Path) -> None:
    others = [path.with_name(name) for name in ("a_1.tif", "a.b.tif", "a😀.tif", "b.tif", "A.tif")]
    for other in others:
        write_geotiff(other, BANDS_CHW)
        other.with_suffix(".tfw").write_text(WORLD)
    assert with_sidecars([path]) == [path]
    assert with_sidecars(others) == [file for other in others for file in (other, other.with_suffix(".tfw"))]
