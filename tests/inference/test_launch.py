"""A batch that is launched gives the layers of its parts, at once or, on a GPU, while the process goes on."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.inference.launch import Launched, empty_images, is_asynchronous, launch
from pipeline.inference.network import LoadedModel, map_layers
from pipeline.learning.device import Device
from tests.inference.world import ALL, FP32, exact_model, random_scene, untrained_model
from tests.learning.cuda import set_sync_debug_mode

IMAGES_NHWC = np.stack([random_scene(64, 96, seed).image_HWC for seed in range(3)])
PARTS = [(slice(8, 40), slice(0, 96)), (slice(0, 64), slice(16, 80)), (slice(1, 2), slice(3, 4))]
WANTED = replace(ALL, undecided=40.0)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


def expected(model: LoadedModel) -> list[dict[str, np.ndarray]]:
    logits_NKHW = model.logits(IMAGES_NHWC)
    windows = [logits_KHW[:, *part] for logits_KHW, part in zip(logits_NKHW, PARTS, strict=True)]
    return [{name: layer.numpy() for name, layer in map_layers(model, window, WANTED).items()} for window in windows]


def test_a_batch_has_the_layers_of_each_part() -> None:
    launched = launch(untrained_model(), IMAGES_NHWC, PARTS, WANTED)
    assert 0 < launched.wait() == launched.seconds
    for found, layers in zip(launched.layers, expected(untrained_model()), strict=True):
        assert found.keys() == {"classes", "confidence", "probabilities"}
        assert all((found[name].numpy() == layer_CHW).all() for name, layer_CHW in layers.items())


def test_a_batch_takes_the_seconds_between_its_events() -> None:
    class Event:
        waited = False

        def synchronize(self) -> None:
            self.waited = True

        def elapsed_time(self, end: "Event") -> float:
            assert end.waited
            return 1500.0

    start, end = Event(), Event()
    assert Launched([], 0.1, (start, end)).wait() == 1.5  # type: ignore[arg-type]
    assert not start.waited


def test_a_cpu_and_apples_gpu_are_waited_for() -> None:
    assert [is_asynchronous(Device(name, "fp32")) for name in ("cpu", "mps", "cuda")] == [False, False, True]  # type: ignore[arg-type]
    images_NHWC = empty_images((2, 3, 4, 5), FP32)
    assert (images_NHWC.shape, images_NHWC.dtype) == ((2, 3, 4, 5), np.uint8)


@pytest.fixture
def on_gpu() -> Iterator[LoadedModel]:
    """The network of `exact_model` on a GPU, after a first batch, which loads libraries."""
    model = replace(exact_model(), device=Device("cuda", "fp32"))
    model.model.segmenter.to("cuda")
    launch(model, IMAGES_NHWC, PARTS, WANTED).wait()
    yield model
    model.model.segmenter.to("cpu")


@pytest.mark.cuda
@needs_cuda
def test_a_gpu_is_not_waited_for_until_its_layers_are_needed(on_gpu: LoadedModel) -> None:
    images_NHWC = empty_images(IMAGES_NHWC.shape, on_gpu.device)
    images_NHWC[:] = IMAGES_NHWC
    assert torch.from_numpy(images_NHWC).is_pinned()
    set_sync_debug_mode("error")
    try:
        launched = launch(on_gpu, images_NHWC, PARTS, WANTED)
    finally:
        set_sync_debug_mode("default")
    assert launched.wait() > 0
    assert all(layer.is_pinned() for layers in launched.layers for layer in layers.values())
    on_cpu = replace(exact_model(), device=FP32)
    on_cpu.model.segmenter.to("cpu")
    for found, layers in zip(launched.layers, expected(on_cpu), strict=True):
        assert (found["classes"].numpy() == layers["classes"]).all()  # its logits are whole numbers
        for name in ("confidence", "probabilities"):
            assert np.abs(found[name].numpy().astype(int) - layers[name]).max() <= 1
