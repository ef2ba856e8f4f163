"""A PNG or JPEG has Pillow's pixels and its EXIF orientation, or is refused if a byte is missing or changed."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.raster.pictures import open_picture
from tests.png_bytes import write_grey

RGB_HWC = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)


def saved(path: Path, **options: object) -> Path:
    Image.fromarray(RGB_HWC).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    with open_picture(path) as picture:
        return picture.read().transpose(1, 2, 0)


def refuse(path: Path, match: str) -> None:
    with pytest.raises(PipelineError, match=match) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.jpg", "a.JPEG"])
def test_pixels_are_pillow_s(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read(path), np.asarray(image))


@pytest.mark.parametrize("side", [40, 600])
def test_each_truncation_of_a_png_is_an_error(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (side, side), np.uint8)).save(path)
    whole = path.read_bytes()
    for end in [*range(8, 60, 5), *np.linspace(60, len(whole) - 1, 20, dtype=int)]:
        path.write_bytes(whole[:end])
        refuse(path, f"a.png is truncated: it ends after {end} bytes; copy or download it again")


@pytest.mark.parametrize("progressive", [False, True])
def test_each_truncation_of_a_jpeg_is_an_error(tmp_path: Path, progressive: bool) -> None:
    path = saved(tmp_path / "a.jpg", progressive=progressive)
    whole = path.read_bytes()
    for end in np.linspace(4, len(whole) - 20, 30, dtype=int):
        path.write_bytes(whole[:end])
        refuse(path, f"a.jpg is truncated: it ends after {end} bytes; copy or download it again|a.jpg cannot be read, ")


def test_a_changed_byte_of_a_png_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    whole = path.read_bytes()
    for place in np.linspace(45, len(whole) - 20, 10, dtype=int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        refuse(path, "a.png is damaged: its chunk 'IDAT' has a wrong checksum")


def test_damaged_jpeg_data_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\xff\xd9" + whole[middle:])  # an end in the middle
    refuse(path, "a.jpg is truncated|a.jpg cannot be read, the file is damaged")
    path.write_bytes(whole[:20] + b"\0" * 30 + whole[50:])
    refuse(path, "a.jpg cannot be read, the file is damaged")


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_changed_jpeg_is_read_as_by_pillow_or_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = saved(tmp_path / "a.jpg", **options, exif=oriented(6))
    whole, random = path.read_bytes(), np.random.default_rng(4)
    outcomes = set()
    for _ in range(100):
        changed = bytearray(whole)
        changed[random.integers(2, random.choice([100, len(whole)]))] = random.integers(256)
        path.write_bytes(changed)
        try:
            image_HWC = read(path)
        except PipelineError as error:
            assert str(error).startswith(f"{path} ")
            assert "\n" not in str(error)
            outcomes.add("refused")
        else:
            with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
                np.testing.assert_array_equal(image_HWC, np.asarray(image))
            outcomes.add("read")
    assert outcomes == {"read", "refused"}


def test_cmyk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(RGB_HWC).convert("CMYK").save(path)
    refuse(path, "a.jpg has four bands, CMYK or YCCK colours for print")


def test_a_jpeg_of_twelve_bits_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg")
    whole = path.read_bytes()
    frame = whole.index(b"\xff\xc0")
    path.write_bytes(whole[: frame + 4] + b"\x0c" + whole[frame + 5 :])
    refuse(path, "a.jpg cannot be read, it is damaged or of an unsupported kind: cannot handle 12-bit layers")


def test_a_row_too_large_to_decode_is_refused(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "a.png", (1, 900_000_000), [b"\0" * 1000])
    refuse(path, "a.png is stored in blocks of 900000000 x 1 px|a.png is not a readable PNG")


def test_a_jpeg_too_large_to_decode_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.raster.pictures.MAX_JPEG_PIXELS", 2399)
    refuse(saved(tmp_path / "a.jpg"), "a.jpg has 60 x 40 px; at most 2399 of a JPEG are decoded: convert it to GeoTIFF")
    monkeypatch.setattr("pipeline.raster.pictures.MAX_JPEG_PIXELS", 2400)
    read(tmp_path / "a.jpg")


@pytest.mark.parametrize("interlaced", [False, True])
def test_fewer_pixels_than_announced_are_an_error(tmp_path: Path, interlaced: bool) -> None:
    path = write_grey(tmp_path / "a.png", (40, 40), [b"\0" * 40] * 10, interlaced=interlaced)
    refuse(path, "a.png cannot be read, the file is damaged")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("orientation", range(10))
def test_the_orientation_is_read(tmp_path: Path, name: str, orientation: int) -> None:
    with open_picture(saved(tmp_path / name, exif=oriented(orientation))) as picture:
        assert picture.orientation == (orientation if orientation in range(1, 9) else 1)


def test_exif_data_after_the_pixels_of_a_png_count(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    turned, whole = saved(tmp_path / "b.png", exif=oriented(6)).read_bytes(), path.read_bytes()
    chunk = turned[turned.index(b"eXIf") - 4 : turned.index(b"IDAT") - 4]
    path.write_bytes(whole[:-12] + chunk + whole[-12:])
    with open_picture(path) as picture:
        assert picture.orientation == 6


@pytest.mark.parametrize("exif", [b"", b"MM\0*\0\0\xff\xff", b"II*\0\x08\0\0\0\x09\0", b"junk"])
def test_unreadable_exif_is_no_orientation(tmp_path: Path, exif: bytes) -> None:
    with open_picture(saved(tmp_path / "a.png", exif=b"Exif\0\0" + exif)) as picture:
        assert picture.orientation == 1


@pytest.mark.parametrize("content", [b"MM\0*\x7f\xff\xff\xff", b"XXXX"])
def test_exif_that_gdal_cannot_read_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = saved(tmp_path / "a.jpg")
    start, rest = path.read_bytes()[:2], path.read_bytes()[2:]
    length = (8 + len(content)).to_bytes(2, "big")
    path.write_bytes(start + b"\xff\xe1" + length + b"Exif\0\0" + content + rest)
    refuse(path, r"has damaged EXIF data, which may tell how it is turned; remove them if it is upright: exiftool")


@pytest.mark.parametrize(("name", "world"), [("a.png", "a.pgw"), ("a.png", "a.pngw"), ("a.jpg", "a.jgw")])
def test_a_world_file_places_the_image_and_refuses_an_orientation(tmp_path: Path, name: str, world: str) -> None:
    path = saved(tmp_path / name)
    (tmp_path / world).write_text("0.5\n0\n0\n-0.5\n500000.25\n999999.75\n")
    with open_picture(path) as picture:
        assert picture.file.georeference.corner(0, 0) == (500000, 1000000)
        assert picture.file.georeference.pixel_size == 0.5
    refuse(saved(tmp_path / name, exif=oriented(6)), "has a georeference, and EXIF orientation 6")
