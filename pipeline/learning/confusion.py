"""Counts pixels by true and predicted class on the device that predicted them."""

import torch

from pipeline.formats.classes import IGNORE


def argmax(logits_NKHW: torch.Tensor) -> torch.Tensor:
    """The class with the largest logit, predicted_NHW; the first of several.

    As argmax does, which on a processor takes 25 times as long where each class's values lie together in memory.
    """
    return logits_NKHW.max(dim=1).indices


def confusion(predicted_NHW: torch.Tensor, target_NHW: torch.Tensor, classes: int) -> torch.Tensor:
    """Count pixels by true and predicted class, over all chips.

    Args:
        predicted_NHW: class indices below `classes`.
        target_NHW: class indices, or `IGNORE`.
        classes: their number, K.

    Returns:
        matrix_KK, int64; row: the true class, column: the predicted one; ignored pixels are in no cell.
    """
    return confusions(predicted_NHW.flatten()[None], target_NHW.flatten()[None], classes)[0]


def confusions(predicted_NHW: torch.Tensor, target_NHW: torch.Tensor, classes: int) -> torch.Tensor:
    """The same, chip by chip: matrix_NKK."""
    cells = target_NHW.long() * classes + predicted_NHW
    # one more cell takes the ignored pixels: cheaper than picking the others out
    cells = torch.where(target_NHW == IGNORE, classes * classes, cells).flatten(1)
    size = classes * classes + 1
    cells += size * torch.arange(len(cells), device=cells.device)[:, None]
    counted = _bincount(cells.flatten(), size * len(cells)).reshape(-1, size)
    return counted[:, :-1].reshape(-1, classes, classes)


def _bincount(cells: torch.Tensor, size: int) -> torch.Tensor:
    """How often each number below `size` occurs; on a GPU without waiting for it, as torch's own does."""
    if cells.device.type == "cpu":
        return torch.bincount(cells, minlength=size)
    return torch.zeros(size, dtype=torch.int64, device=cells.device).scatter_add_(0, cells, torch.ones_like(cells))


def reliability(logits_NKHW: torch.Tensor, target_NHW: torch.Tensor, bins: int) -> torch.Tensor:
    """How often the argmax class is right, by how likely the softmax says it is.

    Args:
        logits_NKHW: float32.
        target_NHW: class indices, or `IGNORE`.
        bins: equal steps of the probability from 0 to 1.

    Returns:
        (3, bins) of float64: pixels, sum of their probabilities, pixels that are right.
    """
    probability, predicted = logits_NKHW.softmax(dim=1).max(dim=1)
    counted = (target_NHW != IGNORE).flatten()
    place = (probability * bins).long().clamp(max=bins - 1).flatten()
    right = (predicted == target_NHW).flatten()
    # single precision cannot add up millions of probabilities
    weights = (counted.double(), counted * probability.flatten().double(), (counted & right).double())
    return torch.stack([torch.bincount(place, weight, minlength=bins) for weight in weights])
