"""The picture of a map: panels, legend, scale bar and texts, whatever the scene's shape and the classes' names."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.formats.classes import IGNORE, ClassTable, Colour, LandCoverClass
from pipeline.inference.preview import Captions, Panels, legend_entries, write_preview
from pipeline.inference.scale_bar import ScaleBar

WATER, FOREST, FIELD = (0, 0, 200), (0, 100, 0), (200, 200, 0)


def table_of(water: str = "water", forest: str = "forest") -> ClassTable:
    named = ((0, water, WATER), (9, forest, FOREST), (254, "field", FIELD))
    return ClassTable(classes=tuple(LandCoverClass(id=key, name=name, colour=colour) for key, name, colour in named))


TABLE = table_of()
BAR = ScaleBar(0.2, "2 km")
GREY = (120, 120, 120)


def panels(height: int, width: int) -> Panels:
    """A grey image, and a map of water, forest in its right half, no data in a corner."""
    map_HW = np.zeros((height, width), np.uint8)
    map_HW[:, width // 2 :] = 9
    map_HW[: height // 4, : width // 4] = IGNORE
    image_HWC = np.full((height, width, 4), [*GREY, 255], np.uint8)
    image_HWC[map_HW == IGNORE] = 0
    return Panels(image_HWC, map_HW)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.array(image.convert("RGB"))


def counts(views: Panels) -> dict[int, int]:
    return dict(enumerate(np.bincount(views.map_HW.ravel()).tolist()))


def draw(path: Path, views: Panels, table: ClassTable = TABLE, captions: Captions = Captions()) -> np.ndarray:  # noqa: B008
    write_preview(path, views, table, BAR, captions, counts(views))
    return pixels(path)


def box(image_HWC: np.ndarray, colour: Colour) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the area of a colour in the panels: larger than letters and legend."""
    of_colour_HW = (image_HWC == colour).all(axis=2)
    rows, columns = np.nonzero(of_colour_HW.sum(axis=1) > 60)[0], np.nonzero(of_colour_HW.sum(axis=0) > 60)[0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def test_image_truth_and_map_lie_side_by_side(tmp_path: Path) -> None:
    views = panels(40, 40)
    image_HWC = draw(tmp_path / "map.png", replace(views, truth_HW=np.full((40, 40), 254, np.uint8)))
    image, truth, forest = (box(image_HWC, colour) for colour in (GREY, FIELD, FOREST))
    assert image[:2] == pytest.approx(forest[:2], abs=2) and truth[:2] == pytest.approx(forest[:2], abs=2)
    assert image[2] < 30 and image[3] < truth[2] and truth[3] < forest[2] and forest[3] > 1470
    assert image_HWC.shape[1] == 1500


def test_panels_of_wide_scenes_lie_above_each_other(tmp_path: Path) -> None:
    image_HWC = draw(tmp_path / "map.png", panels(40, 200))
    image, forest = box(image_HWC, GREY), box(image_HWC, FOREST)
    assert image[1] < forest[0]
    assert image[2] < 30 and image[3] > 1470 and forest[3] > 1470


@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (40, 400)])
def test_pixels_keep_their_place_and_shape(tmp_path: Path, shape: tuple[int, int]) -> None:
    image_HWC = draw(tmp_path / "map.png", panels(*shape))
    top, bottom, left, right = box(image_HWC, FOREST)  # the right half
    assert (bottom - top) / shape[0] == pytest.approx((right - left) / (shape[1] / 2), rel=0.02)


def test_the_bar_has_its_share_of_the_width_of_a_panel(tmp_path: Path) -> None:
    views = Panels(np.full((40, 40, 4), [*GREY, 255], np.uint8), np.zeros((40, 40), np.uint8))
    image_HWC = draw(tmp_path / "map.png", views)
    _, bottom, left, right = box(image_HWC, GREY)
    black_HW = (image_HWC[bottom:, left + 1 :] == 0).all(axis=2)
    runs = np.argmin(black_HW, axis=1)  # columns until the first that is not black
    assert runs.max() + 1 == pytest.approx(BAR.share * (right - left), abs=2)


def test_areas_without_data_are_hatched(tmp_path: Path) -> None:
    image_HWC = draw(tmp_path / "map.png", panels(40, 40))
    top, bottom, left, right = box(image_HWC, FOREST)
    side = (right - left) // 2
    corner_HWC = image_HWC[top + 5 : top + side - 5, left - 2 * side + 5 : left - side - 5]
    white = (corner_HWC == 255).all(axis=2).mean()
    assert 0.5 < white < 0.95
    assert corner_HWC.min() > 200


