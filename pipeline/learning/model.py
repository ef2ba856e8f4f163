"""Networks: built by name, saved as safetensors with a description that is enough to use them."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import segmentation_models_pytorch as smp
import timm
import torch
from pydantic import BaseModel, Field, FiniteFloat, ValidationError
from safetensors.torch import save
from torch import nn

from pipeline.core.choices import invalid_choice
from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, sha256, write_json
from pipeline.core.params import first_error
from pipeline.formats.chips import IMAGE_BANDS, Imagery, parse_imagery
from pipeline.formats.classes import ClassTable
from pipeline.learning.calibration import Calibration
from pipeline.learning.device import Device, Precision
from pipeline.learning.losses import Loss
from pipeline.learning.weights import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    describe_misfit,
    hub,
    load_encoder,
    load_weights,
    normalisation,
)

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
"""The files of a model folder."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class NetworkConfig:
    """Everything about a network but its weights."""

    architecture: str
    encoder: str
    classes: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Of each band in 0 to 1; their number is that of the bands."""
    std: tuple[float, ...] = IMAGENET_STD


class Segmenter(nn.Module):
    """A network that takes raw images: it normalises them itself."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None], persistent=False)

    @property
    def bands(self) -> int:
        """Number of bands of an image."""
        return len(self.mean)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Predict logits_NKHW, float32 in any precision, from uint8."""
        normalised_NCHW = (images_NCHW.float() - self.mean) / self.std
        logits_NKHW: torch.Tensor = self.net(normalised_NCHW)
        return logits_NKHW.float()

    def predict_logits(self, images_NCHW: torch.Tensor, device: Device) -> torch.Tensor:
        """Predict logits_NKHW without gradients, on the device of the network unless that is Apple's GPU."""
        with torch.inference_mode(), device.autocast():
            on_device_NCHW = images_NCHW.to(device.name, non_blocking=device.name == "cuda")
            logits_NKHW: torch.Tensor = self(on_device_NCHW.contiguous(memory_format=device.memory_format))
        return logits_NKHW.cpu() if device.name == "mps" else logits_NKHW  # Apple's GPU lacks float64


def network_config(architecture: str, encoder: str, encoder_weights: str, classes: int) -> NetworkConfig:
    """Return the config of a network of three bands, with the normalisation that its encoder's weights expect."""
    mean_std = (IMAGENET_MEAN, IMAGENET_STD) if encoder_weights == "none" else normalisation(encoder)
    return NetworkConfig(architecture, encoder, classes, *mean_std)


def build(config: NetworkConfig, encoder_weights: str = "none") -> Segmenter:
    """Build a network with random weights, or with a pretrained encoder.

    Args:
        config: which network.
        encoder_weights: `none`, `imagenet` (downloaded once by the library), or the path of a safetensors file.

    Raises:
        PipelineError: an unknown name, names that do not fit each other, or unavailable weights.
    """
    architectures, encoders = sorted(smp.MODEL_ARCHITECTURES_MAPPING), smp.encoders.get_encoder_names()
    if config.architecture not in architectures:
        raise PipelineError(invalid_choice("architecture", config.architecture, architectures))
    if config.encoder not in encoders and not (config.encoder.startswith("tu-") and timm.is_model(config.encoder[3:])):
        timm_names = [f"tu-{name}" for name in timm.list_models()]
        raise PipelineError(invalid_choice("encoder", config.encoder, [*encoders, *timm_names]))
    if encoder_weights not in ("imagenet", "none") and not Path(encoder_weights).is_file():
        file = ", or the path of an existing .safetensors file"
        raise PipelineError(invalid_choice("encoder_weights", encoder_weights, ("imagenet", "none"), file))
    weights = "imagenet" if encoder_weights == "imagenet" else None
    try:
        with hub() if weights else nullcontext():
            net = smp.create_model(
                config.architecture, config.encoder, weights, in_channels=len(config.mean), classes=config.classes
            )
    except OSError as error:  # raised by the hub's client for any network error
        raise PipelineError(
            f"the imagenet weights of {config.encoder} could not be downloaded ({_first_line(error)}); without a "
            "network, set encoder_weights to none or to the path of a .safetensors file: on a machine with one, "
            "`python -c \"import timm, safetensors.torch as s; s.save_file(timm.create_model('NAME', pretrained=True)"
            ".state_dict(), 'NAME.safetensors')\"` writes it"
        ) from None
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        pair = f"architecture {config.architecture!r} with encoder {config.encoder!r}"
        raise PipelineError(f"{pair} and encoder_weights {encoder_weights!r}: {_first_line(error)}") from None
    if encoder_weights not in ("none", "imagenet"):
        load_encoder(net.encoder, Path(encoder_weights))
    return Segmenter(net, config.mean, config.std)


def init_prior_bias(segmenter: Segmenter, shares: Sequence[float], loss: Loss) -> None:
    """Initialise the head bias to the class priors, if the head has one.

    Otherwise the first hundreds of steps only learn that most classes are rare: Lin et al. 2017, "Focal Loss for
    Dense Object Detection", section 3.3.

    Args:
        segmenter: the network, changed in place.
        shares: of the labelled pixels, by class in the order of the outputs; at least 0.001 is used.
        loss: decides whether probabilities are a softmax or one sigmoid per class.
    """
    head = [module for module in segmenter.net.modules() if isinstance(module, nn.Conv2d)][-1]
    if head.bias is not None and head.out_channels == len(shares):
        share_K = torch.tensor(shares).clamp(0.001, 0.999)
        with torch.no_grad():
            head.bias.copy_(loss.prior_logits(share_K))


