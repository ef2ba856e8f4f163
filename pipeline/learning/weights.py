"""Pretrained encoders: weights from a file or the hub, and the normalisation they were trained with."""

import os
import socket
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import timm
import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0 to 1: what nearly all encoders were trained with, and a sensible default for random weights."""
HEADS = ("fc.", "classifier.", "head.", "head_dist.", "last_linear.")
"""Prefixes of a classifier's head in timm and torchvision, which an encoder does not have."""
HUB_TIMEOUT = 3.0
"""Seconds."""
TIMM_NAMES = {"inceptionv4": "inception_v4", "inceptionresnetv2": "inception_resnet_v2", "xception": "legacy_xception"}
"""Encoders that have another name in segmentation-models-pytorch than in timm."""
Weights = dict[str, torch.Tensor]

NAME_MAPPINGS: tuple[Callable[[str], str], ...] = (
    lambda name: name,  # the library's own names, which for many encoders are timm's
    lambda name: f"model.{name}",  # timm's names, for an encoder tu-NAME, which wraps timm's network as `model`
    lambda name: name.removeprefix("encoder."),  # a whole segmentation network of the library
    lambda name: name.removeprefix("net.encoder."),
)
"""Candidate mappings from the names in a file to those of an encoder."""


def load_weights(path: Path) -> Weights:
    """Read the tensors of a safetensors file.

    Raises:
        PipelineError: the file does not exist or is not a safetensors file.
    """
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; expected weights in a .safetensors file")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise PipelineError(f"{path} is not a valid .safetensors file: {' '.join(str(error).split())}") from None


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Load all weights of an encoder from a file, under timm's names or the library's.

    A classifier's head and the decoder of a segmentation network are skipped. For images of more than three bands, the
    weights of convolutions of three bands are repeated and scaled, as the library and timm do.

    Raises:
        PipelineError: weights are missing, unexpected or of another shape; lists them.
    """
    expected = encoder.state_dict()
    weights = load_weights(path)
    renamed = max(
        ({mapping(name): value for name, value in weights.items()} for mapping in NAME_MAPPINGS),
        key=lambda candidate: len(candidate.keys() & expected),
    )
    renamed = {name: _for_bands(value, expected.get(name)) for name, value in renamed.items()}
    relevant = {name: value for name, value in renamed.items() if _is_encoder_weight(name, expected)}
    try:
        # not the library's own method: that of some encoders, such as densenet121, needs a head
        nn.Module.load_state_dict(encoder, relevant)
    except RuntimeError as error:
        raise PipelineError(f"encoder_weights: {path} does not fit this encoder: {describe_misfit(error)}") from None


def describe_misfit(error: RuntimeError) -> str:
    """Return the first missing, unexpected and misshapen weights that torch names; it lists all, on several lines."""
    return "; ".join(textwrap.shorten(line, 200, placeholder=" …") for line in str(error).splitlines()[1:4])


def _for_bands(given: torch.Tensor, expected: torch.Tensor | None) -> torch.Tensor:
    """Adapt the weights of a convolution of three bands to more of them; return others unchanged."""
    if expected is None or given.ndim != 4 or given.ndim != expected.ndim:
        return given
    is_narrower = given.shape[1] == IMAGE_BANDS < expected.shape[1]
    is_same_kernel = (given.shape[0], *given.shape[2:]) == (expected.shape[0], *expected.shape[2:])
    return adapt_input_conv(expected.shape[1], given) if is_narrower and is_same_kernel else given


def normalisation(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of RGB in 0 to 1 that timm lists for an encoder, else ImageNet's."""
    name = TIMM_NAMES.get(encoder, encoder.removeprefix("tu-").removeprefix("timm-"))
    configuration = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if configuration is None:
        return IMAGENET_MEAN, IMAGENET_STD
    return tuple(configuration.mean), tuple(configuration.std)


def _is_encoder_weight(name: str, expected: Weights) -> bool:
    """Return whether a name belongs to an encoder, not to a head or a decoder."""
    return name in expected or not name.removeprefix("model.").startswith((*HEADS, "decoder.", "segmentation_head."))


@contextmanager
def hub() -> Iterator[None]:
    """Put the hub's client into offline mode if the hub cannot be reached; the client would retry for 23 s."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not hub_is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def hub_is_reachable() -> bool:
    """Return whether Hugging Face's endpoint, or the proxy in front of it, accepts a connection."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy or os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    connected = threading.Event()

    def connect() -> None:
        port = address.port or (443 if address.scheme == "https" else 80)
        with suppress(OSError), socket.create_connection((address.hostname or "", port), HUB_TIMEOUT):
            connected.set()

    # in a thread: resolving the name has no timeout, and a name may have many unreachable addresses
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT)
    return connected.is_set()
