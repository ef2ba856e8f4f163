"""PNG and JPEG images become GeoTIFFs with the pixels, position and transparency that Pillow finds in them."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from rasterio.crs import CRS

from pipeline.core.errors import PipelineError
from pipeline.importing.pictures import import_image
from pipeline.importing.raster_masks import import_mask
from pipeline.raster.geotiff import open_geotiff
from tests.importing.painting import MASK_HW, paint, rules
from tests.png_bytes import write_few_bits, write_interlaced
from tests.world import UTM, at

RNG = np.random.default_rng(3)
GREY_HW = RNG.integers(0, 256, (300, 70), np.uint8)
RGB_HWC = RNG.integers(0, 256, (300, 70, 3), np.uint8)
RGBA_HWC = RNG.integers(0, 256, (300, 70, 4), np.uint8)


def imported(source: Path) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Return bands_CHW, what is visible, and the alpha band."""
    target = source.parent / "out/image.tif"
    import_image(source, target)
    assert [path.name for path in target.parent.iterdir()] == ["image.tif"]
    with open_geotiff(target) as file:
        return file.read(), file.valid_mask(), file.alpha_band


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def bands(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@pytest.mark.parametrize(("array", "alpha"), [(GREY_HW, None), (RGBA_HWC[..., :2], 2), (RGB_HWC, None), (RGBA_HWC, 4)])
@pytest.mark.parametrize("name", ["a.png", "a.PNG", "photo 1.png"])
def test_8_bit_png_is_kept_to_the_value(tmp_path: Path, array: np.ndarray, alpha: int | None, name: str) -> None:
    image = Image.fromarray(array)
    bands_CHW, visible_HW, alpha_band = imported(saved(tmp_path / name, image))
    np.testing.assert_array_equal(bands_CHW, bands(image))
    assert bands_CHW.dtype == np.uint8
    assert visible_HW.all()
    assert alpha_band == alpha


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 2, "quality": 40}, {"progressive": True}])
@pytest.mark.parametrize("array", [GREY_HW, RGB_HWC])
def test_jpeg_is_what_pillow_decodes(tmp_path: Path, array: np.ndarray, options: dict[str, Any]) -> None:
    source = saved(tmp_path / "a.jpg", Image.fromarray(array), **options)
    with Image.open(source) as image:
        np.testing.assert_array_equal(imported(source)[0], bands(image))


@pytest.mark.parametrize("count", [1, 3, 4])
def test_16_bits_are_kept(tmp_path: Path, count: int) -> None:
    array_HWC = RNG.integers(0, 65536, (300, 70, count), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), array_HWC)  # writes the third band first
    bands_CHW, _, alpha = imported(tmp_path / "a.png")
    order = [2, 1, 0, 3][:count] if count > 1 else [0]
    np.testing.assert_array_equal(bands_CHW, array_HWC.transpose(2, 0, 1)[order])
    assert bands_CHW.dtype == np.uint16
    assert alpha == (4 if count == 4 else None)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_scaled_as_viewers_show_it(tmp_path: Path, bits: int) -> None:
    index_HW = GREY_HW % 2**bits
    source = write_few_bits(tmp_path / "a.png", index_HW, bits)
    with Image.open(source) as image:
        np.testing.assert_array_equal(imported(source)[0][0], np.asarray(image.convert("L")))
    np.testing.assert_array_equal(imported(source)[0][0], cv2.imread(str(source), cv2.IMREAD_GRAYSCALE))


def palette_image(colours: int = 5) -> Image.Image:
    image = Image.fromarray(GREY_HW % colours)
    image.putpalette([10, 20, 30, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9][: 3 * colours])
    return image


@pytest.mark.parametrize(
    ("transparency", "hidden"),
    [(None, []), (2, [2]), (bytes([0, 255, 0, 128, 255]), [0, 2]), (bytes(5), [0, 1, 2, 3, 4])],
)
def test_palettes_are_kept_and_transparent_colours_hidden(tmp_path: Path, transparency: Any, hidden: list[int]) -> None:
    options = {} if transparency is None else {"transparency": transparency}
    source = saved(tmp_path / "a.png", palette_image(), **options)
    bands_CHW, visible_HW, alpha = imported(source)
    np.testing.assert_array_equal(bands_CHW[0], GREY_HW % 5)
    np.testing.assert_array_equal(visible_HW, ~np.isin(GREY_HW % 5, hidden))
    assert alpha is None
    with open_geotiff(tmp_path / "out/image.tif") as file, Image.open(source) as image:
        assert file.colour_table is not None
        np.testing.assert_array_equal(file.colour_table[bands_CHW[0], :3], np.asarray(image.convert("RGBA"))[..., :3])


