"""Images and labels are paired by their names and usual suffixes; the nearest fit of a lonely one is named."""

import unicodedata
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.importing.pairing import IMAGE_SUFFIXES, LABEL_SUFFIXES, Member, match_names

ROOT = Path("/mine")


def members(*names: str) -> list[Member]:
    return [Member(ROOT, Path(name)) for name in names]


def matched(images: str, labels: str) -> list[tuple[str, str, str]]:
    found = match_names(members(*images.split()), members(*labels.split()), [])
    return [(pair.scene, pair.image.name, pair.label.name) for pair in found]


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES)
def test_a_label_may_have_a_suffix(suffix: str) -> None:
    assert matched("images/a.tif", f"masks/a{suffix}.png") == [("a", "a.tif", f"a{suffix}.png")]
    assert matched("images/a.tif", f"masks/a{suffix.upper()}.png") == [("a", "a.tif", f"a{suffix.upper()}.png")]


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_an_image_may_have_another_suffix(suffix: str) -> None:
    assert matched(f"images/a{suffix}.jpg", "masks/a_mask.png") == [("a", f"a{suffix}.jpg", "a_mask.png")]


def test_the_same_name_comes_first() -> None:
    assert matched("images/a.tif images/a_mask.tif", "masks/a.tif masks/a_mask.tif") == [
        ("a", "a.tif", "a.tif"),
        ("a_mask", "a_mask.tif", "a_mask.tif"),
    ]
    assert matched("images/a.tif images/a_rgb.tif", "masks/a_mask.tif masks/a_rgb_mask.tif") == [
        ("a", "a.tif", "a_mask.tif"),
        ("a_rgb", "a_rgb.tif", "a_rgb_mask.tif"),
    ]


def test_decomposed_names_match() -> None:
    decomposed = unicodedata.normalize("NFD", "ü")
    assert matched(f"{decomposed}.tif", "ü.tif") == [("ü", f"{decomposed}.tif", "ü.tif")]


def test_names_fit_on_a_line() -> None:
    assert Member(ROOT, Path("images/a b.tif")).name == "a b"
    with pytest.raises(PipelineError) as error:
        match_names([Member(ROOT, Path("a\nb.tif"))], [], [])
    assert str(error.value) == r"'/mine/a\nb.tif' has a line break or control character in its name; rename it"


@pytest.mark.parametrize(
    ("images", "labels", "unread", "message"),
    [
        (
            "images/s0.tif",
            "masks/s_0.png",
            "",
            "/mine/images/s0.tif has no mask; nearest is /mine/masks/s_0.png: rename it; expected s0.tif or .png in "
            "images/ and in masks/",
        ),
        (
            "images/s0.tif images/s1.tif images/s2.tif",
            "masks/s2.tif",
            "",
            "/mine/images/s0.tif has no mask (and 1 more without one); expected s0.tif or .png in images/ and in "
            "masks/",
        ),
        (
            "images/s0.tif images/s1.tif",
            "masks/s1.tif",
            "masks/s0.jp2",
            "/mine/images/s0.tif has no mask; /mine/masks/s0.jp2 lies there, but is not read: convert it to .tif or "
            ".png (gdal_translate)",
        ),
        (
            "images/s1.tif",
            "masks/s1.tif masks/s9.tif",
            "",
            "/mine/masks/s9.tif has no image; expected s9.tif or .png in images/ and in masks/",
        ),
        (
            "images/a.tif images/a.png",
            "masks/a.tif",
            "",
            "/mine/images/a.tif and /mine/images/a.png are two files for one scene; keep one",
        ),
        (
            "images/a.tif",
            "images/a_mask.png images/a_gt.png",
            "",
            "/mine/images/a_gt.png and /mine/images/a_mask.png are two labels for one image; keep one",
        ),
    ],
)
def test_a_file_without_its_counterpart_is_refused_with_the_nearest_fit(
    images: str, labels: str, unread: str, message: str
) -> None:
    with pytest.raises(PipelineError) as error:
        match_names(members(*images.split()), members(*labels.split()), [Path(name) for name in unread.split()])
    assert str(error.value) == message
