"""Pretrained encoders: weights from a file, and the normalisation that they were trained with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipeline.core.errors import PipelineError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0 to 1: what nearly all encoders were trained with, and a fair choice for one that was not."""
HEADS = ("fc.", "classifier.", "head.", "head_dist.", "last_linear.")
"""What a classifier has after its encoder, in timm and torchvision; an encoder has no use for it."""
SHOWN = 5
TIMM_NAMES = {"inceptionv4": "inception_v4", "inceptionresnetv2": "inception_resnet_v2", "xception": "legacy_xception"}
"""Encoders that the library calls otherwise."""
Weights = dict[str, torch.Tensor]

NAMINGS: tuple[Callable[[str], str], ...] = (
    lambda name: name,  # the library's own, which for many encoders is timm's
    lambda name: f"model.{name}",  # timm's, for an encoder tu-NAME, which holds timm's network as `model`
    lambda name: name.removeprefix("encoder."),  # a whole segmentation network of the library
    lambda name: name.removeprefix("net.encoder."),
)
"""How the names in a file may become those of an encoder."""


def load_weights(path: Path) -> Weights:
    """The tensors of a safetensors file.

    Raises:
        PipelineError: no such file, or no safetensors.
    """
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; expected weights in a .safetensors file")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise PipelineError(f"{path} is no whole .safetensors file: {' '.join(str(error).split())}") from None


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Load a file's weights into an encoder, every one of them, in timm's naming or the library's own.

    A classifier's head is left aside, and so are tensors of the rest of a segmentation network.

    Raises:
        PipelineError: weights are missing, unexpected or of another shape; which.
    """
    wanted = encoder.state_dict()
    found = max(
        (_renamed(load_weights(path), naming) for naming in NAMINGS), key=lambda each: len(each.keys() & wanted)
    )
    wrong = list(_differences(wanted, {name: value for name, value in found.items() if _belongs(name, wanted)}))
    if wrong:
        raise PipelineError(f"encoder_weights: {path} does not hold this encoder's weights: {'; '.join(wrong)}")
    encoder.load_state_dict({name: value for name, value in found.items() if name in wanted}, strict=False)


def normalisation(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB in 0 to 1 that timm gives for an encoder; ImageNet's where it knows none."""
    name = TIMM_NAMES.get(encoder, encoder.removeprefix("tu-").removeprefix("timm-"))
    configuration = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if configuration is None:
        return IMAGENET_MEAN, IMAGENET_STD
    return tuple(configuration.mean), tuple(configuration.std)


def _renamed(weights: Weights, naming: Callable[[str], str]) -> Weights:
    return {naming(name): value for name, value in weights.items()}


def _belongs(name: str, wanted: Weights) -> bool:
    """Whether a name should be an encoder's: no head, and nothing of a decoder."""
    return name in wanted or not name.removeprefix("model.").startswith((*HEADS, "decoder.", "segmentation_head."))


def _differences(wanted: Weights, found: Weights) -> Iterator[str]:
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # older files have none
    missing = sorted(wanted.keys() - found.keys() - counters)
    unexpected = sorted(found.keys() - wanted.keys())
    both = sorted(wanted.keys() & found.keys())
    shapes = [
        f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in both
        if found[name].shape != wanted[name].shape
    ]
    for title, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", shapes)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"{title}: {', '.join(names[:SHOWN])}{more}"
