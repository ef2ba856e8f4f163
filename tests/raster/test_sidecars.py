"""`.aux.xml`, world file, `.tab` and `.prj` beside an image count as in GDAL; none of them opens another file."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import WktVersion
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster import sidecars
from pipeline.raster.georeference import UNKNOWN, Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.sidecars import with_sidecars
from tests.raster.world import refuse
from tests.world import UTM, at

BANDS_CHW = np.array([[[0, 1, 2]], [[0, 0, 9]]], np.uint8)
PL92 = CRS.from_epsg(2180)
ESRI = str(PL92.to_wkt(version=WktVersion.WKT1_ESRI))
WORLD = "0.5\n0\n0\n-0.5\n100.25\n199.75\n"
TRANSFORM = Affine(0.5, 0, 100, 0, -0.5, 200)
MAPINFO = (
    '!table\n!version 300\nDefinition Table\n  File "a.tif"\n  Type "RASTER"\n'
    '  (100,200) (0,0) Label "1",\n  (101.5,200) (3,0) Label "2",\n  (100,199.5) (0,1) Label "3"\n'
    '  CoordSys Earth Projection 8, 104, "m", -3, 0, 0.9996, 500000, 0\n  Units "m"\n'
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_geotiff(tmp_path / "a.tif", BANDS_CHW)
    return tmp_path / "a.tif"


def pam(path: Path, body: str, name: str = "a.tif.aux.xml") -> None:
    path.with_name(name).write_text(f"<PAMDataset>{body}</PAMDataset>")


def band(number: int, body: str) -> str:
    return f'<PAMRasterBand band="{number}">{body}</PAMRasterBand>'


@pytest.mark.parametrize("own", [None, at(crs=UTM)])
def test_an_aux_xml_overrides_the_file_as_in_gdal(path: Path, own: Georeference | None) -> None:
    write_geotiff(path, BANDS_CHW, own or Georeference(None, TRANSFORM), nodata=1)
    pam(
        path,
        f'<SRS dataAxisToSRSAxisMapping="2,1">{PL92.to_wkt()}</SRS>'
        "<GeoTransform> 1.0e+02,  5.0e-01,  0, 2.0e+02,  0, -5.0e-01</GeoTransform>"
        + band(1, "<NoDataValue>0</NoDataValue><Offset>5</Offset><Scale>0.25</Scale>")
        + band(2, "<NoDataValue>9.0E+00</NoDataValue><ColorInterp>Alpha</ColorInterp>"),
    )
    with open_geotiff(path) as file, rasterio.open(path) as oracle:
        assert file.nodata == oracle.nodatavals == (0, 9)
        assert (file.scales, file.offsets) == (oracle.scales, oracle.offsets) == ((0.25, 1), (5, 0))
        assert file.georeference == Georeference("EPSG:2180", TRANSFORM) == Georeference("EPSG:2180", oracle.transform)
        assert file.alpha_band == 2
        assert file.valid_mask().tolist() == [[False, True, True]]  # alpha does not count


def test_the_crs_of_arcgis_is_read_from_its_identity_warp(path: Path) -> None:
    pam(
        path,
        '<Metadata domain="xml:ESRI" format="xml"><GeodataXform xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:type="typens:IdentityXform"><SpatialReference><WKT>{PL92.to_wkt()}</WKT></SpatialReference></GeodataXform></Metadata>',
    )
    with open_geotiff(path) as file:
        assert file.georeference.crs == "EPSG:2180"


@pytest.mark.parametrize(
    "text",
    ["\ufeff<PAMDataset/>", "<metadata><GCPList/></metadata>", '<PAMDataset a="ö"/>'],
    ids=["mark", "other", "ö"],
)
def test_unknown_elements_and_encodings_change_nothing(path: Path, text: str) -> None:
    path.with_name("a.tif.aux.xml").write_text(text, encoding="latin-1" if "ö" in text else "utf-8")
    with open_geotiff(path) as file:
        assert (file.nodata, file.georeference) == ((None, None), UNKNOWN)


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
        ("<PAMDataset><GeoTransform>1,2,0</GeoTransform></PAMDataset>", "contains 3 numbers; a transform has six"),
    ],
)
def test_an_invalid_or_unsupported_aux_xml_is_refused(
    path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    (path.parent / "secret.txt").write_text(PL92.to_wkt())
    path.with_name("a.tif.aux.xml").write_text(text)
    refuse(rf"/a\.tif\.aux\.xml {message}", open_geotiff, path)


@pytest.mark.parametrize("name", ["NoDataValue", "Scale", "Offset"])
def test_text_instead_of_a_number_is_refused_where_gdal_takes_it_for_0(path: Path, name: str) -> None:
    pam(path, band(2, f"<{name}>x1</{name}>"))
    with pytest.raises(PipelineError, match=r"/a\.tif\.aux\.xml: 'x1' is not a number"), open_geotiff(path):
        pass


@pytest.mark.parametrize("name", ["a.tif.Aux.Xml", "a.tif.AUX.XML", "a.TIF.aux.xml"])
@pytest.mark.parametrize("others", [0, 1500])
def test_an_aux_xml_that_gdal_would_not_find_is_refused(path: Path, name: str, others: int) -> None:
    for number in range(others):  # beyond 1,000 files, GDAL does not list the folder
        path.with_name(f"{number}.txt").touch()
    pam(path, band(1, "<NoDataValue>7</NoDataValue>"), name)
    expected = rf"/{name} is not read, .* differs from a\.tif\.aux\.xml .*; rename it"
    with pytest.raises(PipelineError, match=expected), open_geotiff(path):
        pass


@pytest.mark.parametrize(
    ("image", "name", "text"),
    [
        *(("a.tif", name, WORLD) for name in ("a.tfw", "a.TFW", "a.Tfw", "a.tifw", "a.wld")),
        *((name, "b.tfw", WORLD.replace(".", ",")) for name in ("b.tiff", "b.TIF")),
        ("a.tif", "a.tab", MAPINFO),
    ],
)
def test_a_world_file_georeferences_a_file_without_transform(path: Path, image: str, name: str, text: str) -> None:
    path = path.rename(path.with_name(image))
    path.with_name(name).write_text(text)
    with open_geotiff(path) as file:
        assert file.georeference.transform.almost_equals(TRANSFORM)
        assert ("Transverse_Mercator" in str(file.georeference.crs)) == (name == "a.tab")
    write_geotiff(path, BANDS_CHW, at())  # its own transform takes precedence
    with open_geotiff(path) as file:
        assert file.georeference == at()


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
    refuse(rf"/{name} may contain the georeference of .*a.tif, but", open_geotiff, path)
    write_geotiff(path, BANDS_CHW, at())  # then it is not needed
    with open_geotiff(path) as file:
        assert file.georeference == at()


def test_a_prj_without_a_crs_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.with_name("a.prj").write_text("somewhere")
    refuse(r"a.prj does not contain a valid CRS; remove or rec", open_geotiff, path)
    monkeypatch.setattr(sidecars, "MAX_BYTES", 3)
    refuse(r"a.prj has 9 bytes; at most 3 are read", open_geotiff, path)


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
def test_an_external_mask_is_refused(path: Path, ending: str) -> None:
    path.with_name(f"a.tif{ending}").touch()
    message = rf"a.tif has its mask in a separate file, a.tif{ending}, which is not supported"
    refuse(message, open_geotiff, path)


def test_files_are_followed_by_their_own_sidecars(tmp_path: Path) -> None:
    expected = [
        "a.tif",
        "a.TFW",
        "a.tif.aux.xml",
        "ab.tif",
        "ab.prj",
        "a😀.tif",
        "a😀.tfw",
        "A.tif",
        "a.b.tif",
        "a.b.tfw",
    ]
    for name in (*expected, "a.txt", "ab.tif.ovr", "b.tfw"):
        (tmp_path / name).touch()
    images = [tmp_path / name for name in expected if name.endswith(".tif")]
    assert [file.name for file in with_sidecars(images)] == expected


def test_no_data_in_a_sidecar_fills_the_blocks_that_a_sparse_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True, "crs": UTM}
    shape = {"driver": "GTiff", "width": 32, "height": 32, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", transform=at().transform, **shape, **profile) as dataset:
        dataset.write(np.ones((16, 16), np.uint8), 1, window=Window(0, 0, 16, 16))
    pam(path, band(1, "<NoDataValue>200</NoDataValue>"))
    with open_geotiff(path) as file:
        assert int(file.valid_mask().sum()) == 256


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