def test_the_legend_lists_what_occurs_with_shares_of_the_mapped_pixels() -> None:
    views = panels(40, 40)  # of 16 sixteenths, 8 are forest, 7 water
    expected = [("water  46.7 %", WATER), ("forest  53.3 %", FOREST), ("no data", None)]
    assert legend_entries(views, TABLE, counts(views)) == expected


def test_the_legend_compares_with_the_truth() -> None:
    truth_HW = np.full((40, 40), 254, np.uint8)
    truth_HW[:10] = 0
    views = replace(panels(40, 40), truth_HW=truth_HW)
    assert legend_entries(views, TABLE, counts(views)) == [
        ("water  46.7 %  (truth 25.0 %)", WATER),
        ("forest  53.3 %  (truth 0.0 %)", FOREST),
        ("field  0.0 %  (truth 75.0 %)", FIELD),
        ("no data", None),
    ]
    truth_HW[0] = IGNORE
    assert legend_entries(views, TABLE, counts(views))[-1] == ("no data, no label", None)


def test_rare_classes_of_the_whole_map_are_listed() -> None:
    assert legend_entries(panels(4, 4), TABLE, {0: 999_999, 9: 0, 254: 1, IGNORE: 5_000_000}) == [
        ("water  100.0 %", WATER),
        ("field  < 0.1 %", FIELD),
        ("no data", None),
    ]


def test_long_names_are_cut() -> None:
    views = panels(4, 4)
    labels = [label for label, _ in legend_entries(views, table_of("x" * 41, "y" * 40), counts(views))]
    assert labels[:2] == ["x" * 39 + "…  46.7 %", "y" * 40 + "  53.3 %"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1600), (1600, 1), (3, 1600), (1600, 40), (2, 3)])
@pytest.mark.parametrize("truth", [False, True], ids=["map", "map and truth"])
def test_every_shape_has_a_picture_of_readable_size(tmp_path: Path, shape: tuple[int, int], truth: bool) -> None:
    views = panels(*shape)
    views = replace(views, truth_HW=views.map_HW) if truth else views
    image_HWC = draw(tmp_path / "map.png", views, captions=Captions("title", "credit"))
    height, width = image_HWC.shape[:2]
    assert 740 <= width <= 1500 and 200 <= height <= 1500
    assert ((image_HWC == FOREST).all(axis=2)).sum() > 5000


def test_a_legend_of_24_long_names_fits(tmp_path: Path) -> None:
    names = [f"{number} permanent crops such as vineyards and orchards" for number in range(24)]
    table = ClassTable.model_validate(
        {"classes": [{"id": i, "name": name, "colour": (10 * i, 1, 2)} for i, name in enumerate(names)]}
    )
    map_HW = np.arange(24, dtype=np.uint8).repeat(24).reshape(24, 24)
    views = Panels(np.full((24, 24, 4), 255, np.uint8), map_HW, map_HW)
    for name, tall in (("square", 1), ("tall", 20)):
        views = Panels(*(view.repeat(tall, axis=0) for view in (views.image_HWC, map_HW, map_HW)))
        image_HWC = draw(tmp_path / f"{name}.png", views, table)
        dark = np.nonzero((image_HWC < 100).all(axis=2))
        for axis, margin in ((0, 10), (1, 10)):  # nothing is cut at the border
            assert dark[axis].min() >= margin
            assert dark[axis].max() < image_HWC.shape[axis] - margin


@pytest.mark.parametrize("name", ["$\\bad{$", "$x$ and $y$", "_hidden", "건물", "a & <b>", "🌳", " "])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "map.png", panels(8, 8), table_of(f"{name}."), Captions(name, name))


def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path: Path) -> None:
    drawn = [draw(tmp_path / "map.png", panels(8, 8), table_of(name)) for name in ("$water$", "water")]
    first, second = ((image_HWC < 100).all(axis=2).sum() for image_HWC in drawn)
    assert first > second + 50  # two more characters


def test_the_title_is_metadata_and_nothing_else_is(tmp_path: Path) -> None:
    draw(tmp_path / "map.png", panels(8, 8), captions=Captions("Coast → map", "credit"))
    with Image.open(tmp_path / "map.png") as image:
        assert {key: value for key, value in image.info.items() if key != "dpi"} == {"Title": "Coast → map"}


def test_the_same_map_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        draw(tmp_path / name, panels(30, 20), captions=Captions("title", "credit"))
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    draw(tmp_path / "third.png", panels(30, 20), captions=Captions("title", "another"))
    assert (tmp_path / "first.png").read_bytes() != (tmp_path / "third.png").read_bytes()


def test_captions_take_room_of_their_own(tmp_path: Path) -> None:
    heights = [
        draw(tmp_path / "map.png", panels(20, 20), captions=captions).shape[0]
        for captions in (Captions(), Captions("title"), Captions("word " * 60), Captions("word " * 60, "credit"))
    ]
    assert heights == sorted(set(heights))
