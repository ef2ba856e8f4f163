"""A model folder rebuilds its network exactly, and names that do not exist or files that do not fit are refused."""

import dataclasses
import json
import math
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

import pipeline
from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256
from pipeline.learning.calibration import Calibration
from pipeline.learning.losses import LOSSES, LossConfig, LossName
from pipeline.learning.model import (
    NetworkConfig,
    Segmenter,
    TrainingData,
    build,
    describe_model,
    freeze_unused,
    init_prior_bias,
    load_model,
    save_model,
)
from tests.learning.world import BRIGHTNESS, IMAGERY, World

CONFIG = NetworkConfig("unet", "resnet18", 3, mean=(0.1, 0.2, 0.3))
FITTED = {"temperature": 0.5, "groups": 4, "lowest": 0.4, "highest": 0.7}
DATA = {"dataset": "mine", "source": "local", "licence": "MIT", "train_chips": 3, "val_chips": 1}
PARAMS = {"encoder_weights": "none", "loss": "focal", "seed": 1, "train": {"epochs": 1, "optimizer": "adam", "lr": 0.1}}
TRAINED = {"precision": "fp32", "params": PARAMS, "calibration": FITTED, "data": DATA, "pixel_sizes": [0.5]}
IMAGES = torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32).remainder(256).to(torch.uint8)


@pytest.fixture(scope="module")
def network() -> Segmenter:
    return build(CONFIG).eval()


@pytest.fixture
def saved(tmp_path: Path, network: Segmenter) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    save_model(folder, network, describe_model(CONFIG, BRIGHTNESS, IMAGERY, **TRAINED))
    return folder


def test_logits_are_float32_in_any_precision() -> None:
    segmenter = Segmenter(torch.nn.Conv2d(3, 2, 1).bfloat16(), (0.5,) * 3, (1.0,) * 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert segmenter(IMAGES).dtype == torch.float32


def test_content_of_model_json(trained: World) -> None:
    description = json.loads((trained.model / "model.json").read_text())
    params = description.pop("params")
    assert description == {
        "architecture": "unet",
        "encoder": "resnet18",
        "classes": [
            {"id": 1, "name": "water", "colour": [0, 0, 200]},
            {"id": 4, "name": "field", "colour": [0, 200, 0]},
            {"id": 9, "name": "roof", "colour": [200, 0, 0]},
        ],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "imagery": {
            "bands": ["B04", "B03", "B02"],
            "scale": 0.0001,
            "offset": -0.1,
            "stretch": [0.0, 0.3],
            "synthetic": True,
        },
        "precision": description["precision"],
        "calibration": description["calibration"],  # recomputed in test_calibration.py
        "data": {
            "dataset": "landcoverai",
            "source": "sample",
            "licence": "MIT, with this project: made from a seed",
            "train_chips": 8,
            "val_chips": 2,
        },
        "chip_sizes": [64],
        "pixel_sizes": [10.0],
        "weights_sha256": sha256(trained.model / "model.safetensors"),
    }
    assert description["precision"] in ("fp32", "bf16")
    assert (params["loss"], params["seed"], params["train"]["optimizer"]) == ("ce", 1, "adam")


@pytest.mark.parametrize("message", ["We couldn't connect to\nthe hub", ""])
def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    def offline(*_: Any, **__: Any) -> None:
        raise OSError(message)

    monkeypatch.setattr(smp, "create_model", offline)
    with pytest.raises(PipelineError) as error:
        build(CONFIG, "imagenet")
    reason = message.split("\n")[0] or "OSError"
    assert str(error.value).startswith(f"the imagenet weights of resnet18 could not be downloaded ({reason}); without")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 5, 100_000, None])
def test_truncated_weights_and_those_of_another_network_are_refused(saved: Path, length: int | None) -> None:
    path, description = saved / "model.safetensors", json.loads((saved / "model.json").read_text())
    if length is None:
        save_file({"encoder.conv1.weight": torch.ones(1)}, path)
    else:
        path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PipelineError, match=r"model\.safetensors is not the file that model\.json describes"):
        load_model(saved)
    description["weights_sha256"] = sha256(path)
    (saved / "model.json").write_text(json.dumps(description))
    with pytest.raises(PipelineError) as error:
        load_model(saved)
    wrong = r"(does not fit the network in model\.json|is not a valid \.safetensors file): "
    assert re.match(f"{re.escape(str(path))} {wrong}", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["encoder_weights", "loss", "seed", "train"])
def test_a_description_without_params_that_scores_and_cards_show_is_refused(saved: Path, key: str) -> None:
    description = json.loads((saved / "model.json").read_text())
    del description["params"][key]
    (saved / "model.json").write_text(json.dumps(description))
    with pytest.raises(
        PipelineError, match=rf"is damaged, or of another program \(ValidationError: {key} is missing\)"
    ):
        load_model(saved)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"classes": [], "imagery": {}}'])
def test_a_damaged_description_is_refused(saved: Path, text: str) -> None:
    (saved / "model.json").write_text(text)
    with pytest.raises(
        PipelineError, match=r"model\.json is damaged, or of another program \(\w+: .*\); run the stage train, "
    ):
        load_model(saved)


