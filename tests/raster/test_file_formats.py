"""A missing or empty file, or one of another format than its name says, is named with what to do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.raster.file_formats import require_format
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.pictures import open_picture


def refuse(path: Path, match: str) -> None:
    with pytest.raises(PipelineError, match=match), (open_geotiff if path.suffix == ".tif" else open_picture)(path):
        pass


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_a_missing_an_empty_and_a_text_file_are_refused(tmp_path: Path, name: str) -> None:
    refuse(tmp_path / name, f"{name} does not exist")
    (tmp_path / name).touch()
    refuse(tmp_path / name, rf"{name} is empty \(0 bytes\); copy or download it again")
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1")
    refuse(
        tmp_path / name, f"{name} is not a (PNG|JPEG) file: it begins with 76 65 72 73|{name} is not a readable GeoT"
    )


@pytest.mark.parametrize(
    ("format_", "name", "advice"),
    [
        ("JPEG", "a.png", "rename it to a.jpg"),
        ("PNG", "a.JPG", "rename it to a.png"),
        ("TIFF", "a.png", "rename it to a.tif"),
        ("GIF", "a.png", "save it as PNG"),
        ("BMP", "a.jpg", "save it as PNG"),
        ("WebP", "a.jpg", "save it as PNG"),
        ("PNG", "a.tif", "rename it to a.png"),
        ("JPEG", "a.tif", "rename it to a.jpg"),
    ],
)
def test_another_format_under_the_name_is_refused(tmp_path: Path, format_: str, name: str, advice: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, format_)
    refuse(path, f"{name} is a {format_} file, although its name ends in {path.suffix}; {advice}$")


def test_a_picture_where_a_geotiff_is_needed_is_named(tmp_path: Path) -> None:
    for format_, name in (("PNG", "a.png"), ("JPEG", "a.jpg"), ("JPEG", "a.JPEG")):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name, format_)
        with pytest.raises(PipelineError, match=f"{name} is a {format_} file; TIFF is needed here: gdal_translate con"):
            require_format(tmp_path / name, "TIFF")
