"""Pretrained encoders: weights from a file, and the normalisation they were trained with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import timm
import torch
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
MAX_LISTED = 5
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
    if differences := list(_differences(expected, relevant)):
        raise PipelineError(f"encoder_weights: {path} does not fit this encoder: {'; '.join(differences)}")
    used = {name: value for name, value in renamed.items() if name in expected}
    # not the library's own method: that of some encoders, such as densenet121, takes no `strict` and needs a head
    nn.Module.load_state_dict(encoder, used, strict=False)


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


def _differences(expected: Weights, given: Weights) -> Iterator[str]:
    counters = {name for name in expected if name.endswith("num_batches_tracked")}  # absent from older files
    missing = sorted(expected.keys() - given.keys() - counters)
    unexpected = sorted(given.keys() - expected.keys())
    shapes = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & given.keys())
        if given[name].shape != expected[name].shape
    ]
    for title, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", shapes)):
        if names:
            more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
            yield f"{title}: {', '.join(names[:MAX_LISTED])}{more}"