def freeze_unused(segmenter: Segmenter, side: int) -> None:
    """Freeze parameters that receive no gradient; DDP would wait for them.

    Such as the last layers of an encoder that the decoder does not use. `side`: of a chip in pixels.
    """
    segmenter.eval()
    segmenter(torch.zeros(1, segmenter.bands, side, side)).sum().backward()
    for parameter in segmenter.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    segmenter.train()


def save_model(folder: Path, segmenter: Segmenter, description: dict[str, Any]) -> None:
    """Write `model.safetensors` and `model.json`, which records the SHA-256 of the weights, into an existing folder."""
    weights, path = segmenter.net.state_dict(), folder / WEIGHTS
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    path.write_bytes(save(tensors))  # save_file makes it readable by its owner only
    write_json(folder / DESCRIPTION, description | {"weights_sha256": sha256(path)})


def describe_model(config: NetworkConfig, table: ClassTable, imagery: Imagery, **more: Any) -> dict[str, Any]:
    """Return the content of `model.json`: network, classes in the order of its outputs, conversion of images."""
    description = asdict(config) | {"classes": table.model_dump(mode="json", exclude_defaults=True)["classes"]}
    return description | {"imagery": asdict(imagery)} | more


@dataclass(frozen=True)
class TrainingData:
    """The data that a network was trained on."""

    dataset: str
    """`dataset` of params.yaml."""
    source: str
    """`download.D.source`: `sample`, `local`, …"""
    licence: str
    """Of the images."""
    train_chips: int
    val_chips: int


@dataclass(frozen=True)
class Model:
    """A trained network and its description."""

    config: NetworkConfig
    segmenter: Segmenter
    table: ClassTable
    imagery: Imagery
    precision: Precision
    """Of the training."""
    params: dict[str, Any]
    """Of the training, as in params.yaml."""
    calibration: Calibration
    data: TrainingData
    pixel_sizes: tuple[float, ...]
    """Of the training chips, in units of their CRS; empty if unknown."""
    digest: str
    """SHA-256 of the description, which includes that of the weights."""

    @property
    def temperature(self) -> float:
        """Divides the logits before the softmax that gives probabilities."""
        return self.calibration.temperature


class _Optimisation(BaseModel):
    epochs: int
    optimizer: str
    lr: FiniteFloat


class _RecordedParams(BaseModel):
    """The params of a training that scores and model cards show."""

    encoder_weights: str
    loss: str
    seed: int
    train: _Optimisation


class Description(BaseModel):
    """The content of `model.json`, as far as it is read."""

    architecture: str
    encoder: str
    classes: list[Any]
    imagery: dict[str, Any]
    mean: tuple[FiniteFloat, ...] = Field(min_length=IMAGE_BANDS)
    std: tuple[Positive, ...]
    precision: Precision
    params: dict[str, Any]
    calibration: Calibration
    data: TrainingData
    pixel_sizes: tuple[Positive, ...]
    weights_sha256: str


def load_model(folder: Path) -> Model:
    """Rebuild a saved network; nothing is unpickled, and no params are needed.

    Raises:
        PipelineError: a file is missing or damaged.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise PipelineError(f"{folder} has no {DESCRIPTION}; the stage train writes it: run `dvc repro`")
    try:
        known = Description.model_validate(read_json(path))
        _RecordedParams.model_validate(known.params)
        table, imagery = ClassTable(classes=known.classes), parse_imagery(known.imagery)  # type: ignore[arg-type]
        for name, values in (("mean", known.mean), ("std", known.std)):
            if len(values) != len(imagery.bands):
                raise ValueError(f"{name} has {len(values)} values, and imagery {len(imagery.bands)} bands")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{path} is damaged, or of another program ({type(error).__name__}: {_first_line(error)}); run the stage "
            "train, which writes it"
        ) from None
    config = NetworkConfig(known.architecture, known.encoder, len(table.classes), known.mean, known.std)
    segmenter = build(config)
    _load_weights(segmenter.net, folder / WEIGHTS, known.weights_sha256)
    trained = known.precision, known.params, known.calibration, known.data, known.pixel_sizes
    return Model(config, segmenter, table, imagery, *trained, digest=sha256(path))


def _load_weights(net: nn.Module, path: Path, expected: str) -> None:
    """Refuse weights of another training: they may fit the network, but not its classes."""
    if not path.is_file():
        raise PipelineError(f"{path.parent} has no {WEIGHTS}; the stage train writes it: run `dvc repro`")
    if (found := sha256(path)) != expected:
        raise PipelineError(
            f"{path} is not the file that {DESCRIPTION} describes (sha256 {found[:12]}…, expected {expected[:12]}…); "
            "copy both files of one training again, or run the stage train"
        )
    try:
        net.load_state_dict(load_weights(path))
    except RuntimeError as error:
        raise PipelineError(f"{path} does not fit the network in model.json: {describe_misfit(error)}") from None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return first_error(error)
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