@pytest.mark.parametrize(
    "change",
    [
        *({"calibration": FITTED | {"temperature": wrong}} for wrong in (0, math.nan, math.inf, 1e-30)),
        {"calibration": None},
        {"data": DATA | {"licence": None}},
        *({"pixel_sizes": wrong} for wrong in (None, [0], [-1], [math.nan], ["x"])),
        {"precision": "int8"},
        *({"mean": wrong} for wrong in (None, [0.5], [0.5, 0.5, math.nan], [0.5] * 4)),
        *({"std": wrong} for wrong in ([0.2], [0.2, 0.2, 0])),
    ],
)
def test_values_that_cannot_be_are_refused(saved: Path, change: dict[str, Any]) -> None:
    path = saved / "model.json"
    description = json.loads(path.read_text())
    model = load_model(saved)
    assert (model.calibration, model.data, model.precision) == (Calibration(**FITTED), TrainingData(**DATA), "fp32")
    path.write_text(json.dumps(description | change))
    with pytest.raises(PipelineError, match=r"model\.json is damaged, .* \(Val\w+Error: "):
        load_model(saved)


@pytest.mark.parametrize("bands", [3, 5])
def test_a_network_is_saved_and_loaded_and_normalises_its_images(tmp_path: Path, bands: int) -> None:
    mean, std = tuple(0.1 * band for band in range(1, bands + 1)), (0.2,) * bands
    config = NetworkConfig("unet", "resnet18", 3, mean, std)
    segmenter = build(config).eval()
    imagery = dataclasses.replace(IMAGERY, bands=tuple(str(band) for band in range(bands)))
    save_model(tmp_path, segmenter, describe_model(config, BRIGHTNESS, imagery, **TRAINED))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert (len(modes), 0o600 in modes) == (1, False)  # others may read them
    description = json.loads((tmp_path / "model.json").read_text())
    assert (len(description["mean"]), len(description["std"]), len(description["imagery"]["bands"])) == (bands,) * 3
    model = load_model(tmp_path)
    images = torch.randint(256, (2, bands, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = segmenter.net((images / 255 - torch.tensor(mean)[:, None, None]) / 0.2)
        torch.testing.assert_close(model.segmenter.eval()(images), expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(model.segmenter(images), segmenter(images))
    assert (model.config, model.table, model.imagery) == (config, BRIGHTNESS, imagery)


def test_imagenet_weights_are_inflated_to_the_bands(
    tmp_path: Path, network: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As segmentation-models-pytorch does: repeated, and divided by the share of the bands."""
    path = tmp_path / "model.safetensors"
    save_file(network.net.encoder.state_dict(), path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *_, **__: str(path))
    config = NetworkConfig("unet", "resnet18", 3, (0.5,) * 5, (0.25,) * 5)
    found = build(config, "imagenet").net.encoder.conv1.weight
    expected = network.net.encoder.conv1.weight[:, [0, 1, 2, 0, 1]] * (3 / 5)
    assert torch.equal(found, expected)


UNPICKLES = re.compile(
    r"^\s*(import|from) (pickle|cPickle|dill|joblib|cloudpickle|shelve)\b(?! import UnpicklingError$)"
    r"|^from torch import .*\bload\b|torch\.load\((?!.*weights_only=True)|\b(np|numpy)\.load\(|load_from_checkpoint",
    re.MULTILINE,
)


def test_nothing_in_the_pipeline_unpickles() -> None:
    sources = sorted(Path(pipeline.__file__).parent.rglob("*.py"))
    assert len(sources) > 30
    assert [source for source in sources if UNPICKLES.search(source.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(("encoder", "unused", "bands"), [("resnet18", False, 4), ("efficientnet-b0", True, 3)])
def test_parameters_without_a_gradient_are_frozen(encoder: str, unused: bool, bands: int) -> None:
    segmenter = build(NetworkConfig("unet", encoder, 3, (0.5,) * bands, (0.25,) * bands))
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    freeze_unused(segmenter, 64)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())
    frozen = {name for name, weight in segmenter.named_parameters() if not weight.requires_grad}
    assert bool(frozen) == unused
    segmenter(torch.zeros(2, bands, 64, 64)).sum().backward()
    assert {name for name, weight in segmenter.named_parameters() if weight.grad is None} == frozen


@pytest.mark.parametrize("name", ["focal", "dice", "ce"])
def test_an_untrained_network_predicts_the_class_priors(name: LossName) -> None:
    segmenter = build(NetworkConfig("unet", "resnet18", 3))
    head = [module for module in segmenter.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    init_prior_bias(segmenter, [0.7, 0.3, 0.0], LOSSES[name](LossConfig()))
    assert head.bias is not None
    init_prior_bias(segmenter, [0.5, 0.5], LOSSES[name](LossConfig()))  # of another size: changes nothing
    if name == "focal":  # each class against the rest
        assert torch.sigmoid(head.bias).tolist() == pytest.approx([0.7, 0.3, 0.001])
    else:
        assert torch.softmax(head.bias, dim=0).tolist() == pytest.approx([0.7 / 1.001, 0.3 / 1.001, 0.001 / 1.001])
