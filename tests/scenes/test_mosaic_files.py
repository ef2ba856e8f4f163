"""Which names in a VRT or a tile index are addresses, which are paths, and which are neither."""

import pytest

from pipeline.scenes.mosaic_files import is_local_file, remote_url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("/vsicurl/https://a/b.tif", "https://a/b.tif"),
        ("/vsis3/a/b.tif", "s3://a/b.tif"),
        ("s3://a/b.tif", "s3://a/b.tif"),
        ("http://a/b.tif", "http://a/b.tif"),
        ("a/b.tif", None),
        ("/vsizip/a.zip/b.tif", None),
        ("", None),
    ],
)
def test_remote_url(name: str, url: str | None) -> None:
    assert remote_url(name) == url


@pytest.mark.parametrize(
    ("name", "is_local"),
    [
        ("a b/../c.tif", True),
        ("/a/b.tif", True),
        ("", False),
        ("/vsimem/a.tif", False),
        ("/vsizip/a.zip/b.tif", False),
        ("<VRTDataset/>", False),
        ("GTIFF_DIR:2:a.tif", False),
        ("vrt://a.tif", False),
    ],
)
def test_is_local_file(name: str, is_local: bool) -> None:
    assert is_local_file(name) == is_local
