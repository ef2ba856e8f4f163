from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.evaluation.examples import ExampleSource, draw_example_grids, order_by_iou, richest_chips
from pipeline.evaluation.test_pass import count_predictions
from pipeline.learning.data import Chips, scoring_loader
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
from tests.learning.world import BRIGHTNESS, World

CPU = Device("cpu", "fp32")
TEST = ["c10", "c11", "c12"]
# true, predicted, hits by class; IoU 1/3 and 0 | 1 | no pixel | 1/2
COUNTS = np.array(
    [[[4, 2], [2, 4], [2, 0]], [[6, 0], [6, 0], [6, 0]], [[0, 0], [0, 0], [0, 0]], [[4, 0], [2, 2], [2, 0]]]
)


def test_chips_are_ordered_by_their_iou_without_unlabelled_ones() -> None:
    assert order_by_iou(COUNTS) == [0, 3, 1]


def test_the_richest_chip_of_each_class() -> None:
    assert richest_chips(COUNTS) == [1, 0]
    assert richest_chips(COUNTS[1:]) == [0, -1]


def test_an_example_has_image_target_and_predicted_class_ids(trained: World) -> None:
    chips, model = Chips(trained.folder / "chips", TEST, BRIGHTNESS), load_model(trained.model)
    model.segmenter.eval()
    examples = ExampleSource(model, chips, CPU).examples([0, 2])
    assert [example.id for example in examples] == ["c10", "c12"]
    mask_HW = np.array(Image.open(trained.folder / "chips/masks/c12.png"))
    assert np.array_equal(examples[1].target_HW, mask_HW)
    assert np.array_equal(examples[1].image_HWC, np.array(Image.open(trained.folder / "chips/images/c12.png")))
    assert set(np.unique(examples[1].predicted_HW).tolist()) <= {1, 4, 9}


def test_four_grids_are_drawn(trained: World, tmp_path: Path) -> None:
    chips, model = Chips(trained.folder / "chips", TEST, BRIGHTNESS), load_model(trained.model)
    model.segmenter.eval()
    counts = count_predictions(model, scoring_loader(chips, 3, 0), CPU)
    draw_example_grids(tmp_path, ExampleSource(model, chips, CPU), counts.counts_N3K, 2, "title")
    heights = {}
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            heights[path.stem] = image.size[1]
    assert heights == {"examples": 570, "best": 570, "worst": 570, "errors": 810}  # two chips; three classes
