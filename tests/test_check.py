"""Every invalid value of params.yaml is refused before a run, in one line with what is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save_file

from pipeline.check import CheckParams, check
from pipeline.core.errors import PipelineError
from pipeline.core.params import load_params
from pipeline.learning.model import NetworkConfig, build
from tests.learning.world import EVALUATE, TRAIN
from tests.world import changed

Checked = Callable[..., str]
REPOSITORY = Path(__file__).parents[1]


def write(folder: Path, changes: dict[str, Any]) -> None:
    values = changed(TRAIN | EVALUATE, **{"tile.size": 64} | changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    monkeypatch.chdir(tmp_path)

    (tmp_path / "input").mkdir()

    def go(**changes: Any) -> str:
        write(tmp_path, changes)
        return check(Path("params.ok"), load_params(CheckParams))

    return go


def test_valid_params_leave_a_constant_marker(checked: Checked, tmp_path: Path) -> None:
    assert (
        checked(**{"train.precision": "fp32"})
        == "landcoverai, unet with resnet18, ce loss, on 1 x cpu, fp32: params.yaml is valid"
    )
    first = (tmp_path / "params.ok").read_bytes()
    checked(loss="dice", **{"dataset": "ghana", "train.epochs": 3})
    assert first == (tmp_path / "params.ok").read_bytes() == b"params.yaml is valid\n"


def test_params_yaml_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    assert check(Path("params.ok"), load_params(CheckParams)).endswith("params.yaml is valid")


@pytest.mark.parametrize(("dataset", "key"), [("landcoverai", "tile.bands"), ("ghana", "bands.ghana")])
def test_a_network_of_many_bands_is_checked(checked: Checked, dataset: str, key: str) -> None:
    assert checked(dataset=dataset, **{key: [1, 2, 3, 4]}).endswith("is valid")
    save_file(build(NetworkConfig("unet", "resnet18", 2)).net.encoder.state_dict(), "three.safetensors")
    assert checked(dataset=dataset, encoder_weights="three.safetensors", **{key: [1, 2, 3, 4]}).endswith("is valid")
    many = NetworkConfig("unet", "resnet18", 2, (0.5,) * 5, (0.5,) * 5)
    save_file(build(many).net.encoder.state_dict(), "five.safetensors")
    with pytest.raises(PipelineError, match=r"size mismatch for conv1.weight: .*\[64, 5, 7, 7\].*\[64, 4, 7, 7\]"):
        checked(dataset=dataset, encoder_weights="five.safetensors", **{key: [1, 2, 3, 4]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "landcover"}, "dataset is 'landcover'; did you mean 'landcoverai'? allowed: "),
        ({"loss": "dcie"}, "loss is 'dcie'; did you mean 'dice'? allowed: focal, dice, ce"),
        ({"cloud_filter.ghana.clouds": "scl"}, "cloud_filter.ghana.clouds is 'scl'; allowed: mask, none"),
        ({"on_error": "ignore"}, "on_error is 'ignore'; allowed: stop, skip"),
        ({"download.ghana.select.chips": 0}, "download.ghana.select.chips is 0; allowed: none; else input should be "),
        ({"split.test": 0.2}, "split: train 0.8 + val 0.1 + test 0.2 is 1.1; it must be 1"),
        ({"tile.size": 100}, "tile.size is 100; input should be a multiple of 32"),
        ({"evaluate.device": "gpu"}, "evaluate.device is 'gpu'; allowed: auto, cpu, cuda, mps"),
        (
            {"evaluate.device": "mps"},
            "evaluate.device is 'mps', which this machine does not have; available: auto, cpu",
        ),
        (
            {"train.steps": 1000, "train.epochs": 3},
            "train.steps: 1000 must be a multiple of train.epochs, 3: set it to 999 or 1002, or to none",
        ),
        (
            {"train.steps": 2, "train.epochs": 5},
            "train.steps: 2 must be a multiple of train.epochs, 5: set it to 5, or to none",
        ),
        ({"epochs": 3}, "epochs is not a known key; known here: "),
        ({"train.epoch": 3}, "train.epoch is not a known key; did you mean 'epochs'? known here: epochs, "),
        ({"architecture": "unett"}, "architecture is 'unett'; did you mean 'unet'? allowed: deeplabv3, "),
        ({"encoder": "resnet19"}, "encoder is 'resnet19'; the closest of "),
        ({"encoder": "tu-nothing"}, "encoder is 'tu-nothing'; the closest of "),
        ({"encoder_weights": "imagnet"}, "encoder_weights is 'imagnet'; did you mean 'imagenet'? allowed: imagenet, "),
        (
            {"architecture": "unetplusplus", "encoder": "mit_b0"},
            "architecture 'unetplusplus' with encoder 'mit_b0' and encoder_weights 'none': ",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_invalid_key_or_value_is_refused_with_what_is_allowed(
    checked: Checked, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PipelineError) as error:
        checked(**changes)
    assert str(error.value).removeprefix("params.yaml: ").startswith(message)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "params.ok").exists()


def test_a_missing_folder_and_an_unknown_class_are_refused(checked: Checked, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^split\.skew\.class is 'forest'; allowed: none, background, building, "):
        checked(**{"split.skew.class": "forest"})
    classes = "[{id: 1, name: forest, colour: '#00ff00'}, {id: 2, name: sea, colour: '#0000ff'}]"
    (tmp_path / "input/classes.yaml").write_text(f"classes: {classes}")
    assert checked(**{"split.skew.class": "forest"}).endswith("is valid")
    with pytest.raises(PipelineError, match=r"^download\.ghana\.path is 'away', which is not a folder"):
        checked(**{"download.ghana.path": "away"})


def test_a_folder_that_only_a_colleague_has_is_valid(checked: Checked, tmp_path: Path) -> None:
    entry = {"params": {"params.yaml": {"download.ghana": {"source": "local", "path": "away"}}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"download@ghana": entry}}))
    unknown_class = {"dataset": "ghana", "split.skew.class": "forest"}
    assert checked(**unknown_class, **{"download.ghana.path": "away"}).endswith("is valid")
    for path in ("download.ghana.path", "download.landcovernet.path"):
        with pytest.raises(PipelineError, match=rf"^{path} is 'aways?', which is not a folder"):
            checked(**{path: "aways" if "ghana" in path else "away"})


@pytest.mark.parametrize("architecture", ["deeplabv3", "deeplabv3plus"])
def test_a_network_that_needs_more_than_one_chip_is_refused(checked: Checked, architecture: str) -> None:
    message = (
        rf"^architecture '{architecture}' with encoder 'resnet18' cannot be trained on 64 px at train\.batch_size 1, "
    )
    with pytest.raises(PipelineError, match=message):
        checked(architecture=architecture, **{"train.batch_size": 1})
    with pytest.raises(
        PipelineError, match=r"cannot be trained on 64 px at train\.batch_size 2, train\.accumulate 2: "
    ):
        checked(architecture=architecture, **{"train.batch_size": 2, "train.accumulate": 2})
    assert checked(architecture=architecture, **{"train.batch_size": 2}).endswith("is valid")


def test_a_tile_that_the_encoder_reduces_to_one_pixel_is_refused(checked: Checked) -> None:
    with pytest.raises(PipelineError, match=r"cannot be trained on 32 px at train\.batch_size 1, "):
        checked(**{"train.batch_size": 1, "tile.size": 32})


CLD = {"download.landcovernet.clouds_first.clouds": "cld", "cloud_filter.landcovernet.clouds": "cld"}


@pytest.mark.parametrize(
    ("dataset", "key", "value", "needed"),
    [
        ("landcovernet", "dates", 1, "dates is 2"),
        ("landcovernet", "max_cloud", 0.09, "max_haze is 0.1"),
        ("ghana", "max_no_data", 0.01, "max_no_data is 0.02"),
    ],
)
def test_clouds_first_that_fetches_less_than_the_cloud_filter_needs_is_refused(
    checked: Checked, dataset: str, key: str, value: float, needed: str
) -> None:
    own = f"download.{dataset}.clouds_first.{key}"
    assert checked(**{own: value}).endswith("is valid")  # a local source has the bands of all dates
    message = rf"^{own} is {value}, but cloud_filter\.{dataset}\.{needed}: .* set {own} to at least "
    for source in ("mlhub", "source_coop"):
        with pytest.raises(PipelineError, match=message):
            checked(**{own: value, f"download.{dataset}.source": source})


def test_a_network_source_finds_clouds_as_the_cloud_filter_does(checked: Checked) -> None:
    network = {"download.ghana.source": "mlhub", "download.landcovernet.source": "mlhub"}
    for dataset, clouds in (("ghana", "none"), ("landcovernet", "cld")):
        with pytest.raises(PipelineError, match=rf"^download\.{dataset}\.clouds_first\.clouds is .*; set both to the"):
            checked(**network, **{f"cloud_filter.{dataset}.clouds": clouds})
    for threshold in (49, 51):  # the clearest dates by one threshold may not be those by another
        own = {"download.landcovernet.clouds_first.cld_threshold": threshold}
        with pytest.raises(PipelineError, match=rf"cld_threshold is {threshold}, but .* is 50; set both to the same"):
            checked(**network, **CLD, **own)
        assert checked(**network, **own).endswith("is valid")  # `scl` does not use it
    assert checked(**network, **CLD, **{"download.landcovernet.clouds_first.dates": 9}).endswith("is valid")
