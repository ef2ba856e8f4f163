"""What lies beside a GeoTIFF; GDAL, which reads it all, is the oracle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import WktVersion
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster import sidecars
from pipeline.raster.geotiff import Georeference, open_geotiff, write_geotiff
from pipeline.raster.sidecars import with_sidecars
from tests.world import UTM, at, gradient

BANDS_CHW = np.array([[[0, 1, 2]], [[0, 0, 9]]], np.uint8)
PL92 = CRS.from_epsg(2180)
ESRI = str(PL92.to_wkt(version=WktVersion.WKT1_ESRI))
WORLD = "0.5\n0\n0\n-0.5\n100.25\n199.75\n"
PLACED = Affine(0.5, 0, 100, 0, -0.5, 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_geotiff(tmp_path / "a.tif", BANDS_CHW)
    return tmp_path / "a.tif"


def pam(path: Path, body: str, name: str = "a.tif.aux.xml") -> None:
    path.with_name(name).write_text(f"<PAMDataset>{body}</PAMDataset>")


def band(number: int, body: str) -> str:
    return f'<PAMRasterBand band="{number}">{body}</PAMRasterBand>'


def as_gdal_sees_it(path: Path) -> tuple[Any, ...]:
    with rasterio.open(path) as dataset:
        code = dataset.crs.to_epsg(confidence_threshold=100) if dataset.crs else None
        means = [band for band, each in enumerate(dataset.colorinterp, 1) if each.name == "alpha"]
        return (
            dataset.nodatavals,
            dataset.scales,
            dataset.offsets,
            f"EPSG:{code}" if code else None,
            dataset.transform,
            means[0] if means else None,
        )


def as_we_see_it(path: Path) -> tuple[Any, ...]:
    with open_geotiff(path) as file:
        place = file.georeference
        nodata = tuple(None if each is None else float(each) for each in file.nodata)
        scales, offsets = (tuple(map(float, each)) for each in (file.scales, file.offsets))
        return nodata, scales, offsets, place.crs, place.transform, file.alpha


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
def test_what_an_aux_xml_says_stands_above_the_file_as_in_gdal(path: Path, body: str, own: Georeference | None) -> None:
    write_geotiff(path, BANDS_CHW, own or Georeference(None, PLACED), nodata=1)
    before = as_we_see_it(path)
    pam(path, body)
    assert str(as_we_see_it(path)) == str(as_gdal_sees_it(path)) != str(before)  # NaN is NaN, in words


def test_no_data_of_each_band_hides_where_all_that_declare_it_hold_it(path: Path) -> None:
    pam(path, band(1, "<NoDataValue>0</NoDataValue>"))
    with open_geotiff(path) as file:
        assert file.valid().tolist() == [[False, True, True]]
    pam(path, band(1, "<NoDataValue>2</NoDataValue>") + band(2, "<NoDataValue>9</NoDataValue>"))
    with open_geotiff(path) as file:
        assert file.valid().tolist() == [[True, True, False]]
        assert file.holds(file.read(), (1, 2)).tolist() == [[[True, True, False]], [[True, True, False]]]


def test_no_data_may_be_nan(path: Path) -> None:
    write_geotiff(path, np.array([[[1, np.nan]]], np.float32), at())
    pam(path, band(1, '<NoDataValue le_hex_equiv="000000000000F87F">nan</NoDataValue>'))
    with open_geotiff(path) as file:
        assert file.valid().tolist() == [[True, False]]


STATISTICS = band(
    1,
    "<Description>red</Description><Histograms><HistItem><HistMin>0</HistMin></HistItem></Histograms><Metadata>"
    '<MDI key="STATISTICS_MAXIMUM">255</MDI></Metadata><UnitType>m</UnitType><CategoryNames/>'
    "<GDALRasterAttributeTable/><ColorInterp>Red</ColorInterp>",
)


@pytest.mark.parametrize(
    "text", [f"<PAMDataset>{STATISTICS}</PAMDataset>", "\ufeff<PAMDataset/>", "<metadata><GCPList/></metadata>"]
)
def test_statistics_and_what_gdal_does_not_know_change_nothing(path: Path, text: str) -> None:
    before = as_we_see_it(path)
    path.with_name("a.tif.aux.xml").write_text(text, encoding="utf-8")
    assert as_we_see_it(path) == before == as_gdal_sees_it_quietly(path)


def as_gdal_sees_it_quietly(path: Path) -> tuple[Any, ...]:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        return as_gdal_sees_it(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<PAMDataset><GCPList><GCP/></GCPList></PAMDataset>", "holds ground control points, which is not read; write"),
        (
            '<PAMDataset><Metadata><GeodataXform a="b"/></Metadata></PAMDataset>',
            r"holds a warp \(of no type\), which is",
        ),
        (
            '<PAMDataset><GeodataXform xmlns:x="y" x:type="typens:PolynomialXform"/></PAMDataset>',
            r"holds a warp \(typens:PolynomialXform\), which is not read; write the georeference into the GeoTIFF",
        ),
        ("<PAMDataset>", "is no XML as GDAL writes it: no element found"),
        ("not XML", "is no XML as GDAL writes it: syntax error"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset>&b;</PAMDataset>', "is no XML as GDAL writes it: it has a DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "secret.txt"><PAMDataset/>', "it has a DOCTYPE"),
        (f"<PAMDataset>{band(1, '<NoDataValue>none</NoDataValue>')}</PAMDataset>", "holds 'none' in place of a number"),
        (f"<PAMDataset>{band(1, '<Scale>0x1</Scale>')}</PAMDataset>", "holds '0x1' in place of a number"),
        ("<PAMDataset><GeoTransform>1,2,3</GeoTransform></PAMDataset>", "holds 3 numbers; six say where an image lies"),
        ("<PAMDataset><SRS>secret.txt</SRS></PAMDataset>", "holds no CRS that is known"),
        ("<PAMDataset><SRS>EPSG:999999</SRS></PAMDataset>", "holds no CRS that is known"),
    ],
)
def test_an_aux_xml_that_says_what_is_not_honoured_is_refused_by_name(path: Path, text: str, told: str) -> None:
    (path.parent / "secret.txt").write_text(PL92.to_wkt())
    path.with_name("a.tif.aux.xml").write_text(text)
    with pytest.raises(PipelineError, match=rf"/a\.tif\.aux\.xml .*{told}"), open_geotiff(path):
        pass


def test_a_place_beside_a_geotiff_must_be_one_too(path: Path) -> None:
    pam(path, "<GeoTransform>0,0,0,0,0,0</GeoTransform>")
    with (
        pytest.raises(PipelineError, match=r"a.tif does not say where it lies: its geotransform is"),
        open_geotiff(path),
    ):
        pass


@pytest.mark.parametrize("name", ["a.tfw", "a.TFW", "a.Tfw", "a.tifw", "a.wld"])
def test_a_world_file_says_where_an_image_lies_that_does_not_say_so(path: Path, name: str) -> None:
    path.with_name(name).write_text(WORLD)
    assert as_we_see_it(path) == as_gdal_sees_it(path)
    with open_geotiff(path) as file:
        assert file.georeference == Georeference(None, PLACED)
    write_geotiff(path, BANDS_CHW, at())  # its own place stands above
    with open_geotiff(path) as file:
        assert file.georeference == at()


@pytest.mark.parametrize("name", ["b.tiff", "b.TIF"])
def test_other_endings_have_world_files_too(path: Path, name: str) -> None:
    other = path.rename(path.with_name(name))
    path.with_name("b.tfw").write_text(WORLD.replace(".", ","))
    assert as_we_see_it(other) == as_gdal_sees_it(other)
    with open_geotiff(other) as file:
        assert file.georeference.transform == PLACED


def test_turned_pixels_are_counted_from_their_centre(path: Path) -> None:
    path.with_name("a.tfw").write_text("0.3\n0.4\n0.4\n-0.3\n100\n200")
    assert as_we_see_it(path)[4] == pytest.approx(as_gdal_sees_it(path)[4])


@pytest.mark.parametrize("name", ["a.prj", "a.PRJ"])
@pytest.mark.parametrize("wkt", [ESRI, PL92.to_wkt(), PL92.to_wkt(version=WktVersion.WKT2_2019)])
def test_a_prj_gives_the_crs_where_there_is_none(path: Path, name: str, wkt: str) -> None:
    path.with_name("a.tfw").write_text(WORLD)
    path.with_name(name).write_text(f"{wkt}\n")
    with open_geotiff(path) as file:
        assert file.georeference == Georeference("EPSG:2180", PLACED)
        assert file.georeference.place(1, 1) == {"x": 100.5, "y": 199.5, "crs": "EPSG:2180", "pixel_size": 0.5}
    write_geotiff(path, BANDS_CHW, at())
    with open_geotiff(path) as file:
        assert file.georeference == at()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.tfw", "1 2 3", "holds 3 numbers; six say"),
        ("a.tfw", "a b c d e f", "holds 'a' in place of a number"),
        ("a.prj", "somewhere", "holds no CRS that is known; remove it, or write it anew"),
        ("a.tab", "!table", "may hold the georeference of .*a.tif, which is not read; write"),
        ("a.aux", "EHFA", "may hold the georeference of .*a.tif, which is not read; write"),
    ],
)
def test_what_could_say_where_an_image_lies_and_cannot_be_read_is_refused(
    path: Path, name: str, text: str, told: str
) -> None:
    path.with_name(name).write_text(text)
    with pytest.raises(PipelineError, match=rf"/{name} {told}"), open_geotiff(path):
        pass
    write_geotiff(path, BANDS_CHW, at())  # then nobody needs it
    with open_geotiff(path) as file:
        assert file.georeference == at()


def test_text_is_read_whatever_its_encoding(path: Path) -> None:
    named = '<?xml version="1.0" encoding="ISO-8859-1"?><PAMDataset>' + band(1, "<Description>Höhe</Description>")
    path.with_name("a.tif.aux.xml").write_text(f"{named}</PAMDataset>", encoding="latin-1")
    with open_geotiff(path) as file:
        assert file.nodata == (None, None)


def test_text_that_is_none_or_has_no_end_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.with_name("a.tfw").write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(PipelineError, match=r"a.tfw holds 1 numbers; six say"), open_geotiff(path):
        pass
    monkeypatch.setattr(sidecars, "MOST_BYTES", 3)
    with pytest.raises(PipelineError, match=r"a.tfw has 4 bytes; at most 3 are read"), open_geotiff(path):
        pass


VRT = (
    '<VRTDataset rasterXSize="3" rasterYSize="1"><Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>'
    '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">secret.tif'
    "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.mark.parametrize("ending", [".ovr", ".ovr.msk", ".aux.xml"])
def test_no_other_driver_opens_anything_beside_a_geotiff(path: Path, ending: str) -> None:
    write_geotiff(path.with_name("secret.tif"), BANDS_CHW[:1] * 0, at())
    path.with_name(f"a.tif{ending}").write_text(VRT)
    with open_geotiff(path) as file:
        assert file.valid().all()
        assert np.array_equal(file.read(), BANDS_CHW)


@pytest.mark.parametrize("ending", [".msk", ".MSK"])
@pytest.mark.parametrize("text", [VRT, ""])
def test_a_mask_beside_a_geotiff_is_refused_not_overlooked(path: Path, ending: str, text: str) -> None:
    path.with_name(f"a.tif{ending}").write_text(text)
    with pytest.raises(
        PipelineError, match=rf"a.tif has its mask in a file beside it, a.tif{ending}, which is not read"
    ):
        as_we_see_it(path)


def test_each_file_is_followed_by_those_that_count(tmp_path: Path) -> None:
    images = [tmp_path / "a.tif", tmp_path / "ab.tif"]
    for name in ("a.tif", "a.tif.aux.xml", "a.TFW", "a.txt", "ab.tif", "ab.prj", "ab.tif.ovr", "b.tfw"):
        (tmp_path / name).touch()
    names = [each.name for each in with_sidecars(images)]
    assert names == ["a.tif", "a.TFW", "a.tif.aux.xml", "ab.tif", "ab.prj"]


@pytest.mark.parametrize("text", ["99999999999999999999", "-9999999999999999999"])
def test_no_data_beyond_64_bits_hides_nothing_in_integers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, gradient(4, 4), at())
    pam(path, band(1, f"<NoDataValue>{text}</NoDataValue>"))
    with open_geotiff(path) as file:
        assert file.valid().all()


@pytest.mark.parametrize("number", ["inf", "nan", "1.5", "-1"])
def test_a_band_whose_number_is_none_is_refused(tmp_path: Path, number: str) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(4, 4), at())
    pam(tmp_path / "a.tif", f'<PAMRasterBand band="{number}"><NoDataValue>1</NoDataValue></PAMRasterBand>')
    with pytest.raises(PipelineError, match=rf"a\.tif\.aux\.xml holds '{number}' in place of a band's number"):
        open_geotiff(tmp_path / "a.tif").__enter__()


def test_what_is_said_of_no_band_is_passed_over_as_gdal_does(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(4, 4), at())
    pam(tmp_path / "a.tif", "<PAMRasterBand><NoDataValue>1</NoDataValue></PAMRasterBand>")
    with open_geotiff(tmp_path / "a.tif") as file, rasterio.open(tmp_path / "a.tif") as gdals:
        assert file.valid().all()
        assert gdals.nodatavals == (None, None, None)


def test_a_sparse_file_whose_no_data_stands_beside_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True, "nodata": 200}
    for inside in (True, False):
        options = {"driver": "GTiff", "width": 32, "height": 32, "count": 1, "dtype": "uint8", "crs": UTM, **profile}
        options |= {} if inside else {"nodata": None}
        with rasterio.open(path, "w", transform=at().transform, **options) as dataset:
            dataset.write(np.ones((16, 16), np.uint8), 1, window=Window(0, 0, 16, 16))
        pam(path, band(1, "<NoDataValue>200</NoDataValue>"))
        if inside:
            with open_geotiff(path) as file:
                assert int(file.valid().sum()) == 256
        else:
            with pytest.raises(PipelineError, match=r"a\.tif\.aux\.xml declares no-data, .*gdal_edit.py -a_nodata"):
                open_geotiff(path).__enter__()


def test_a_place_by_ground_control_points_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    points = [GroundControlPoint(row, column, 10.0 * column, -10.0 * row) for row, column in ((0, 0), (0, 4), (4, 0))]
    with rasterio.open(
        path, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8", gcps=points, crs=UTM
    ) as out:
        out.write(np.ones((1, 4, 4), np.uint8))
    with pytest.raises(PipelineError, match=r"a\.tif says where it lies by ground control points, .*: gdalwarp"):
        open_geotiff(path).__enter__()
