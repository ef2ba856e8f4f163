import numpy as np
import torch

from pipeline.evaluation.test_pass import BINS, count_predictions
from pipeline.learning.confusion import confusion_matrix
from pipeline.learning.data import Chips, scoring_loader
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
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
    pixels, probability, correct = counts.reliability_3B
    assert len(pixels) == BINS
    assert pixels.sum() == counts.matrix_KK.sum() == 3 * (64 * 64 - 64)  # a row of each chip is ignored
    assert correct.sum() == np.trace(counts.matrix_KK)
    assert ((pixels / 3 <= probability * 1.000001) | (pixels == 0)).all()  # the argmax of three is at least a third


def test_counts_do_not_depend_on_the_batch_size(trained: World) -> None:
    model, chips = load_model(trained.model), Chips(trained.folder / "chips", TEST, BRIGHTNESS)
    model.segmenter.eval()
    one, three = (count_predictions(model, scoring_loader(chips, size, 0), CPU) for size in (1, 3))
    assert np.array_equal(one.matrix_KK, three.matrix_KK)
    assert np.allclose(one.reliability_3B, three.reliability_3B, rtol=1e-6)


def test_logits_are_float32_and_as_large_as_the_image(trained: World) -> None:
    model = load_model(trained.model)
    logits = model.segmenter.predict_logits(torch.zeros(1, 3, 64, 32, dtype=torch.uint8), CPU)
    assert (logits.dtype, tuple(logits.shape)) == (torch.float32, (1, 3, 64, 32))
