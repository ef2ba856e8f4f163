from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation.calibration import BINS, Reliability
from pipeline.evaluation.figures import (
    ERROR_COLOURS,
    Example,
    draw_confusion,
    draw_errors,
    draw_examples,
    draw_reliability,
    error_overlay,
    write_plots,
)
from pipeline.evaluation.test_pass import PredictionCounts
from pipeline.scoring.counts import counts_of
from tests.learning.world import BRIGHTNESS, bright_chip

MATRIX = np.array([[90, 10, 0], [0, 50, 50], [0, 0, 0]])


def example(number: int) -> Example:
    image_HWC, mask_HW = bright_chip(number, 64)
    return Example(f"c{number}", image_HWC, mask_HW, np.full((64, 64), 9, np.uint8))


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.array(image.convert("RGB")).reshape(-1, 3)
    kinds, counts = np.unique(pixels, axis=0, return_counts=True)
    return {tuple(kind) for kind in kinds[counts > 300].tolist()}


def count_colours(path: Path) -> "Counter[tuple[int, ...]]":
    with Image.open(path) as image:
        return Counter(map(tuple, np.array(image.convert("RGB")).reshape(-1, 3).tolist()))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_confusion_matrix_is_a_png_that_grows_with_the_classes(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "3.png", MATRIX, BRIGHTNESS.names, "title")
    draw_confusion(tmp_path / "8.png", np.eye(8), list("abcdefgh"), "title")
    assert size(tmp_path / "3.png") == (530, 430)
    assert size(tmp_path / "8.png") == (830, 730)


def test_cells_are_coloured_by_their_share_of_the_row(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "empty.png", np.zeros((3, 3), np.int64), BRIGHTNESS.names, "title")
    assert (8, 48, 107) not in colours(tmp_path / "empty.png")
    draw_confusion(tmp_path / "matrix.png", np.diag([1000, 1, 0]), BRIGHTNESS.names, "title")
    assert (8, 48, 107) in colours(tmp_path / "matrix.png")  # the darkest of Blues: a share of 1


def test_examples_are_drawn_in_the_colours_of_the_classes(tmp_path: Path) -> None:
    draw_examples(tmp_path / "examples.png", [example(1)], BRIGHTNESS, "title")
    assert {(0, 0, 200), (0, 200, 0), (200, 0, 0)} <= colours(tmp_path / "examples.png")


def test_the_title_is_metadata_too(tmp_path: Path) -> None:  # by which a test finds an old image in README
    draw_examples(tmp_path / "examples.png", [example(1)], BRIGHTNESS, "title")
    with Image.open(tmp_path / "examples.png") as image:
        assert image.info["Title"] == "title"


def test_examples_have_a_row_each(tmp_path: Path) -> None:
    for count in (1, 4):
        draw_examples(tmp_path / f"{count}.png", [example(number) for number in range(count)], BRIGHTNESS, "title")
    assert size(tmp_path / "1.png") == (720, 330)
    assert size(tmp_path / "4.png") == (720, 1050)


@pytest.mark.parametrize("what", ["confusion", "examples"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, what: str) -> None:
    for name in ("first.png", "second.png"):
        if what == "confusion":
            draw_confusion(tmp_path / name, MATRIX, BRIGHTNESS.names, "title")
        else:
            draw_examples(tmp_path / name, [example(1), example(2)], BRIGHTNESS, "title")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert b"Matplotlib" not in (tmp_path / "first.png").read_bytes()


def test_errors_are_coloured_by_kind_and_ignored_pixels_stay_grey() -> None:
    target_HW, predicted_HW = np.array([[4, 4, 1, 1, 255]], np.uint8), np.array([[4, 1, 4, 1, 4]], np.uint8)
    overlay = error_overlay(Example("c", np.full((1, 5, 3), 100, np.uint8), target_HW, predicted_HW), 4)
    found, missed, false_alarm = ERROR_COLOURS.values()
    assert [tuple(pixel) for pixel in overlay[0].tolist()] == [found, missed, false_alarm, (110,) * 3, (110,) * 3]


def test_errors_have_a_row_per_class(tmp_path: Path) -> None:
    draw_errors(tmp_path / "errors.png", [("water", example(1)), ("roof", example(2))], BRIGHTNESS, "title")
    assert size(tmp_path / "errors.png") == (520, 570)
    assert set(ERROR_COLOURS.values()) & colours(tmp_path / "errors.png")


def curve(*shares: float) -> np.ndarray:
    """A group with 1,000 pixels of confidence 0.92, of which a share is correct."""
    bins_G3B = np.zeros((len(shares), 3, BINS))
    bins_G3B[:, :, 18] = [(1000, 920, 1000 * share) for share in shares]
    return bins_G3B


def test_content_of_the_tables(tmp_path: Path) -> None:
    reliability = Reliability(curve(0.5), curve(0.9))
    counts = PredictionCounts(MATRIX, counts_of(MATRIX)[None], reliability.before_G3B, reliability.after_G3B)
    write_plots(tmp_path, counts, reliability, BRIGHTNESS.names, "title")
    # 90 of 100 + 90 - 90; 50 of 100 + 60 - 50; the third class has no pixel
    assert (tmp_path / "iou.csv").read_text() == f"class,iou\nwater,0.9\nfield,{50 / 110:.6f}\n"
    assert (tmp_path / "confusion.csv").read_text().splitlines()[1] == "water,90,10,0"
    heads = "confidence,accuracy,low,high,pixels\n"
    assert (tmp_path / "reliability_before.csv").read_text() == f"{heads}0.92,0.5,,,1000\n"
    assert (tmp_path / "reliability.csv").read_text() == f"{heads}0.92,0.9,,,1000\n"


def test_both_curves_of_reliability_are_drawn_with_their_intervals(tmp_path: Path) -> None:
    before, after = ((213, 94, 0), (0, 114, 178))
    with_groups = Reliability(curve(*np.linspace(0.1, 0.4, 12)), curve(*np.linspace(0.6, 0.9, 12)))
    draw_reliability(tmp_path / "groups.png", with_groups, "title")
    draw_reliability(tmp_path / "few.png", Reliability(curve(0.25), curve(0.75)), "title")
    counted = {name: count_colours(tmp_path / f"{name}.png") for name in ("groups", "few")}
    for colour in (before, after):
        assert counted["few"][colour] > 100
    white = (255, 255, 255)  # bars are the only difference
    assert counted["few"][white] - counted["groups"][white] > 50


def test_reliability_without_labelled_pixels_is_drawn_empty(tmp_path: Path) -> None:
    draw_reliability(tmp_path / "empty.png", Reliability.of_groups(np.zeros((2, 3, BINS)), np.zeros((2, 3, BINS))), "")
    assert size(tmp_path / "empty.png") == (520, 560)
