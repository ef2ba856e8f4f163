"""Networks: built by name, saved as safetensors with all that is needed to use them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save
from torch import nn

from pipeline.core.choices import invalid_choice
from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, write_json
from pipeline.formats.chips import Imagery, parse_imagery
from pipeline.formats.classes import ClassTable
from pipeline.learning.device import Arithmetic
from pipeline.learning.losses import Loss
from pipeline.learning.weights import IMAGENET_MEAN, IMAGENET_STD, load_encoder, load_weights, normalisation


@dataclass(frozen=True)
class Architecture:
    """What makes a network, but for its weights."""

    architecture: str
    encoder: str
    classes: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


class Segmenter(nn.Module):
    """A network that takes pictures as they come: normalisation is part of it."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """From uint8 RGB to logits_NKHW, float32 whatever the arithmetic inside."""
        normal_NCHW = (images_NCHW.float() - self.mean) / self.std
        logits_NKHW: torch.Tensor = self.net(normal_NCHW)
        return logits_NKHW.float()


def architectures() -> list[str]:
    """The architectures that params.yaml may name."""
    return sorted(smp.MODEL_ARCHITECTURES_MAPPING)


def is_encoder(name: str) -> bool:
    """Whether the library has this encoder: its own, or `tu-NAME` of timm."""
    return name in smp.encoders.get_encoder_names() or (name.startswith("tu-") and timm.is_model(name[3:]))


def designed(architecture: str, encoder: str, encoder_weights: str, classes: int) -> Architecture:
    """A network whose pictures are normalised as its encoder's weights want it."""
    constants = (IMAGENET_MEAN, IMAGENET_STD) if encoder_weights == "none" else normalisation(encoder)
    return Architecture(architecture, encoder, classes, *constants)


def build(design: Architecture, encoder_weights: str = "none", online: bool = True) -> Segmenter:
    """Build a network with fresh weights, or with an encoder's pretrained ones.

    Args:
        design: which network.
        encoder_weights: `none`, `imagenet` (fetched by the library, once), or the path of a safetensors file.
        online: whether the library may ask its hub; else it takes what it has fetched before.

    Raises:
        PipelineError: a name that the library lacks, two that do not go together, or weights that cannot be had.
    """
    if design.architecture not in architectures():
        raise PipelineError(invalid_choice("architecture", design.architecture, architectures()))
    if not is_encoder(design.encoder):
        names, timms = smp.encoders.get_encoder_names(), [f"tu-{name}" for name in timm.list_models()]
        raise PipelineError(invalid_choice("encoder", design.encoder, [*names, *timms]))
    if encoder_weights not in ("imagenet", "none") and not Path(encoder_weights).is_file():
        file = ", or the path of an existing .safetensors file"
        raise PipelineError(invalid_choice("encoder_weights", encoder_weights, ("imagenet", "none"), file))
    weights = "imagenet" if encoder_weights == "imagenet" else None
    try:
        with _hub(online):
            net = smp.create_model(design.architecture, design.encoder, weights, classes=design.classes)
    except OSError as error:  # what the hub's client raises for anything on the network
        raise PipelineError(
            f"the imagenet weights of {design.encoder} could not be fetched ({_first_line(error)}); with no network, "
            "set encoder_weights to none or to the path of a .safetensors file: on a machine with one, "
            "`python -c \"import timm, safetensors.torch as s; s.save_file(timm.create_model('NAME', pretrained=True)"
            ".state_dict(), 'NAME.safetensors')\"` writes it"
        ) from None
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        pair = f"architecture {design.architecture!r} with encoder {design.encoder!r}"
        raise PipelineError(f"{pair} and encoder_weights {encoder_weights!r}: {_first_line(error)}") from None
    if encoder_weights not in ("none", "imagenet"):
        load_encoder(net.encoder, Path(encoder_weights))
    return Segmenter(net, design.mean, design.std)


