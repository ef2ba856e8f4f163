"""A trained network as an ONNX file that needs no Python, and its comparison with PyTorch."""

import os
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.learning.confusion import argmax
from pipeline.learning.device import Device
from pipeline.learning.model import Model, Segmenter
from pipeline.publishing.deepness import deepness_metadata

TILE = 1024
"""Side of the input in pixels."""
OPSET, IR_VERSION = 17, 8
"""For onnxruntime 1.17.0, the newest that Deepness 0.6.5 accepts: `benchmarks/export.py` runs the file in it."""
INPUT, OUTPUT, BATCH = "image", "probabilities", "batch"
MIN_EQUAL = 0.9999
"""Share of pixels with the same class in ONNX and PyTorch."""
FP32 = Device("cpu", "fp32")
RUNTIME_ERRORS = (runtime.Fail, runtime.InvalidGraph, runtime.NotImplemented, runtime.RuntimeException)
"""Errors of onnxruntime over a graph that it does not run; they have no class in common."""


class ProbabilityNetwork(nn.Module):
    """The graph of the ONNX file."""

    def __init__(self, segmenter: Segmenter, temperature: float) -> None:
        super().__init__()
        self.segmenter, self.temperature = segmenter, temperature

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Predict probabilities_NKHW, float32, from bands between 0 and 1."""
        logits_NKHW: torch.Tensor = self.segmenter(255 * images_NCHW)
        return (logits_NKHW / self.temperature).softmax(dim=1)


@dataclass(frozen=True)
class Check:
    """How an ONNX file compares with PyTorch in fp32."""

    equal_share: float
    """Of the pixels, with the same class."""
    largest_difference: float
    """Of a class's probability in a pixel."""


def write_onnx(model: Model, path: Path, tile: int = TILE) -> None:
    """Write a network as one ONNX file: opset 17, IR version 8, fp32; the same bytes for the same model.

    Its input is `image` (batch, bands, tile, tile), float32 between 0 and 1: 8-bit values divided by 255. Its output is
    `probabilities` (batch, K, tile, tile), float32: normalisation, temperature and softmax are inside. The metadata is
    that of `deepness_metadata`.

    Args:
        model: with the network on the CPU; it is put into evaluation mode.
        path: is overwritten.
        tile: side of the input in pixels, a multiple of the encoder's stride.

    Raises:
        PipelineError: the network has an operation that the exporter lacks, or does not take images of this size.
    """
    proto = onnx.load_model_from_string(_export(model, tile))
    proto.ir_version = IR_VERSION
    shape = (BATCH, len(model.table.ids), tile, tile)  # the exporter leaves names in it
    proto.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, shape))
    onnx.helper.set_model_props(proto, deepness_metadata(model, tile))
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _export(model: Model, tile: int) -> bytes:
    """Trace the network.

    The newer exporter (`dynamo=True`) begins at opset 18; PyTorch 2.14 leaves six of eleven architectures there when 17
    is requested. This one fails on two, whose adaptive pooling does not divide the tile.
    """
    network = ProbabilityNetwork(model.segmenter, model.temperature).eval()
    file = BytesIO()
    try:
        with torch.inference_mode(), warnings.catch_warnings(), _without_stdout():
            warnings.simplefilter("ignore", DeprecationWarning)  # of this exporter
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # the size is fixed
            torch.onnx.export(
                network,
                (torch.zeros(1, model.segmenter.bands, tile, tile),),
                file,  # type: ignore[arg-type]  # the older exporter takes one
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: BATCH}, OUTPUT: {0: BATCH}},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:  # timm asserts the size of an image
        first = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")  # a request to report it follows
        reason = textwrap.shorten(first, 140, placeholder=" …") or type(error).__name__
        raise PipelineError(
            f"architecture {model.config.architecture!r} with encoder {model.config.encoder!r} cannot be exported to "
            f"ONNX with a tile of {tile} px: {reason}; use the model with `python -m pipeline.predict`, or train "
            "another architecture, such as unet"
        ) from None
    return file.getvalue()


@contextmanager
def _without_stdout() -> Iterator[None]:
    """Discard what C++ code prints: after an error the exporter prints the whole graph."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        with Path(os.devnull).open("w") as null:
            os.dup2(null.fileno(), 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def check_onnx(path: Path, model: Model) -> Check:
    """Compare an ONNX file, run by onnxruntime on the CPU, with its network in PyTorch and fp32, on a synthetic image.

    Args:
        path: see `write_onnx`.
        model: with the network on the CPU, in evaluation mode.

    Raises:
        PipelineError: the file cannot be opened, or fewer than 99.99 % of the pixels have the same class.
    """
    session = open_session(path)
    image_HWC = synthetic_image(session.get_inputs()[0].shape[-1], model.segmenter.bands)
    image_1CHW = np.ascontiguousarray(image_HWC.transpose(2, 0, 1))[None]
    (found_1KHW,) = session.run([OUTPUT], {INPUT: (image_1CHW / 255).astype(np.float32)})
    logits_1KHW = model.segmenter.predict_logits(torch.from_numpy(image_1CHW), FP32)
    expected_1KHW = (logits_1KHW / model.temperature).softmax(dim=1).numpy()
    equal = float((found_1KHW.argmax(axis=1) == argmax(logits_1KHW).numpy()).mean())
    check = Check(equal, float(np.abs(found_1KHW - expected_1KHW).max()))
    if not equal >= MIN_EQUAL:  # NaN too
        raise PipelineError(
            f"{path} gives the same class as PyTorch on only {equal:.4%} of the pixels of a tile, and probabilities "
            f"that differ by up to {check.largest_difference:.2g}; at least {MIN_EQUAL:.2%} are required: do not use "
            "it, and export the model again, or train another architecture, such as unet"
        )
    return check


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file of `write_onnx` on the CPU.

    Raises:
        PipelineError: this onnxruntime does not run its graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.enable_cpu_mem_arena = False  # it keeps the memory of a run: 0.4 GB with U-Net and ResNet18 at 1,024 px
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        reason = textwrap.shorten(str(error).partition("\n")[0], 200, placeholder=" …")
        raise PipelineError(
            f"{path} cannot be opened by onnxruntime {onnxruntime.__version__} ({reason}); export the model again"
        ) from None


def synthetic_image(side: int, bands: int = IMAGE_BANDS) -> np.ndarray:
    """Return image_HWC, uint8, the same in every run: fields with sharp borders, shading, and fine texture."""
    random = np.random.default_rng(0)
    rows_H1, columns_1W = np.arange(side)[:, None], np.arange(side)[None]
    image_HWC = np.full((side, side, bands), 128.0)
    for block, contrast in ((191, 60), (67, 40), (13, 20), (1, 6)):  # no common divisors with a network's stride
        count = -(-side // block)
        levels_YXC = random.uniform(-contrast, contrast, (count, count, bands))
        image_HWC += levels_YXC[rows_H1 // block, columns_1W // block]
    image_HWC += 25 * np.sin(rows_H1 / 90 + columns_1W / 140)[..., None]
    return image_HWC.clip(0, 255).astype(np.uint8)
