"""A pass over the test set counts each pixel once, chip by chip, whatever the batch size."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pipeline.evaluation.calibration import CONFIDENCE, CORRECT, PIXELS
from pipeline.evaluation.examples import ExampleSource
from pipeline.evaluation.test_pass import PredictionCounts, _counts_of, count_predictions
from pipeline.learning.confusion import confusion_matrix
from pipeline.learning.data import Batch
from pipeline.learning.loaders import scoring_loader
from pipeline.scoring.counts import HITS, counts_of


def counted(source: ExampleSource, batch_size: int) -> PredictionCounts:
    return count_predictions(source.model, scoring_loader(source.chips, batch_size, 0), source.device)


def test_counts_equal_those_of_single_chips(source: ExampleSource) -> None:
    counts, model = counted(source, 2), source.model
    for index, counts_3K in enumerate(counts.counts_N3K):
        image_CHW, mask_HW = source.chips[index]
        predicted_NHW = model.segmenter.predict_logits(image_CHW[None], source.device).argmax(1)
        expected = confusion_matrix(predicted_NHW, mask_HW[None], 3).numpy()
        assert counts_3K.tolist() == [expected.sum(1).tolist(), expected.sum(0).tolist(), np.diag(expected).tolist()]
    assert counts.counts_N3K.sum(axis=0)[0].tolist() == counts.matrix_KK.sum(axis=1).tolist()
    assert model.temperature != 1
    for bins_N3B in (counts.before_N3B, counts.after_N3B):
        pixels_N, correct_N = bins_N3B[:, PIXELS].sum(axis=1), bins_N3B[:, CORRECT].sum(axis=1)
        assert pixels_N.tolist() == [64 * 64 - 64] * 3  # a row of each chip is ignored
        assert correct_N.tolist() == counts.counts_N3K[:, HITS].sum(axis=1).tolist()
    confident = counts.before_N3B.sum(axis=(0, 2))[CONFIDENCE] < counts.after_N3B.sum(axis=(0, 2))[CONFIDENCE]
    assert confident == (model.temperature < 1)


def test_counts_are_those_of_its_matrices_whatever_the_number_of_classes(source: ExampleSource) -> None:
    matrix_NKK = torch.randint(0, 999, (4, 255, 255), generator=torch.Generator().manual_seed(1))
    assert np.array_equal(_counts_of(matrix_NKK).numpy(), counts_of(matrix_NKK.numpy()))


def test_counts_are_fetched_after_the_last_batch(source: ExampleSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fetch waits for a GPU."""
    batches = list(scoring_loader(source.chips, 1, 0))
    fetched: list[int] = []
    fetch, left = torch.Tensor.cpu, len(batches)

    def watched() -> Iterator[Batch]:
        nonlocal left
        for batch in batches:
            left -= 1
            yield batch

    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: (fetched.append(left), fetch(tensor))[1])
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: pytest.fail("a GPU would be waited for"))
    counts = count_predictions(source.model, watched(), source.device)
    assert fetched == [0, 0, 0]
    assert counts.counts_N3K.shape == (3, 3, 3)


def test_counts_do_not_depend_on_the_batch_size(source: ExampleSource) -> None:
    one, three = counted(source, 1), counted(source, 3)
    assert np.array_equal(one.matrix_KK, three.matrix_KK)
    assert np.allclose(one.after_N3B, three.after_N3B, atol=1e-3)
    assert np.allclose(one.before_N3B, three.before_N3B, atol=1e-3)  # the network rounds differently