@contextmanager
def _hub(online: bool) -> Iterator[None]:
    """Let the hub's client know at once that there is no network; it would try for 23 s."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not online
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def init_prior_bias(segmenter: Segmenter, shares: Sequence[float], loss: Loss) -> None:
    """Initialise the bias of the last layer to the class priors, where the library's head has one.

    Otherwise the first hundreds of steps go into learning that most classes are rare: Lin et al. 2017, "Focal Loss
    for Dense Object Detection", section 3.3.

    Args:
        segmenter: whose last layer's bias is set.
        shares: of the pixels, by class in the order of the outputs; below 0.001 counts as that.
        loss: which turns logits into probabilities by softmax, or by a sigmoid for each class.
    """
    last = [each for each in segmenter.net.modules() if isinstance(each, nn.Conv2d)][-1]
    if last.bias is not None and last.out_channels == len(shares):
        share_K = torch.tensor(shares).clamp(0.001, 0.999)
        with torch.no_grad():
            last.bias.copy_(loss.prior_logits(share_K))


def freeze_unused(segmenter: Segmenter, side: int) -> None:
    """Await no gradient of weights that have none, such as an encoder's last ones that no decoder reads.

    Processes that train together would wait for them. `side`: of a picture in pixels.
    """
    segmenter.eval()
    segmenter(torch.zeros(1, 3, side, side)).sum().backward()
    for weight in segmenter.parameters():
        weight.requires_grad_(weight.grad is not None)
        weight.grad = None
    segmenter.train()


def save_model(folder: Path, segmenter: Segmenter, description: dict[str, Any]) -> None:
    """Write `model.safetensors` and `model.json` into `folder`, which exists."""
    weights = {name: value.detach().cpu().contiguous() for name, value in segmenter.net.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights))  # save_file lets nobody but its user read the file
    write_json(folder / "model.json", description)


def describe(design: Architecture, table: ClassTable, imagery: Imagery, **more: Any) -> dict[str, Any]:
    """What `model.json` says: the network, the classes in the order of its outputs, and how its pictures are made."""
    how = asdict(design) | {"classes": table.model_dump(mode="json", exclude_defaults=True)["classes"]}
    return how | {"imagery": asdict(imagery)} | more


@dataclass(frozen=True)
class Model:
    """A trained network and what it says of itself."""

    segmenter: Segmenter
    table: ClassTable
    imagery: Imagery
    arithmetic: Arithmetic | None
    """In which it was trained; None for a model that does not say so."""
    seed: int | None
    """Of its training; None for a model that does not say so."""


def load_model(folder: Path) -> Model:
    """Rebuild a saved network; nothing is unpickled, and no params are needed.

    Raises:
        PipelineError: a file is missing or damaged.
    """
    if not (folder / "model.json").is_file():
        raise PipelineError(f"{folder} holds no model.json; the stage train writes it")
    try:
        said = read_json(folder / "model.json")
        table, imagery = ClassTable(classes=said["classes"]), parse_imagery(said["imagery"])
        arithmetic, seed = _arithmetic(said.get("precision")), said.get("params", {}).get("seed")
        names = (said["architecture"], said["encoder"], len(table.classes))
        design = Architecture(*names, tuple(said["mean"]), tuple(said["std"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{folder / 'model.json'} is damaged ({type(error).__name__}: {_first_line(error)}); run the stage train"
        ) from None
    segmenter = build(design)
    _load_strictly(segmenter.net, folder / "model.safetensors")
    return Model(segmenter, table, imagery, arithmetic, seed)


def _arithmetic(name: object) -> Arithmetic | None:
    """The precision that a `model.json` names; older ones name none."""
    if name is not None and name not in get_args(Arithmetic):
        raise ValueError(f"precision is {name!r}; known: {', '.join(get_args(Arithmetic))}")
    return name  # type: ignore[return-value]


def _load_strictly(module: nn.Module, path: Path) -> None:
    try:
        module.load_state_dict(load_weights(path))
    except RuntimeError as error:
        raise PipelineError(f"{path} does not hold this network's weights: {' '.join(str(error).split())}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
