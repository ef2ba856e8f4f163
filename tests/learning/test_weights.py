"""An encoder starts from a file under timm's or the library's names, or one line says what does not fit."""

import socket
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.learning.weights import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Weights,
    hub,
    load_encoder,
    load_weights,
    normalisation,
)


def encoder(name: str = "resnet18", seed: int = 1, bands: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    network: nn.Module = get_encoder(name, bands, weights=None)
    return network


def saved(folder: Path, weights: Weights) -> Path:
    save_file({name: value.clone().contiguous() for name, value in weights.items()}, folder / "a.safetensors")
    return folder / "a.safetensors"


def same(first: nn.Module, second: nn.Module) -> bool:
    """`second` may be timm's own, which is a part of the library's."""
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(value, theirs[name.removeprefix("model.")]) for name, value in ours.items())


@pytest.mark.parametrize("prefix", ["", "encoder.", "net.encoder."])
def test_all_weights_are_loaded_under_the_librarys_names(tmp_path: Path, prefix: str) -> None:
    other, mine = encoder(seed=1), encoder(seed=2)
    assert not same(other, mine)
    weights = {f"{prefix}{name}": value for name, value in other.state_dict().items()}
    load_encoder(mine, saved(tmp_path, weights | {"decoder.a": torch.ones(1)} if prefix == "encoder." else weights))
    assert same(other, mine)


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18", "timm-tf_efficientnet_lite0"])
def test_all_weights_are_loaded_under_timms_names(tmp_path: Path, name: str) -> None:
    torch.manual_seed(3)
    theirs = timm.create_model(name.removeprefix("tu-").removeprefix("timm-"))
    mine = encoder(name)
    load_encoder(mine, saved(tmp_path, theirs.state_dict()))
    assert same(mine, theirs)
    assert len(mine.state_dict()) > 100


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning")
@pytest.mark.parametrize("bands", [4, 7])
@pytest.mark.parametrize("name", ["resnet18", "timm-tf_efficientnet_lite0", "densenet121"])
def test_more_bands_are_inflated_as_by_the_library(tmp_path: Path, name: str, bands: int) -> None:
    theirs, mine = encoder(name), encoder(name, seed=2, bands=bands)
    path = saved(tmp_path, theirs.state_dict())
    theirs.set_in_channels(bands, pretrained=True)  # what `get_encoder` does after it has loaded ImageNet's weights
    load_encoder(mine, path)
    assert same(theirs, mine)


@pytest.mark.parametrize("name", ["resnet18", "resnet10t"])
def test_more_bands_are_inflated_as_by_timm(tmp_path: Path, name: str) -> None:
    torch.manual_seed(3)
    path = saved(tmp_path, timm.create_model(name).state_dict())
    theirs = timm.create_model(name, pretrained=True, in_chans=5, pretrained_cfg_overlay={"file": str(path)})
    mine = encoder(f"tu-{name}", bands=5)
    load_encoder(mine, path)
    assert same(mine, theirs)


def test_a_file_of_as_many_bands_is_loaded_as_it_is(tmp_path: Path) -> None:
    other, mine = encoder(bands=4), encoder(seed=2, bands=4)
    load_encoder(mine, saved(tmp_path, other.state_dict()))
    assert same(other, mine)


def test_missing_unexpected_and_misshapen_weights_are_listed(tmp_path: Path) -> None:
    weights = dict(encoder().state_dict())
    weights["conv1.weight"] = torch.ones(64, 4, 7, 7)
    weights["extra.weight"] = torch.ones(1)
    for name in [name for name in weights if name.startswith("layer4")]:
        del weights[name]
    with pytest.raises(PipelineError) as error:
        load_encoder(encoder(), saved(tmp_path, weights))
    message = str(error.value)
    assert message.startswith(
        f"encoder_weights: {tmp_path}/a.safetensors does not fit this encoder: Missing key(s) in state_dict: "
        '"layer4.0.conv1.weight", "layer4.0.bn1.weight", '
    )
    assert ' …; Unexpected key(s) in state_dict: "extra.weight".; size mismatch for conv1.weight: ' in message
    assert "\n" not in message


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    other, mine = encoder(seed=1), encoder(seed=2)
    weights = {name: value for name, value in other.state_dict().items() if "num_batches" not in name}
    load_encoder(mine, saved(tmp_path, weights))
    assert same(other, mine)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 a zip of pickles"])
def test_files_that_are_not_safetensors_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(PipelineError, match=r"a\.safetensors (does not exist|is not a valid \.safetensors file: )"):
        load_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("resnet18", IMAGENET_MEAN, IMAGENET_STD),
        ("tu-resnet18", IMAGENET_MEAN, IMAGENET_STD),
        ("timm-tf_efficientnet_lite0", (0.5,) * 3, (0.5,) * 3),
        ("tu-vit_base_patch16_224", (0.5,) * 3, (0.5,) * 3),
        ("inceptionv4", (0.5,) * 3, (0.5,) * 3),
        ("mit_b0", IMAGENET_MEAN, IMAGENET_STD),
    ],
)
def test_normalisation_is_that_of_the_encoders_training(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    assert normalisation(name) == (mean, std)


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "HTTPS_PROXY"])
def test_the_hub_is_asked_only_if_it_or_its_proxy_accepts_connections(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for proxy in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}/")
        with hub():
            assert not constants.HF_HUB_OFFLINE
    start = time.monotonic()
    with hub():  # the port is closed now
        assert constants.HF_HUB_OFFLINE
    assert time.monotonic() - start < 5
    assert not constants.HF_HUB_OFFLINE
