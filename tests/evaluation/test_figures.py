"""Figures show classes, errors and curves in their colours, and tables hold the same numbers."""

from pathlib import Path

import numpy as np
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


def pixels(path: Path, *colours: tuple[int, int, int]) -> list[int]:
    """How many pixels have each colour."""
    with Image.open(path) as image:
        image_HWC = np.array(image.convert("RGB"))
    return [int((image_HWC == colour).all(axis=2).sum()) for colour in colours]


def test_cells_are_coloured_by_their_share_of_the_row(tmp_path: Path) -> None:
    darkest = (8, 48, 107)  # of Blues: a share of 1
    for cells, is_dark in (([0, 0, 0], False), ([1000, 1, 0], True)):
        draw_confusion(tmp_path / "matrix.png", np.diag(cells), BRIGHTNESS.names, "title")
        assert (pixels(tmp_path / "matrix.png", darkest) > [300]) is is_dark


def test_examples_are_drawn_in_the_colours_of_the_classes(tmp_path: Path) -> None:
    draw_examples(tmp_path / "examples.png", [example(1)], BRIGHTNESS, "title")
    colours = ((0, 0, 200), (0, 200, 0), (200, 0, 0))
    assert min(pixels(tmp_path / "examples.png", *colours)) > 300
    with Image.open(tmp_path / "examples.png") as image:
        # by its title a test finds an old image in README
        assert (image.info["Title"], "Software" in image.info) == ("title", False)
        legend = image.convert("RGB").crop((0, image.height - 40, *image.size))
        assert set(colours) <= {colour for _, colour in legend.getcolors(10**6)}


def test_errors_are_coloured_by_kind_and_ignored_pixels_stay_grey() -> None:
    target_HW, predicted_HW = np.array([[4, 4, 1, 1, 255]], np.uint8), np.array([[4, 1, 4, 1, 4]], np.uint8)
    overlay = error_overlay(Example("c", np.full((1, 5, 3), 100, np.uint8), target_HW, predicted_HW), 4)
    found, missed, false_alarm = ERROR_COLOURS.values()
    assert [tuple(pixel) for pixel in overlay[0].tolist()] == [found, missed, false_alarm, (110,) * 3, (110,) * 3]


def test_errors_are_drawn_for_each_class(tmp_path: Path) -> None:
    draw_errors(tmp_path / "errors.png", [("water", example(1)), ("roof", example(2))], BRIGHTNESS, "title")
    assert min(pixels(tmp_path / "errors.png", *ERROR_COLOURS.values())) > 300


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
    white, before, after = (255, 255, 255), (213, 94, 0), (0, 114, 178)
    with_groups = Reliability(curve(*np.linspace(0.1, 0.4, 12)), curve(*np.linspace(0.6, 0.9, 12)))
    draw_reliability(tmp_path / "groups.png", with_groups, "title")
    draw_reliability(tmp_path / "few.png", Reliability(curve(0.25), curve(0.75)), "title")
    without_bars, *curves = pixels(tmp_path / "few.png", white, before, after)
    assert min(curves) > 100
    assert without_bars - pixels(tmp_path / "groups.png", white)[0] > 50  # bars are the only difference
