"""Memory of a forward pass, against what can be counted by head."""

from torch import nn

from pipeline.inference.memory import OVERHEAD, batch_bytes_per_pixel, live_bytes_per_pixel
from pipeline.learning.device import Device
from pipeline.learning.model import Segmenter


def segmenter(*layers: nn.Module) -> Segmenter:
    return Segmenter(nn.Sequential(*layers), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_bytes_of_a_convolution_are_those_of_its_input_and_output() -> None:
    # the normalised image, 3 channels of 4 bytes, and the output of 8 channels
    assert live_bytes_per_pixel(segmenter(nn.Conv2d(3, 8, 1))) == 4 * (3 + 8)


def test_tensors_that_are_released_do_not_count() -> None:
    # image and 8 channels, or 8 and 2 channels: the first pair is larger
    narrow = segmenter(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1))
    assert live_bytes_per_pixel(narrow) == 4 * (3 + 8 + 2)  # the caller holds the normalised image


def test_half_precision_takes_half() -> None:
    network = segmenter(nn.Conv2d(3, 8, 1))
    full, half = (batch_bytes_per_pixel(network, Device("cpu", precision)) for precision in ("fp32", "bf16"))
    assert (full, half) == (OVERHEAD * 44, OVERHEAD * 22)
