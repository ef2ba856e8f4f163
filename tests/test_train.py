"""The stage `train`: same seed, same bytes; whole outputs or none; what must agree is checked first."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, write_tables
from pipeline.learning.band_statistics import band_statistics
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.distributed import ProcessGroup
from pipeline.learning.weights import IMAGENET_MEAN, IMAGENET_STD
from pipeline.train import (
    LEARNING_CODE,
    Placement,
    chip_geometry,
    fingerprint,
    training_pixels,
)
from tests.learning.world import BRIGHTNESS, CONFIG, IMAGERY, ORIGIN, World, chips_folder, train_params, written
from tests.test_house import ROOT, closure

OUTS = ["cost.json", "model", "plots", "train.json"]
PARTS = ("train", "val")
CPU = Device("cpu", "fp32")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("small"), 32, train=4, val=2)


@pytest.fixture(scope="module")
def first(small: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("first")
    small.train(out, augment="all")
    return written(out)


def test_training_writes_the_model_the_metrics_of_its_best_epoch_its_cost_and_its_curves(trained: World) -> None:
    assert sorted(path.name for path in trained.folder.iterdir()) == sorted([*OUTS, "chips", "split"])
    assert sorted(path.name for path in trained.model.iterdir()) == ["model.json", "model.safetensors"]
    metrics = json.loads((trained.folder / "train.json").read_text())
    curve = pd.read_csv(trained.folder / "plots/plots/metrics/val/mean_iou.tsv", sep="\t")
    best = curve.loc[curve["mean_iou"].idxmax()]
    assert metrics.keys() == {"best_epoch", "train", "val"}
    assert (metrics["best_epoch"], metrics["val"]["mean_iou"]) == (best["step"], best["mean_iou"])
    assert metrics["val"]["mean_iou"] > 0.8
    assert len(curve) == 5
    means = {"micro_iou", "mean_iou", "frequency_weighted_iou", "pixel_accuracy", "precision", "recall", "f_score"}
    for part in ("train", "val"):
        assert metrics[part].keys() == means | {"loss", "classes_scored", "iou"}
    cost = json.loads((trained.folder / "cost.json").read_text())
    assert (cost["device"], cost["revision"]) == ("cpu", None)
    assert cost["chips_per_second"] == pytest.approx(50 / cost["seconds"], rel=0.05)
    weights = (trained.model / "model.safetensors").stat().st_size / 1e6
    assert cost["model_mb"] == pytest.approx(weights, abs=0.06)


def test_with_steps_the_cost_counts_the_chips_that_were_drawn(small: World, tmp_path: Path) -> None:
    line = small.train(tmp_path, epochs=2, steps=6, batch_size=4)
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["chips_per_second"] == pytest.approx(2 * (3 * 4 + 2) / cost["seconds"], rel=0.05)
    assert line.startswith("4 training and 2 validation chips, best epoch ")


@pytest.mark.parametrize(("key", "other"), [("workers", 1), ("cache", "ram")])
def test_the_same_seed_gives_the_same_bytes_however_chips_are_read(
    small: World, first: dict[str, bytes], tmp_path: Path, key: str, other: int | str
) -> None:
    small.train(tmp_path, augment="all", **{key: other})
    again = written(tmp_path)
    assert first.keys() == again.keys()
    descriptions = [json.loads(files["model/model.json"]) for files in (first, again)]
    assert [description["params"]["train"].pop(key) for description in descriptions] == [CONFIG[key], other]
    assert descriptions[0] == descriptions[1]
    assert [name for name, content in again.items() if first[name] != content] == ["model/model.json"]
    assert json.loads((tmp_path / "cost.json").read_text())["cache"] == ("ram" if key == "cache" else "none")


def test_another_seed_gives_another_model(small: World, first: dict[str, bytes], tmp_path: Path) -> None:
    small.train(tmp_path, augment="all", seed=2)
    other = written(tmp_path)
    for name in ("model/model.safetensors", "train.json", "plots/plots/metrics/val/loss.tsv"):
        assert other[name] != first[name]


def test_a_diverged_training_leaves_the_last_model_in_place(small: World, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("the last good one")
    with pytest.raises(PipelineError) as error:
        small.train(tmp_path, optimizer="sgd", lr=1e30)
    assert str(error.value).startswith(
        "the ce loss became NaN or infinite in epoch 1, batch 2; try a train.lr below 1e+30"
    )
    assert "\n" not in str(error.value)
    assert (tmp_path / "model/model.json").read_text() == "the last good one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "plots"]  # the curves show what went wrong


@pytest.mark.parametrize("reading", [{"workers": 0}, {"workers": 1}, {"cache": "ram"}])
def test_a_damaged_chip_is_one_line_however_it_is_read(tmp_path: Path, reading: dict[str, Any]) -> None:
    world = World.make(tmp_path, train=2, val=1)
    (tmp_path / "chips/images/c01.png").write_bytes(b"\x89PNG")
    with pytest.raises(PipelineError) as error:
        world.train(**reading)
    assert str(error.value).startswith(f"{tmp_path / 'chips/images/c01.png'} cannot be read: ")
    assert "Traceback" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chips", "plots", "split"]


def table_of(folder: Path, *sizes: tuple[int, int]) -> Path:
    chips = [Chip(f"c{number}", "s", 0, 0, *size, pixel_size=0.5) for number, size in enumerate(sizes)]
    write_tables(folder, [vars(chip) for chip in chips], BRIGHTNESS, IMAGERY, ORIGIN)
    return folder


@pytest.mark.parametrize(
    ("sizes", "given"),
    [([(64, 96)], "64 x 96"), ([(100, 100)], "100 x 100"), ([(64, 64), (32, 32)], "32 x 32, 64 x 64")],
)
def test_chips_of_unsuitable_sizes_are_refused(tmp_path: Path, sizes: list[tuple[int, int]], given: str) -> None:
    with pytest.raises(PipelineError, match=rf"has chips of {given} px; train needs squares of one size, a multiple"):
        chip_geometry(table_of(tmp_path, *sizes))


def test_the_pixels_of_the_training_chips_are_counted_and_parts_without_labels_refused(tmp_path: Path) -> None:
    rows = []
    for number, pixels in enumerate([(30, 10, 0), (50, 0, 10), (0, 0, 1000)]):
        chip = Chip(f"c{number}", f"s{number}", 0, 0, 32, 32)
        rows.append(vars(chip) | dict(zip(("pixels_1", "pixels_4", "pixels_9"), pixels, strict=True)))
    write_tables(tmp_path, [row | {"pixels_ignored": 5} for row in rows], BRIGHTNESS, IMAGERY, ORIGIN)
    train, val, nothing = (Chips(tmp_path, ids, BRIGHTNESS) for ids in (["c1", "c0"], ["c2"], []))
    assert training_pixels({"train": train, "val": val}, BRIGHTNESS) == [80, 10, 10]
    with pytest.raises(PipelineError, match=r"^the chips in val\.txt have no labelled pixel"):
        training_pixels({"train": train, "val": nothing}, BRIGHTNESS)


def fingerprint_of(world: World, on: Device = CPU, size: int = 1, bands: int = 3, **changes: Any) -> str:
    """Of a training on c00, validated on c01, unless `changes` has other `chips`."""
    ids = changes.pop("chips", ("c00", "c01"))
    parts = {part: Chips(world.inputs[0], [name], BRIGHTNESS, bands) for part, name in zip(PARTS, ids, strict=True)}
    return fingerprint(parts, train_params(**changes), Placement(on, ProcessGroup(size, 0, size)))


def test_the_fingerprint_depends_on_every_input_but_not_on_how_chips_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path, 32, bands=4, train=1, val=1)
    images, more = tmp_path / "chips/images", tmp_path / "chips/more_bands"
    found = [fingerprint_of(world)]
    assert fingerprint_of(world, workers=3, cache="ram", device="cpu", devices=2, precision="fp32") == found[0]
    found += [
        fingerprint_of(world, seed=5),
        fingerprint_of(world, gamma=1),
        fingerprint_of(world, chips=("c01", "c00")),
    ]
    found += [fingerprint_of(world, Device("cpu", "bf16")), fingerprint_of(world, size=2)]
    rounding, code, versions = (f"pipeline.train.{name}" for name in ("rounding", "source_digest", "versions"))
    for name, value in ((rounding, ("AVX2",)), (code, "other"), (versions, {"torch": "0"})):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda *_, value=value: value)
            found.append(fingerprint_of(world))
    found.append(fingerprint_of(world, bands=4))
    (more / "c01.png").write_bytes((more / "c00.png").read_bytes())
    assert fingerprint_of(world) == found[0]  # its bands do not count
    found.append(fingerprint_of(world, bands=4))
    (images / "c01.png").write_bytes((images / "c00.png").read_bytes())
    found.append(fingerprint_of(world))
    assert len(set(found)) == len(found) == 12
    (more / "c01.png").unlink()
    with pytest.raises(PipelineError, match=r"more_bands/c01.png does not exist; run `dvc checkout` or `dvc repro`"):
        fingerprint_of(world, bands=4)


def test_many_bands_are_normalised_by_the_training_chips_and_three_as_imagenet(tmp_path: Path) -> None:
    folder = chips_folder(tmp_path / "chips", 3, bands=5)
    ids = ["c00", "c02"]
    rgb = train_params().network(Chips(folder, ids, BRIGHTNESS), BRIGHTNESS)
    assert (rgb.mean, rgb.std) == (IMAGENET_MEAN, IMAGENET_STD)
    config = train_params(encoder_weights="imagenet").network(Chips(folder, ids, BRIGHTNESS, 5), BRIGHTNESS)
    assert (config.mean, config.std) == band_statistics(Chips(folder, ids, BRIGHTNESS, 5))


WITHOUT_EFFECT = {
    *(f"core.{name}" for name in ("cache", "choices", "cli", "cpus", "errors", "files", "fingerprint")),
    *("core.interrupt", "core.memory", "core.params", "formats.datasets", "formats.splits"),
    *(f"learning.{name}" for name in ("cache", "calibration", "cost", "preemption", "progress")),
}
"""Modules that `train` imports and that do not change the weights: paths, messages, curves, the licence, and the
temperature, which is fitted after every training, an interrupted one too."""


def test_learning_code_is_complete() -> None:
    paths = {path.relative_to(ROOT / "pipeline").with_suffix("") for path in closure(ROOT / "pipeline/train.py")}
    names = {".".join(path.parts) for path in paths if path.name != "__init__"}
    assert names == {*LEARNING_CODE, *WITHOUT_EFFECT}
