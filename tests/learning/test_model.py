import ast
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
from safetensors.torch import load_file, save_file

import pipeline
from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256
from pipeline.learning.calibration import Calibration
from pipeline.learning.losses import LOSSES, LossConfig, LossName
from pipeline.learning.model import (
    NetworkConfig,
    Segmenter,
    TrainingData,
    architectures,
    build,
    describe_model,
    freeze_unused,
    init_prior_bias,
    is_encoder,
    load_model,
    save_model,
)
from tests.learning.world import BRIGHTNESS, IMAGERY, World

CONFIG = NetworkConfig("unet", "resnet18", 3, mean=(0.1, 0.2, 0.3))
IMAGES = torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32).remainder(256).to(torch.uint8)


@pytest.fixture(scope="module")
def network() -> Segmenter:
    return build(CONFIG).eval()


@pytest.fixture
def saved(tmp_path: Path, network: Segmenter) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    save_model(folder, network, describe_model(CONFIG, BRIGHTNESS, IMAGERY, params={"seed": 1}))
    return folder


def test_a_saved_network_gives_the_same_logits(saved: Path, network: Segmenter) -> None:
    model = load_model(saved)
    with torch.inference_mode():
        assert torch.equal(model.segmenter.eval()(IMAGES), network(IMAGES))
    assert (model.table, model.imagery) == (BRIGHTNESS, IMAGERY)


def test_the_weights_are_readable_by_others(saved: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in saved.iterdir()}
    assert len(modes) == 1
    assert modes != {0o600}


def test_the_network_normalises_its_images(network: Segmenter) -> None:
    normal_NCHW = (IMAGES / 255 - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor(CONFIG.std)[
        :, None, None
    ]
    with torch.inference_mode():
        torch.testing.assert_close(network(IMAGES), network.net(normal_NCHW), rtol=1e-4, atol=1e-4)


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
    calibration = description["calibration"]
    assert list(calibration) == ["temperature", "groups", "lowest", "highest"]
    assert calibration["groups"] == 2  # the validation chips
    assert calibration["lowest"] <= calibration["temperature"] <= calibration["highest"]
    assert (params["loss"], params["seed"], params["train"]["optimizer"]) == ("ce", 1, "adam")


def test_an_unknown_architecture_is_refused_with_all_known_ones() -> None:
    with pytest.raises(PipelineError) as error:
        build(dataclasses.replace(CONFIG, architecture="unett"))
    assert str(error.value).startswith("architecture is 'unett'; did you mean 'unet'? allowed: deeplabv3, ")
    assert all(name in str(error.value) for name in architectures())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["resnet19", "tu-nothing", ""])
def test_an_unknown_encoder_is_refused_with_the_closest_names(name: str) -> None:
    with pytest.raises(PipelineError) as error:
        build(dataclasses.replace(CONFIG, encoder=name))
    assert str(error.value).startswith(f"encoder is {name!r}; the closest of ")
    assert str(error.value).count(", ") == 4
    assert "\n" not in str(error.value)


def test_the_networks_of_the_study_are_available() -> None:
    assert {"unet", "unetplusplus"} <= set(architectures())
    assert all(map(is_encoder, ("resnet18", "resnet34", "resnet101", "tu-resnet18")))


def test_an_encoder_that_does_not_fit_the_architecture_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"^architecture 'unetplusplus' with encoder 'mit_b0' and encoder_weights"):
        build(NetworkConfig("unetplusplus", "mit_b0", 3))


@pytest.mark.parametrize("message", ["We couldn't connect to\nthe hub", ""])
def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError(message)

    monkeypatch.setattr(smp, "create_model", offline)
    with pytest.raises(PipelineError) as error:
        build(CONFIG, "imagenet")
    reason = message.split("\n")[0] or "OSError"
    assert str(error.value).startswith(f"the imagenet weights of resnet18 could not be downloaded ({reason}); without")
    assert "\n" not in str(error.value)


def test_an_encoder_starts_from_a_file_of_weights(tmp_path: Path, network: Segmenter) -> None:
    weights = network.net.encoder.state_dict()
    save_file(weights, tmp_path / "encoder.safetensors")
    other = build(CONFIG, str(tmp_path / "encoder.safetensors"))
    assert all(torch.equal(value, weights[name]) for name, value in other.net.encoder.state_dict().items())
    assert not torch.equal(other.net.segmentation_head[0].weight, network.net.segmentation_head[0].weight)


def test_weights_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(
        PipelineError,
        match=r"^encoder_weights is '.*none\.safetensors'; .*, or the path of an existing \.safetensors f",
    ):
        build(CONFIG, str(path))


def require_damaged_weights(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text())
    with pytest.raises(PipelineError, match=r"model\.safetensors is not the file that model\.json describes"):
        load_model(folder)
    del description["weights_sha256"]  # as in older models
    (folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(PipelineError) as error:
        load_model(folder)
    wrong = r"(does not fit the network in model\.json|is not a valid \.safetensors file): "
    assert re.match(f"{re.escape(str(folder / 'model.safetensors'))} {wrong}", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 5, 100_000])
def test_truncated_weights_are_refused(saved: Path, length: int) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    require_damaged_weights(saved)


def test_weights_of_another_network_are_refused(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    weights.pop("encoder.conv1.weight")
    save_file(weights, saved / "model.safetensors")
    require_damaged_weights(saved)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"classes": [], "imagery": {}}'])
def test_a_damaged_description_is_refused(saved: Path, text: str) -> None:
    (saved / "model.json").write_text(text)
    with pytest.raises(
        PipelineError, match=r"model\.json is damaged, or of another program \(\w+: .*\); run the stage train, "
    ):
        load_model(saved)


