import numpy as np
import torch

from pipeline.evaluation.calibration import CONFIDENCE, CORRECT, PIXELS
from pipeline.evaluation.test_pass import count_predictions
from pipeline.learning.confusion import confusion_matrix
from pipeline.learning.data import Chips, scoring_loader
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
from pipeline.scoring.counts import HITS
from tests.learning.world import BRIGHTNESS, World

CPU = Device("cpu", "fp32")
TEST = ["c10", "c11", "c12"]


def test_counts_equal_those_of_single_chips(trained: World) -> None:
    model, chips = load_model(trained.model), Chips(trained.folder / "chips", TEST, BRIGHTNESS)
    model.segmenter.eval()
    counts = count_predictions(model, scoring_loader(chips, 2, 0), CPU)
    for index, counts_3K in enumerate(counts.counts_N3K):
        image_CHW, mask_HW = chips[index]
        expected = confusion_matrix(
            model.segmenter.predict_logits(image_CHW[None], CPU).argmax(1), mask_HW[None], 3
        ).numpy()
        assert counts_3K.tolist() == [expected.sum(1).tolist(), expected.sum(0).tolist(), np.diag(expected).tolist()]
    assert counts.counts_N3K.sum(axis=0)[0].tolist() == counts.matrix_KK.sum(axis=1).tolist()
    assert model.temperature != 1
    for bins_N3B in (counts.before_N3B, counts.after_N3B):
        pixels_N, correct_N = bins_N3B[:, PIXELS].sum(axis=1), bins_N3B[:, CORRECT].sum(axis=1)
        assert pixels_N.tolist() == [64 * 64 - 64] * 3  # a row of each chip is ignored
        assert correct_N.tolist() == counts.counts_N3K[:, HITS].sum(axis=1).tolist()
    confident = counts.before_N3B.sum(axis=(0, 2))[CONFIDENCE] < counts.after_N3B.sum(axis=(0, 2))[CONFIDENCE]
    assert confident == (model.temperature < 1)


def test_counts_do_not_depend_on_the_batch_size(trained: World) -> None:
    model, chips = load_model(trained.model), Chips(trained.folder / "chips", TEST, BRIGHTNESS)
    model.segmenter.eval()
    one, three = (count_predictions(model, scoring_loader(chips, size, 0), CPU) for size in (1, 3))
    assert np.array_equal(one.matrix_KK, three.matrix_KK)
    assert np.allclose(one.after_N3B, three.after_N3B, atol=1e-3)
    assert np.allclose(one.before_N3B, three.before_N3B, atol=1e-3)  # the network rounds differently


def test_logits_are_float32_and_as_large_as_the_image(trained: World) -> None:
    model = load_model(trained.model)
    logits = model.segmenter.predict_logits(torch.zeros(1, 3, 64, 32, dtype=torch.uint8), CPU)
    assert (logits.dtype, tuple(logits.shape)) == (torch.float32, (1, 3, 64, 32))
