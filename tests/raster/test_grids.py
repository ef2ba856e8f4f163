"""A mask that does not lie on its image's grid is refused, with the command that aligns it."""

from pathlib import Path

import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.grids import require_same_grid
from tests.world import CRS_NO_CODE, LOCAL_CRS, UTM, at, gradient


def compare(folder: Path, image: Georeference | None, mask: Georeference | None, size: tuple[int, int]) -> None:
    write_geotiff(folder / "image.tif", gradient(40, 60), image)
    write_geotiff(folder / "mask.tif", gradient(*size)[:1], mask)
    with open_geotiff(folder / "image.tif") as image_file, open_geotiff(folder / "mask.tif") as mask_file:
        require_same_grid(image_file, mask_file)


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
def test_a_mask_may_be_a_tenth_of_a_pixel_off_or_not_georeferenced(
    tmp_path: Path, image: Georeference | None, mask: Georeference | None
) -> None:
    compare(tmp_path, image, mask, (40, 60))


STRETCHED = Georeference(UTM, Affine(10.03, 0.0, 500000.0, 0.0, -10.0, 1000000.0))
ROTATED = Georeference(UTM, Affine(10.0, 0.05, 500000.0, 0.05, -10.0, 1000000.0))


@pytest.mark.parametrize(
    ("image", "mask", "shift"),
    [
        (at(), at(x=500001.1), "0.11"),
        (at(), at(y=999990.0), "1"),
        (at(), STRETCHED, "0.18"),
        (at(), ROTATED, "0.3"),
        (at(crs=None), at(x=500020.0, crs=None), "2"),
        (at(), at(x=500020.0, crs=None), "2"),
    ],
)
def test_a_shifted_mask_is_refused(tmp_path: Path, image: Georeference, mask: Georeference, shift: str) -> None:
    with pytest.raises(
        PipelineError, match=rf"image.tif and .*mask.tif are {shift} px apart; at most 0.1 px is allowed"
    ):
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
def test_equivalent_crs_definitions_are_equal(tmp_path: Path, image: str, mask: str) -> None:
    places = [at(450000, 300000, 0.25, CRS.from_user_input(crs).to_wkt()) for crs in (image, mask)]
    compare(tmp_path, *places, (40, 60))
    shifted = at(450000.05, 300000, 0.25, CRS.from_user_input(mask).to_wkt())
    with pytest.raises(PipelineError, match=r"0\.2 px apart"):
        compare(tmp_path, places[0], shifted, (40, 60))


WARP = r"; resample the mask to its image's grid: gdalwarp "
EXTENT = r"-te 500000 999600 500600 1000000 -ts 60 40 [^ ]*mask.tif aligned.tif$"


@pytest.mark.parametrize(
    ("image", "mask", "names", "options"),
    [
        (UTM, "EPSG:32631", "EPSG:32630 and EPSG:32631", "-s_srs EPSG:32631 -t_srs EPSG:32630"),
        (
            UTM,
            "EPSG:2180+5621",
            r"EPSG:32630 and ETRF2000-PL / CS92 \+ EVRF2007 height",
            r'-s_srs "\$\(gdalsrsinfo -o wkt [^ ]*mask.tif\)" -t_srs EPSG:32630',
        ),
        (
            CRS_NO_CODE,
            "EPSG:32631",
            "unknown and EPSG:32631",
            r'-s_srs EPSG:32631 -t_srs "\$\(gdalsrsinfo -o wkt [^ ]*image.tif\)"',
        ),
    ],
)
def test_a_mask_in_another_crs_is_refused_with_the_command_that_fixes_it(
    tmp_path: Path, image: str, mask: str, names: str, options: str
) -> None:
    places = [at(crs=CRS.from_user_input(crs).to_wkt()) for crs in (image, mask)]
    message = rf"mask.tif differ in CRS: {names}, and are [^ ]* px apart{WARP}{options} {EXTENT}"
    with pytest.raises(PipelineError, match=message):
        compare(tmp_path, *places, (40, 60))


@pytest.mark.parametrize(("crs", "name"), [(LOCAL_CRS, "site grid"), (LOCAL_CRS.replace("site grid", ""), "unnamed")])
def test_an_engineering_crs_is_to_be_corrected_since_it_cannot_be_warped(tmp_path: Path, crs: str, name: str) -> None:
    message = (
        f"differ in CRS: {UTM} and {name}, and no transformation between them exists; set the right one: gdal_edit"
    )
    with pytest.raises(PipelineError, match=message):
        compare(tmp_path, at(), at(crs=crs), (40, 60))


def test_the_crs_of_a_prj_is_passed_to_gdalwarp_which_ignores_it(tmp_path: Path) -> None:
    (tmp_path / "mask.tfw").write_text("10\n0\n0\n-10\n500025\n999995\n")
    (tmp_path / "mask.prj").write_text(CRS_NO_CODE)
    with pytest.raises(PipelineError, match=rf"{WARP}-s_srs [^ ]*mask.prj -t_srs {UTM} {EXTENT}"):
        compare(tmp_path, at(), None, (40, 60))


@pytest.mark.parametrize(
    ("transform", "orientation"),
    [
        ((10.0, 0.0, 500000.0, 0.0, 10.0, 999600.0), "south-up"),
        ((-10.0, 0.0, 500600.0, 0.0, -10.0, 1000000.0), "mirrored"),
        ((-10.0, 0.0, 500600.0, 0.0, 10.0, 999600.0), "rotated by 180°"),
    ],
)
def test_another_orientation_is_reported_as_such(
    tmp_path: Path, transform: tuple[float, ...], orientation: str
) -> None:
    flipped = Georeference(UTM, Affine(*transform))
    with pytest.raises(
        PipelineError, match=rf"^[^ ]*mask.tif is {orientation} relative to its image [^ ]*{WARP}{EXTENT}"
    ):
        compare(tmp_path, at(), flipped, (40, 60))
    compare(tmp_path, flipped, flipped, (40, 60))
    with pytest.raises(PipelineError, match=r"relative to its image [^ ]*: align one to the other$"):
        compare(tmp_path, flipped, at(), (40, 60))


NEAREST = (
    r", or resample it with nearest neighbour: gdal_translate -r nearest -outsize 60 40 [^ ]*mask.tif resized.tif$"
)


@pytest.mark.parametrize(
    ("size", "problem", "resample"),
    [
        ((20, 30), "the mask is 2 times smaller than its image: save it at full size", NEAREST),
        ((80, 120), "the mask is 2 times larger than its image: save it at full size", NEAREST),
        ((13, 20), "the mask is 3 times smaller than its image: save it at full size", NEAREST),  # 13.3 rows
        ((14, 20), "the mask is 3 times smaller than its image: save it at full size", NEAREST),
        ((27, 40), "the mask is 1.5 times smaller than its image: save it at full size", NEAREST),
        ((20, 40), "a mask covers its image", ": export it with 60 x 40 px$"),
        ((41, 61), "a mask covers its image", ": export it with 60 x 40 px$"),
        ((60, 40), "a mask covers its image; the mask is turned by 90°, as with an EXIF orientation in one of .*", "$"),
    ],
)
def test_a_mask_of_another_size_is_refused(tmp_path: Path, size: tuple[int, int], problem: str, resample: str) -> None:
    problem = rf"differ in size: \(60, 40\) and \({size[1]}, {size[0]}\) px; {problem}"
    with pytest.raises(PipelineError, match=problem + resample):
        compare(tmp_path, None, None, size)
    with pytest.raises(PipelineError, match=problem + WARP + EXTENT):
        compare(tmp_path, at(), at(), size)
