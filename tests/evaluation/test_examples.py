"""Shown chips are spread over the test set, the best, the worst and the richest; written ones depend on it alone."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pipeline.evaluation.examples import (
    ExampleSource,
    fixed_chips,
    order_by_iou,
    richest_chips,
    write_predictions,
)
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.scoring.counts import TRUE
from tests.learning.world import BRIGHTNESS, World

# true, predicted, hits by class; IoU 1/3 and 0 | 1 | no pixel | 1/2
COUNTS = np.array(
    [[[4, 2], [2, 4], [2, 0]], [[6, 0], [6, 0], [6, 0]], [[0, 0], [0, 0], [0, 0]], [[4, 0], [2, 2], [2, 0]]]
)


def test_chips_are_ordered_by_their_iou_without_unlabelled_ones() -> None:
    assert order_by_iou(COUNTS) == [0, 3, 1]


def test_the_richest_chip_of_each_class() -> None:
    assert richest_chips(COUNTS) == {0: 1, 1: 0}
    assert richest_chips(COUNTS[1:]) == {0: 0}


def true_pixels(*chips: tuple[int, ...]) -> np.ndarray:
    """Counts of chips with these true pixels by class, nothing predicted."""
    counts_N3K = np.zeros((len(chips), 3, len(chips[0])), np.int64)
    counts_N3K[:, TRUE] = chips
    return counts_N3K


def test_the_richest_chips_come_first_and_the_rarest_class_before_them() -> None:
    counts_N3K = true_pixels((90, 0, 9, 0), (80, 5, 9, 0), (95, 2, 8, 0), (10, 0, 0, 0), (10, 0, 0, 0), (0, 0, 0, 0))
    assert fixed_chips(counts_N3K, 1) == [1]  # class 1 has 7 pixels, class 2 26, class 0 285, class 3 none
    assert fixed_chips(counts_N3K, 2) == [1, 0]
    assert fixed_chips(counts_N3K, 3) == [1, 0, 2]
    assert fixed_chips(counts_N3K, 4) == [1, 0, 2, 3]
    assert fixed_chips(counts_N3K, 5) == [1, 0, 2, 3, 5]  # first and last of the rest
    assert sorted(fixed_chips(counts_N3K, 9)) == [0, 1, 2, 3, 4, 5]


def test_a_chip_that_is_the_richest_of_two_classes_is_chosen_once() -> None:
    assert fixed_chips(true_pixels((1, 1), (9, 9), (2, 2), (3, 3)), 3) == [1, 0, 3]


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 30), st.just(3), st.just(3)), elements=st.integers(0, 9)))
def test_as_many_chips_as_wanted_whatever_was_predicted(counts_N3K: np.ndarray) -> None:
    others_N3K = counts_N3K.copy()
    others_N3K[:, TRUE + 1 :] = 0
    for count in (1, 4, 40):
        chosen = fixed_chips(counts_N3K, count)
        assert len(chosen) == len(set(chosen)) == min(count, len(counts_N3K))
        assert set(chosen) <= set(range(len(counts_N3K)))
        assert chosen == fixed_chips(others_N3K, count)


def test_an_example_has_image_target_and_predicted_class_ids(source: ExampleSource, trained: World) -> None:
    examples = source.examples([0, 2])
    assert [example.id for example in examples] == ["c10", "c12"]
    for kind, found in (("masks", examples[1].target_HW), ("images", examples[1].image_HWC)):
        with Image.open(trained.folder / f"chips/{kind}/c12.png") as image:
            assert np.array_equal(found, np.array(image))
    assert set(np.unique(examples[1].predicted_HW).tolist()) <= {1, 4, 9}


def test_predictions_are_written_in_the_colours_of_the_chips(source: ExampleSource, tmp_path: Path) -> None:
    grey = ClassTable(classes=tuple(each.model_copy(update={"colour": (7, 7, each.id)}) for each in BRIGHTNESS.classes))
    folder = tmp_path / "new/predictions"
    write_predictions(folder, source, true_pixels((0, 9, 0), (0, 9, 0), (9, 0, 0)), 2, grey)
    assert read_classes(folder / "classes.json") == grey
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    assert files == [f"{kind}/{chip}.png" for kind in ("images", "predictions", "targets") for chip in ("c10", "c12")]
    (first, _) = source.examples([2, 0])
    for kind, expected in (("targets", first.target_HW), ("predictions", first.predicted_HW)):
        with Image.open(folder / kind / "c12.png") as image:
            assert (image.mode, np.array_equal(np.array(image), expected)) == ("P", True)
            assert image.convert("RGB").getpixel((0, 0)) == (7, 7, expected[0, 0])
    with Image.open(folder / "images/c12.png") as image:
        assert (image.mode, np.array_equal(np.array(image), first.image_HWC)) == ("RGB", True)