FITTED = {"temperature": 0.5, "groups": 4, "lowest": 0.4, "highest": 0.7}
DATA = {"dataset": "mine", "source": "local", "licence": "MIT", "train_chips": 3, "val_chips": 1}


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"calibration": FITTED | {"temperature": wrong}}
            for wrong in (0, -1, math.nan, math.inf, None, "warm", 1e-30)
        ),
        {"calibration": FITTED | {"lowest": 0}},
        {"calibration": [0.5, 4, 0.4, 0.7]},
        {"calibration": {}},
        {"data": DATA | {"licence": None}},
        *({"pixel_sizes": wrong} for wrong in (None, [0], [-1], [math.nan], ["x"])),
        *({"mean": wrong} for wrong in (None, [0.5], [0.5, 0.5, math.nan])),
        *({"std": wrong} for wrong in ([0.2], [0.2, 0.2, 0])),
    ],
)
def test_values_that_cannot_be_are_refused(saved: Path, change: dict[str, Any]) -> None:
    path = saved / "model.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(description | {"calibration": FITTED, "data": DATA}))
    model = load_model(saved)
    assert (model.calibration, model.data) == (Calibration(**FITTED), TrainingData(**DATA))
    path.write_text(json.dumps(description | change))
    with pytest.raises(PipelineError, match=r"model\.json is damaged, .* \(Val\w+Error: "):
        load_model(saved)


def test_mean_and_std_are_of_each_band(saved: Path) -> None:
    path = saved / "model.json"
    description = json.loads(path.read_text())
    imagery = description["imagery"] | {"bands": ["1", "2", "3", "4"]}
    path.write_text(json.dumps(description | {"imagery": imagery}))
    with pytest.raises(PipelineError, match=r"\(ValueError: mean has 3 values, and imagery 4 bands\); run the stage"):
        load_model(saved)


@pytest.mark.parametrize("bands", [4, 5])
def test_a_network_of_many_bands_is_saved_and_loaded(tmp_path: Path, bands: int) -> None:
    mean, std = tuple(0.1 * band for band in range(1, bands + 1)), (0.2,) * bands
    config = NetworkConfig("unet", "resnet18", 3, mean, std)
    segmenter = build(config).eval()
    imagery = dataclasses.replace(IMAGERY, bands=tuple(str(band) for band in range(bands)))
    save_model(tmp_path, segmenter, describe_model(config, BRIGHTNESS, imagery))
    description = json.loads((tmp_path / "model.json").read_text())
    assert (len(description["mean"]), len(description["std"]), len(description["imagery"]["bands"])) == (bands,) * 3
    model = load_model(tmp_path)
    images = torch.randint(256, (2, bands, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = segmenter.net((images / 255 - torch.tensor(mean)[:, None, None]) / 0.2)
        torch.testing.assert_close(model.segmenter.eval()(images), expected, rtol=1e-4, atol=1e-4)
    assert (model.config, model.imagery, model.segmenter.bands) == (config, imagery, bands)


@pytest.mark.parametrize("weights", ["imagenet", "file"])
def test_pretrained_weights_are_inflated_to_the_bands(
    tmp_path: Path, network: Segmenter, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    """As segmentation-models-pytorch does: repeated, and divided by the share of the bands."""
    path = tmp_path / "model.safetensors"
    save_file(network.net.encoder.state_dict(), path)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *_, **__: str(path))
    config = NetworkConfig("unet", "resnet18", 3, (0.5,) * 5, (0.25,) * 5)
    found = build(config, str(path) if weights == "file" else "imagenet").net.encoder.conv1.weight
    expected = network.net.encoder.conv1.weight[:, [0, 1, 2, 0, 1]] * (3 / 5)
    assert torch.equal(found, expected)


def test_an_unknown_precision_is_refused_and_a_missing_one_is_none(saved: Path) -> None:
    description = json.loads((saved / "model.json").read_text())
    assert load_model(saved).precision is None
    (saved / "model.json").write_text(json.dumps(description | {"precision": "bf16"}))
    assert load_model(saved).precision == "bf16"
    (saved / "model.json").write_text(json.dumps(description | {"precision": "int8"}))
    with pytest.raises(
        PipelineError, match=r"another program \(ValueError: precision is 'int8'; known: fp32, bf16, fp16\)"
    ):
        load_model(saved)


def test_nothing_in_the_pipeline_unpickles() -> None:
    refused = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve"}
    sources = sorted(Path(pipeline.__file__).parent.rglob("*.py"))
    assert len(sources) > 30
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not refused & {alias.name.split(".")[0] for alias in node.names}, source
            elif isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names} - {"UnpicklingError"}  # the error alone
                assert (node.module or "").split(".")[0] not in refused or not names, source
                assert not (node.module == "torch" and "load" in {alias.name for alias in node.names}), source
            elif isinstance(node, ast.Attribute) and node.attr in ("load", "load_from_checkpoint"):
                assert ast.unparse(node) not in ("np.load", "numpy.load"), source
                assert node.attr != "load_from_checkpoint", source
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in [ast.unparse(keyword) for keyword in node.keywords], source


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
    if name == "focal":  # each class against the rest
        assert torch.sigmoid(head.bias).tolist() == pytest.approx([0.7, 0.3, 0.001])
    else:
        assert torch.softmax(head.bias, dim=0).tolist() == pytest.approx([0.7 / 1.001, 0.3 / 1.001, 0.001 / 1.001])


def test_a_head_of_another_size_is_not_changed() -> None:
    segmenter = build(NetworkConfig("unet", "resnet18", 3))
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    init_prior_bias(segmenter, [0.5, 0.5], LOSSES["ce"](LossConfig()))
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())
