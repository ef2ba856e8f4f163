from pathlib import Path

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import Georeference, open_geotiff, write_geotiff
from pipeline.raster.grids import require_same_grid, short_name
from tests.world import CRS_NO_CODE, LOCAL_CRS, UTM, at, gradient


def compare(folder: Path, image: Georeference | None, mask: Georeference | None, size: tuple[int, int]) -> None:
    write_geotiff(folder / "image.tif", gradient(40, 60), image)
    write_geotiff(folder / "mask.tif", gradient(*size)[:1], mask)
    with open_geotiff(folder / "image.tif") as one, open_geotiff(folder / "mask.tif") as other:
        require_same_grid(one, other)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (at(), at()),
        (at(), at(x=500000.9)),
        (at(), None),
        (None, at()),
        (None, None),
        (at(), at(crs=None)),
        (at(crs=CRS_NO_CODE), at(crs=CRS_NO_CODE)),
    ],
)
def test_a_mask_lies_on_its_image_to_a_tenth_of_a_pixel_or_says_nothing(
    tmp_path: Path, image: Georeference | None, mask: Georeference | None
) -> None:
    compare(tmp_path, image, mask, (40, 60))


STRETCHED = Georeference(UTM, Affine(10.03, 0.0, 500000.0, 0.0, -10.0, 1000000.0))
TURNED = Georeference(UTM, Affine(10.0, 0.05, 500000.0, 0.05, -10.0, 1000000.0))


@pytest.mark.parametrize(
    ("image", "mask", "apart"),
    [
        (at(), at(x=500001.1), "0.11"),
        (at(), at(y=999990.0), "1"),
        (at(), STRETCHED, "0.18"),
        (at(), TURNED, "0.3"),
        (at(crs=None), at(x=500020.0, crs=None), "2"),
        (at(), at(x=500020.0, crs=None), "2"),
    ],
)
def test_a_mask_that_lies_elsewhere_is_refused(
    tmp_path: Path, image: Georeference, mask: Georeference, apart: str
) -> None:
    with pytest.raises(PipelineError, match=rf"image.tif and .*mask.tif lie {apart} px apart; at most 0.1 px is allow"):
        compare(tmp_path, image, mask, (40, 60))


PL92 = "+proj=tmerc +lat_0=0 +lon_0=19 +k=0.9993 +x_0=500000 +y_0=-5300000 +ellps=GRS80 +units=m"
UTM33 = "+proj=utm +zone=33 +ellps=GRS80 +towgs84=0,0,0,0,0,0,0 +units=m +no_defs"


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("EPSG:2180", f"{PL92} +towgs84=0,0,0,0,0,0,0 +no_defs"),
        ("EPSG:2180", f"{PL92} +datum=WGS84"),
        ("EPSG:2180", "EPSG:2180+5621"),  # with heights
        ("EPSG:2180+5621", "EPSG:2180"),
        ("EPSG:25833", UTM33),
        ("EPSG:25832", "EPSG:5555"),  # the same with heights, by a code of their own
        (LOCAL_CRS, LOCAL_CRS),
    ],
)
def test_one_crs_in_two_spellings_is_one(tmp_path: Path, image: str, mask: str) -> None:
    places = [at(450000, 300000, 0.25, CRS.from_user_input(crs).to_wkt()) for crs in (image, mask)]
    compare(tmp_path, *places, (40, 60))
    shifted = at(450000.05, 300000, 0.25, CRS.from_user_input(mask).to_wkt())
    with pytest.raises(PipelineError, match=r"0\.2 px apart"):
        compare(tmp_path, places[0], shifted, (40, 60))


def test_the_official_mask_lies_on_an_image_in_epsg_2180(shared: Path, tmp_path: Path) -> None:
    with open_geotiff(shared / "data/landcoverai-official/N-33-60-D-c-4-2.tif") as mask:
        image = tmp_path / "image.tif"
        place = Georeference("EPSG:2180", mask.georeference.transform)
        write_geotiff(image, np.zeros((1, mask.height, mask.width), np.uint8), place)
        with open_geotiff(image) as file:
            assert file.georeference.crs != mask.georeference.crs
            require_same_grid(file, mask)


ONTO = (
    r"; put the mask on its image's grid: gdalwarp -t_srs EPSG:32630 -te 500000 999600 500600 1000000 -ts 60 40 "
    r"[^ ]*mask.tif aligned.tif$"
)


def test_a_mask_of_another_crs_is_refused_in_few_words_with_the_command_that_mends_it(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"mask.tif differ in CRS: EPSG:32630 and EPSG:32631, and lie .*" + ONTO):
        compare(tmp_path, at(), at(crs="EPSG:32631"), (40, 60))
    with pytest.raises(
        PipelineError, match=r"differ in CRS: EPSG:32630 and ETRF2000-PL / CS92 \+ EVRF2007 height.*" + ONTO
    ):
        compare(tmp_path, at(), at(crs=CRS.from_user_input("EPSG:2180+5621").to_wkt()), (40, 60))
    with pytest.raises(
        PipelineError, match=r'in CRS: unknown and EPSG:32631.*-t_srs "\$\(gdalsrsinfo -o wkt .*image.tif'
    ):
        compare(tmp_path, at(crs=CRS_NO_CODE), at(crs="EPSG:32631"), (40, 60))


def test_a_crs_that_has_no_place_on_the_globe_differs_from_those_that_have(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"differ in CRS: EPSG:32630 and site grid; put the mask"):
        compare(tmp_path, at(), at(crs=LOCAL_CRS), (40, 60))


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        ((10.0, 0.0, 500000.0, 0.0, 10.0, 999600.0), "from south to north"),
        ((-10.0, 0.0, 500600.0, 0.0, -10.0, 1000000.0), "mirrored"),
        ((-10.0, 0.0, 500600.0, 0.0, 10.0, 999600.0), "turned by 180°"),
    ],
)
def test_rows_and_columns_in_another_order_are_told_as_such(
    tmp_path: Path, transform: tuple[float, ...], told: str
) -> None:
    flipped = Georeference(UTM, Affine(*transform))
    with pytest.raises(PipelineError, match=rf"^[^ ]*mask.tif is stored {told}, and its image is not{ONTO}"):
        compare(tmp_path, at(), flipped, (40, 60))
    compare(tmp_path, flipped, flipped, (40, 60))
    with pytest.raises(PipelineError, match=r"and its image is not: align one to the other$"):
        compare(tmp_path, flipped, at(), (40, 60))


def test_a_crs_without_a_place_says_nothing(tmp_path: Path) -> None:
    nowhere = Georeference(UTM, Affine.identity())
    compare(tmp_path, at(), nowhere, (40, 60))
    with open_geotiff(tmp_path / "mask.tif") as mask:
        assert mask.georeference.crs == UTM
        assert mask.georeference.place(1, 2) == {}


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"differ in size: \(60, 40\) and \(60, 41\) px; a mask covers .*" + ONTO):
        compare(tmp_path, at(), at(), (41, 60))
    with pytest.raises(PipelineError, match=r"a mask covers its image exactly$"):
        compare(tmp_path, at(), None, (41, 60))


@pytest.mark.parametrize(
    ("crs", "name"), [(None, "none"), (UTM, UTM), (LOCAL_CRS, "site grid"), (CRS_NO_CODE, "unknown")]
)
def test_a_crs_has_a_short_name(crs: str | None, name: str) -> None:
    assert short_name(crs) == name