@pytest.mark.parametrize(("array", "transparency"), [(GREY_HW, 7), (RGB_HWC, tuple(map(int, RGB_HWC[5, 5])))])
def test_the_transparent_colour_is_hidden(tmp_path: Path, array: np.ndarray, transparency: Any) -> None:
    source = saved(tmp_path / "a.png", Image.fromarray(array), transparency=transparency)
    bands_CHW, visible_HW, _ = imported(source)
    with Image.open(source) as image:
        np.testing.assert_array_equal(visible_HW, np.asarray(image.convert("RGBA"))[..., 3] > 0)
    np.testing.assert_array_equal(bands_CHW, bands(Image.fromarray(array)))


def test_interlaced_png_is_read(tmp_path: Path) -> None:
    write_interlaced(tmp_path / "a.png", GREY_HW)
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["interlace"] == 1
        np.testing.assert_array_equal(np.asarray(image), GREY_HW)
    np.testing.assert_array_equal(imported(tmp_path / "a.png")[0][0], GREY_HW)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_exif_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = saved(tmp_path / name, Image.fromarray(RGB_HWC), exif=exif)
    with Image.open(source) as image:
        np.testing.assert_array_equal(imported(source)[0], bands(ImageOps.exif_transpose(image)))


def test_what_is_hidden_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = saved(tmp_path / "a.png", palette_image(), exif=exif, transparency=2)
    with Image.open(source) as image:
        alpha_HW = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(imported(source)[1], alpha_HW > 0)


def test_sidecars_give_position_no_data_and_scale(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.png", Image.fromarray(GREY_HW))
    (tmp_path / "a.pgw").write_text("0.5\n0\n0\n-0.5\n500000.25\n999999.75\n")
    (tmp_path / "a.prj").write_text(CRS.from_user_input(UTM).to_wkt())
    band = '<PAMRasterBand band="1"><NoDataValue>7</NoDataValue><Scale>0.5</Scale></PAMRasterBand>'
    (tmp_path / "a.png.aux.xml").write_text(f"<PAMDataset>{band}</PAMDataset>")
    _, visible_HW, _ = imported(source)
    np.testing.assert_array_equal(visible_HW, GREY_HW != 7)
    with open_geotiff(tmp_path / "out/image.tif") as file:
        assert file.georeference == at(pixel=0.5)
        assert file.scales == (0.5,)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.jpg", Image.fromarray(RGB_HWC))
    source.write_bytes(source.read_bytes()[:-3000])
    with pytest.raises(PipelineError, match="a.jpg is truncated"):
        import_image(source, tmp_path / "out/image.tif")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_colour_table_in_a_sidecar_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.png", Image.fromarray(GREY_HW))
    band = '<PAMRasterBand band="1"><ColorTable><Entry c1="1" c2="2" c3="3"/></ColorTable></PAMRasterBand>'
    (tmp_path / "a.png.aux.xml").write_text(f"<PAMDataset>{band}</PAMDataset>")
    with pytest.raises(PipelineError, match=r"a.png.aux.xml has a colour table for a.png, which is not supported"):
        import_image(source, tmp_path / "out/image.tif")


@pytest.mark.parametrize("fits", [True, False])
def test_rows_too_wide_for_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: bool) -> None:
    source = saved(tmp_path / "a.png", Image.fromarray(paint(MASK_HW)))
    monkeypatch.setattr("pipeline.importing.tiff_writer.MAX_BLOCK_BYTES", 256 * 70 * 3 - (not fits))
    for convert in (import_image, lambda source, target: import_mask(source, target, rules())):
        with nullcontext() if fits else pytest.raises(PipelineError, match="a.png is 70 px wide, and 256 rows of it"):
            convert(source, tmp_path / "out/image.tif")


def test_an_image_is_not_turned_without_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    source = saved(tmp_path / "a.png", Image.fromarray(RGB_HWC), exif=exif)
    usage = mock.Mock(free=RGB_HWC.size + RGB_HWC.size // 3 - 1)
    monkeypatch.setattr("pipeline.importing.pictures.shutil.disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space left on device"):
        import_image(source, tmp_path / "out/image.tif")
