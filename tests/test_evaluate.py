"""`evaluate` gives the scores of scikit-learn and torchmetrics, with intervals, and refuses an unfit model."""

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn import metrics
from torchmetrics.classification import MulticlassCalibrationError

from pipeline.core.errors import PipelineError
from pipeline.evaluate import class_intervals, interval_metrics, summary_line
from pipeline.evaluation.intervals import mean_iou_interval
from pipeline.formats.classes import ClassTable, write_classes
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
from pipeline.scoring.counts import HITS, from_table
from pipeline.scoring.scores import scores
from tests.learning.world import BRIGHTNESS, World, evaluate_params, written

TEST = ["c10", "c11", "c12"]


@pytest.fixture
def result(scored: Path) -> Any:
    return json.loads((scored / "first.json").read_text())


@pytest.fixture
def copied(trained: World, tmp_path: Path) -> World:
    for part in ("chips", "split", "model"):
        shutil.copytree(trained.folder / part, tmp_path / part)
    return World(tmp_path)


def predicted(world: World) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (pixels, classes) and class indices of labelled pixels, from the saved model without evaluate."""
    segmenter = load_model(world.model).segmenter.eval()
    pairs = []
    for name in TEST:
        image_HWC = np.array(Image.open(world.folder / f"chips/images/{name}.png"))
        mask_HW = np.array(Image.open(world.folder / f"chips/masks/{name}.png"))
        with torch.inference_mode():
            logits_KHW = segmenter(torch.from_numpy(image_HWC).permute(2, 0, 1)[None])[0]
        is_labelled_HW = mask_HW != 255
        indices = torch.from_numpy(np.searchsorted([1, 4, 9], mask_HW[is_labelled_HW]))
        pairs.append((logits_KHW.permute(1, 2, 0)[is_labelled_HW], indices))
    logits, target = zip(*pairs, strict=True)
    return torch.cat(logits), torch.cat(target)


SCORES = ["paper_iou", "mean_iou", "micro_iou", "frequency_weighted_iou", "pixel_accuracy", "precision", "recall"]
SCORES += ["f_score", "classes_scored", "iou", "quantity_disagreement", "allocation_disagreement", "classes"]
ABOUT = ["calibration", "mean_iou_low", "mean_iou_high", "interval", "chips", "test_list", "leak_share"]
ABOUT += ["leak_share_at_least", "split_strategy", "fold", "synthetic", "source"]
ABOUT += ["dataset", "architecture", "encoder", "encoder_weights", "loss", "seed", "model_sha256", "arithmetic"]


def test_the_scores_have_these_keys(scored: Path, result: Any) -> None:
    assert list(result) == [*SCORES, *ABOUT, "validation"]
    assert list(result["validation"]) == SCORES
    assert list(result["iou"]) == list(result["classes"]) == ["water", "field", "roof"]
    by_class = ["pixels", "users_accuracy", "producers_accuracy", "f_score"]
    limits = [f"{side}_accuracy_{end}" for side in ("users", "producers") for end in ("low", "high")]
    assert list(result["classes"]["roof"]) == by_class + limits
    assert list(result["validation"]["classes"]["roof"]) == by_class
    assert list(result["calibration"]) == [
        *("temperature", "temperature_groups", "temperature_lowest", "temperature_highest"),
        *("error_before", "error_after", "error_after_low", "error_after_high"),
    ]
    assert (result["synthetic"], result["chips"], result["classes_scored"]) == (True, 3, 3)
    assert (result["leak_share"], result["split_strategy"], result["fold"]) == (0.25, "random", "none")
    summary = json.loads((scored / "summary.json").read_text())
    assert summary == {key: result[key] for key in ("mean_iou", "mean_iou_low", "mean_iou_high", "paper_iou")}
    assert result["test_list"] == hashlib.sha256(b"c10\nc11\nc12").hexdigest()


def test_validation_scores_are_those_of_the_best_epoch(trained: World, result: Any) -> None:
    best = json.loads((trained.folder / "train.json").read_text())["val"]
    near: dict[str, Any] = {"abs": 0.002}  # mixed precision rounds differently
    assert result["validation"]["mean_iou"] == pytest.approx(best["mean_iou"], **near)
    assert result["validation"]["pixel_accuracy"] == pytest.approx(best["pixel_accuracy"], **near)


def test_a_missing_interval_has_a_reason(result: Any) -> None:
    assert (result["mean_iou_low"], result["mean_iou_high"]) == (None, None)
    assert result["interval"]["why_null"] == "3 independent groups; an interval needs at least 10"
    assert (result["interval"]["approximate"], result["interval"]["held_fixed"]) == (False, [])
    assert result["calibration"]["error_after_low"] is result["calibration"]["error_after_high"] is None
    assert result["classes"]["roof"]["users_accuracy_low"] is None


def test_the_model_is_identified(trained: World, result: Any) -> None:
    description = (trained.model / "model.json").read_bytes()
    assert result["model_sha256"] == hashlib.sha256(description).hexdigest()
    fitted = json.loads(description)["calibration"]
    trained_as = {
        key: result[key] for key in ("dataset", "source", "architecture", "encoder", "encoder_weights", "loss")
    }
    assert list(trained_as.values()) == ["landcoverai", "sample", "unet", "resnet18", "none", "ce"]
    found = result["calibration"]
    assert [found[f"temperature{name}"] for name in ("", "_groups", "_lowest", "_highest")] == list(fitted.values())


def test_torchmetrics_finds_the_same_calibration_error(trained: World, result: Any) -> None:
    logits, target = predicted(trained)
    oracle = MulticlassCalibrationError(3, n_bins=20, norm="l1")
    for key, temperature in (("error_before", 1.0), ("error_after", load_model(trained.model).temperature)):
        expected = float(oracle((logits / temperature).softmax(1), target))
        assert result["calibration"][key] == pytest.approx(expected, abs=0.003)  # mixed precision rounds differently


def test_the_counts_of_units_csv_add_up_to_the_scores(scored: Path, result: Any) -> None:
    units, counts = from_table(pd.read_csv(scored / "units.csv"), ("water", "field", "roof"))
    assert units == ["s10", "s11", "s12"]
    assert scores(counts.sum(axis=0), ("water", "field", "roof")).items() <= result.items()


def test_with_enough_groups_the_interval_contains_the_score(tmp_path: Path) -> None:
    world = World.make(tmp_path, 32, train=2, val=1, test=12)
    world.train(epochs=1)
    result = world.evaluate("first")
    assert result["mean_iou_low"] <= result["mean_iou"] <= result["mean_iou_high"]
    found = result["calibration"]
    assert 0 <= found["error_after_low"] < found["error_after"] < found["error_after_high"] <= 1
    table = pd.read_csv(tmp_path / "plots/reliability.csv")
    assert (table["low"].isna() | (table["low"] <= table["accuracy"])).all()
    assert table["low"].notna().any()
    assert result["interval"] == {
        "covers": "the sampling of the test set, not training",
        "units": 12,
        "why_null": None,
        "approximate": False,
        "why_approximate": None,
        "held_fixed": [],
    }


def rare_counts(groups: int) -> np.ndarray:
    """Twelve groups of two classes; the second is in `groups` of them."""
    counts_G3K = np.zeros((12, 3, 2), np.int64)
    counts_G3K[:, :, 0] = np.array([[100, 90, 60 + number] for number in range(12)])
    counts_G3K[:groups, :, 1] = (50, 60, 40)
    return counts_G3K


def test_intervals_of_classes() -> None:
    counts_G3K = rare_counts(3)
    found = class_intervals(counts_G3K, ("field", "roof"))
    field = found["field"]
    assert field["users_accuracy_low"] < 786 / 1080 < field["users_accuracy_high"]  # type: ignore[operator]
    assert field["producers_accuracy_low"] < 786 / 1200 < field["producers_accuracy_high"]  # type: ignore[operator]
    assert set(found["roof"].values()) == {None}  # 40 of 50 in each group: no variation
    counts_G3K[0, HITS, 1] = 20
    assert None not in class_intervals(counts_G3K, ("field", "roof"))["roof"].values()
    counts_G3K[2, :, 1] = (0, 60, 0)  # mapped in three groups, but in two there is any
    assert set(class_intervals(counts_G3K, ("field", "roof"))["roof"].values()) == {None}
    nothing = np.zeros((3, 3, 2), np.int64)  # groups without labels do not make it enough
    assert set(class_intervals(np.concatenate([rare_counts(3)[:9], nothing]), ("field", "roof"))["field"].values()) == {
        None
    }


def test_the_summary_line_names_what_to_know_about_the_score() -> None:
    interval = mean_iou_interval(rare_counts(2), ("field", "roof"))
    assert interval is not None
    details = interval_metrics(interval, 12)["interval"]
    assert (details["approximate"], details["held_fixed"]) == (True, ["roof"])
    assert details["why_approximate"] == "roof held fixed, in fewer than 3 groups"
    result = {"chips": 3, "mean_iou": 0.5, "pixel_accuracy": 0.75, "leak_share": 0.0, "leak_share_at_least": 0.0}
    assert summary_line(result | {"arithmetic": {"trained": "bf16", "scored": "fp32"}}, interval) == (
        f"3 test chips, mean IoU 0.5000 ({interval.describe()}), pixel accuracy 0.7500; 0 % of test chips touch a "
        "training chip; trained in bf16, scored in fp32: this device does not support bf16"
    )
    assert summary_line(result | {"arithmetic": {"trained": "fp32", "scored": "fp32"}}, None) == (
        "3 test chips, mean IoU 0.5000 (too few independent groups for an interval), pixel accuracy 0.7500; 0 % of "
        "test chips touch a training chip"
    )


def test_scikit_learn_gives_the_same_scores(trained: World, result: Any) -> None:
    logits, truth = predicted(trained)
    found = logits.argmax(dim=1)
    near: dict[str, Any] = {"abs": 0.002}  # mixed precision rounds differently
    assert result["mean_iou"] == pytest.approx(metrics.jaccard_score(truth, found, average="macro"), **near)
    assert result["micro_iou"] == pytest.approx(metrics.jaccard_score(truth, found, average="micro"), **near)
    assert result["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(truth, found), **near)
    assert result["precision"] == pytest.approx(metrics.precision_score(truth, found, average="macro"), **near)
    assert result["recall"] == pytest.approx(metrics.recall_score(truth, found, average="macro"), **near)
    assert result["f_score"] == pytest.approx(metrics.f1_score(truth, found, average="macro"), **near)
    each = metrics.jaccard_score(truth, found, average=None)
    assert list(result["iou"].values()) == pytest.approx(each.tolist(), **near)


def test_the_confusion_matrix_counts_all_labelled_pixels(scored: Path, result: Any) -> None:
    out = scored
    heads, *rows = csv.reader((out / "plots/confusion.csv").read_text().splitlines())
    matrix = np.array([[int(value) for value in row[1:]] for row in rows])
    assert heads == ["true class", "water", "field", "roof"]
    assert [row[0] for row in rows] == ["water", "field", "roof"]
    assert matrix.sum() == 3 * (64 * 64 - 64)  # one row of each chip is ignored
    assert np.trace(matrix) / matrix.sum() == pytest.approx(result["pixel_accuracy"], abs=1e-6)


def test_files_of_the_plots_folder(scored: Path, result: Any) -> None:
    out = scored
    tables = ["confusion.csv", "iou.csv", "reliability.csv", "reliability_before.csv"]
    names = ("best", "confusion", "confusion_counts", "errors", "examples", "reliability", "worst")
    images = [f"{name}.png" for name in names]
    assert sorted(path.name for path in (out / "plots").iterdir()) == sorted([*tables, *images, "predictions"])
    assert sorted(path.name for path in (out / "plots/predictions").iterdir()) == [
        *("classes.json", "images", "predictions", "targets")
    ]
    grids = dict.fromkeys(("examples", "best", "worst"), (720, 570))  # two chips; errors: three classes
    for name, size in (grids | {"confusion": (530, 430), "reliability": (520, 560), "errors": (520, 810)}).items():
        with Image.open(out / f"plots/{name}.png") as image:
            image.load()
            assert (image.format, image.size) == ("PNG", size)


def test_two_models_show_the_same_chips_in_the_same_colours(trained: World, scored: Path, copied: World) -> None:
    copied.train(encoder="mobilenet_v2", seed=2)
    copied.evaluate("other")
    ours, theirs = (written(folder / "plots/predictions") for folder in (scored, copied.folder))
    assert ours.keys() == theirs.keys()
    assert len(ours) == 1 + 3 * 2
    differing = {name.partition("/")[0] for name, content in ours.items() if theirs[name] != content}
    assert differing == {"predictions"}


def test_a_second_run_gives_the_same_bytes(trained: World, scored: Path, result: Any, tmp_path: Path) -> None:
    trained.evaluate("second", tmp_path)
    out = scored
    assert written(tmp_path / "plots") == written(out / "plots")
    assert (tmp_path / "second.json").read_bytes() == (out / "first.json").read_bytes()


def test_a_model_of_fewer_bands_is_refused(copied: World) -> None:
    path = copied.folder / "chips/imagery.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bands": ["B04", "B03", "B02", "B08"]}))
    with pytest.raises(PipelineError) as error:
        copied.evaluate("metrics")
    assert str(error.value) == (
        "the model was trained on the bands B04, B03, B02, the chips have B04, B03, B02, B08; train it on these chips "
        "first: dvc repro"
    )


@pytest.mark.parametrize("change", ["id", "name"])
def test_a_model_of_other_classes_is_refused_and_nothing_is_published(copied: World, change: str) -> None:
    *others, last = BRIGHTNESS.classes
    other = last.model_copy(update={"id": 8} if change == "id" else {"name": "road"})
    write_classes(copied.folder / "chips/classes.json", ClassTable(classes=(*others, other)))
    with pytest.raises(PipelineError) as error:
        copied.evaluate("metrics")
    there = "8: 'roof'" if change == "id" else "9: 'road'"
    assert str(error.value) == (
        "the model was trained on the classes {1: 'water', 4: 'field', 9: 'roof'}, the chips have "
        f"{{1: 'water', 4: 'field', {there}}}; train it on these chips first: dvc repro"
    )
    assert sorted(path.name for path in copied.folder.iterdir()) == ["chips", "model", "split"]


def test_a_precision_that_the_machine_lacks_and_other_colours_do_not_prevent_scores(
    copied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ClassTable(classes=tuple(each.model_copy(update={"colour": (1, 2, 3)}) for each in BRIGHTNESS.classes))
    write_classes(copied.folder / "chips/classes.json", table)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    description = json.loads((copied.model / "model.json").read_text())
    (copied.model / "model.json").write_text(json.dumps(description | {"precision": "bf16"}))
    assert copied.evaluate("metrics")["arithmetic"] == {"trained": "bf16", "scored": "fp32"}


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model/model.json", r"has no model\.json; the stage train writes it: run `dvc repro`$"),
        ("model/model.safetensors", r"model has no model\.safetensors; the stage train writes it: run `dvc repro`$"),
        ("split/test.txt", r"test\.txt does not exist; the stage split writes it: run `dvc repro`$"),
        (
            "chips/classes.json",
            r"classes\.json does not exist; every raw and chips folder needs a class table: run `dvc repro`$",
        ),
        ("chips/masks/c11.png", r"masks/c11\.png does not exist"),
    ],
)
def test_a_missing_file_is_named_and_nothing_is_published(copied: World, missing: str, message: str) -> None:
    (copied.folder / missing).unlink()
    with pytest.raises(PipelineError, match=message):
        copied.evaluate("metrics")
    assert sorted(path.name for path in copied.folder.iterdir()) == ["chips", "model", "split"]


@pytest.mark.parametrize(("key", "value"), [("batch_size", 0), ("examples", 0), ("device", "gpu")])
def test_invalid_params_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"EvaluateParams\nevaluate\.{key}[.\n]"):
        evaluate_params(**{key: value})


def test_auto_is_a_batch_for_a_gpu_and_single_chips_for_a_cpu() -> None:
    found = [
        evaluate_params(batch_size=given).evaluate.chips_at_once(Device(name, "fp32"))  # type: ignore[arg-type]
        for given, name in (("auto", "cuda"), ("auto", "mps"), ("auto", "cpu"), (5, "cuda"), (5, "cpu"))
    ]
    assert found == [16, 16, 1, 5, 5]


@pytest.mark.parametrize(
    ("batch_size", "remedy"), [(2, "set a smaller one"), (1, "set evaluate.device to cpu"), (0, None)]
)
def test_a_lack_of_memory_is_one_line(
    copied: World, batch_size: int, remedy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to") if remedy else RuntimeError("a bug")

    monkeypatch.setattr("pipeline.evaluate.count_predictions", fail)
    if remedy:
        with pytest.raises(PipelineError) as error:
            copied.evaluate("metrics", batch_size=batch_size)
        assert str(error.value) == f"out of memory with evaluate.batch_size {batch_size}; {remedy}"
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            copied.evaluate("metrics", batch_size=1)
