"""A map is titled by the files of its scene, without their folders or the secrets of their URLs."""

from pipeline.inference.options import Source


def test_titles() -> None:
    assert Source(("folder/west.tif", "https://host/east.tif?key=secret"), "merge").title == "west.tif, east.tif"
    assert Source(tuple("abcde"), "merge").title == "a, b, c and 2 more"
