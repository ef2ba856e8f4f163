import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics

from pipeline.classes import ClassTable, write_classes
from pipeline.errors import PipelineError
from pipeline.evaluate import examples
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
from tests.learning.world import BRIGHTNESS, World, evaluate_params, written

TEST = ["c10", "c11", "c12"]


@pytest.fixture(scope="module")
def scored(trained: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("scored")
    return out, trained.evaluate("first", out)


@pytest.fixture
def copied(trained: World, tmp_path: Path) -> World:
    for part in ("chips", "split", "model"):
        shutil.copytree(trained.folder / part, tmp_path / part)
    return World(tmp_path)


def predicted(world: World) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class ids of the pixels that count, from the saved model and nothing else of evaluate."""
    segmenter = load_model(world.model).segmenter.eval()
    truth, found = [], []
    for name in TEST:
        image_HWC = np.array(Image.open(world.folder / f"chips/images/{name}.png"))
        mask_HW = np.array(Image.open(world.folder / f"chips/masks/{name}.png"))
        with torch.inference_mode():
            index_HW = segmenter(torch.from_numpy(image_HWC).permute(2, 0, 1)[None])[0].argmax(0).numpy()
        truth.append(mask_HW[mask_HW != 255])
        found.append(np.array([1, 4, 9])[index_HW][mask_HW != 255])
    return np.concatenate(truth), np.concatenate(found)


def test_the_scores_have_these_keys(scored: tuple[Path, dict[str, Any]]) -> None:
    _, result = scored
    scores = ["mean_iou", "micro_iou", "pixel_accuracy", "precision", "recall", "f_score", "iou"]
    assert list(result) == ["synthetic", "chips", *scores]
    assert list(result["iou"]) == ["water", "field", "roof"]
    assert (result["synthetic"], result["chips"]) == (True, 3)


def test_the_rule_was_learned(scored: tuple[Path, dict[str, Any]]) -> None:
    _, result = scored
    assert result["mean_iou"] > 0.7  # by chance: 0.2
    assert min(result["iou"].values()) > 0.5


def test_scikit_learn_gives_the_same_scores(trained: World, scored: tuple[Path, dict[str, Any]]) -> None:
    truth, found = predicted(trained)
    _, result = scored
    near: dict[str, Any] = {"abs": 0.002}  # a mixed arithmetic rounds another way
    assert result["mean_iou"] == pytest.approx(metrics.jaccard_score(truth, found, average="macro"), **near)
    assert result["micro_iou"] == pytest.approx(metrics.jaccard_score(truth, found, average="micro"), **near)
    assert result["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(truth, found), **near)
    assert result["precision"] == pytest.approx(metrics.precision_score(truth, found, average="macro"), **near)
    assert result["recall"] == pytest.approx(metrics.recall_score(truth, found, average="macro"), **near)
    assert result["f_score"] == pytest.approx(metrics.f1_score(truth, found, average="macro"), **near)
    each = metrics.jaccard_score(truth, found, average=None)
    assert list(result["iou"].values()) == pytest.approx(each.tolist(), **near)


def test_the_confusion_matrix_is_a_table_of_all_pixels_that_count(scored: tuple[Path, dict[str, Any]]) -> None:
    out, result = scored
    heads, *rows = csv.reader((out / "plots/confusion.csv").read_text().splitlines())
    matrix = np.array([[int(value) for value in row[1:]] for row in rows])
    assert heads == ["true class", "water", "field", "roof"]
    assert [row[0] for row in rows] == ["water", "field", "roof"]
    assert matrix.sum() == 3 * (64 * 64 - 64)  # a row of each chip is ignored
    assert np.trace(matrix) / matrix.sum() == pytest.approx(result["pixel_accuracy"], abs=1e-6)


def test_the_pictures_are_pngs_that_open(scored: tuple[Path, dict[str, Any]]) -> None:
    out, _ = scored
    assert sorted(path.name for path in (out / "plots").iterdir()) == ["confusion.csv", "confusion.png", "examples.png"]
    for name, size in (("confusion", (530, 430)), ("examples", (720, 570))):
        with Image.open(out / f"plots/{name}.png") as picture:
            picture.load()
            assert (picture.format, picture.size) == ("PNG", size)


def test_a_second_run_gives_the_same_bytes(trained: World, scored: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    trained.evaluate("second", tmp_path)
    out, _ = scored
    assert written(tmp_path / "plots") == written(out / "plots")
    assert (tmp_path / "second.json").read_bytes() == (out / "first.json").read_bytes()


def test_an_example_shows_the_chip_its_target_and_class_ids(trained: World) -> None:
    chips = Chips(trained.folder / "chips", TEST, BRIGHTNESS)
    model = load_model(trained.model)
    model.segmenter.eval()
    shown = examples(model, chips, 2, Device("cpu", False))
    assert [one.id for one in shown] == ["c10", "c12"]
    mask_HW = np.array(Image.open(trained.folder / "chips/masks/c12.png"))
    assert np.array_equal(shown[1].target_HW, mask_HW)
    assert np.array_equal(shown[1].image_HWC, np.array(Image.open(trained.folder / "chips/images/c12.png")))
    assert set(np.unique(shown[1].predicted_HW).tolist()) <= {1, 4, 9}
    assert [one.id for one in examples(model, chips, 9, Device("cpu", False))] == TEST


@pytest.mark.parametrize("change", ["id", "name"])
def test_a_model_of_other_classes_is_refused_and_nothing_published(copied: World, change: str) -> None:
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


def test_other_colours_are_no_other_classes(copied: World) -> None:
    table = ClassTable(classes=tuple(each.model_copy(update={"colour": (1, 2, 3)}) for each in BRIGHTNESS.classes))
    write_classes(copied.folder / "chips/classes.json", table)
    assert copied.evaluate("metrics")["chips"] == 3


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model/model.json", r"holds no model\.json; the stage train writes it$"),
        ("model/model.safetensors", r"model\.safetensors does not exist; expected weights"),
        ("split/test.txt", r"test\.txt does not exist; the stage split writes it$"),
        ("chips/classes.json", r"classes\.json does not exist; every raw and chips folder holds its table of classes$"),
        ("chips/masks/c11.png", r"masks/c11\.png does not exist, but chips\.csv lists it; "),
    ],
)
def test_what_is_missing_is_named_and_nothing_published(copied: World, missing: str, message: str) -> None:
    (copied.folder / missing).unlink()
    with pytest.raises(PipelineError, match=message):
        copied.evaluate("metrics")
    assert sorted(path.name for path in copied.folder.iterdir()) == ["chips", "model", "split"]


@pytest.mark.parametrize(("key", "value"), [("batch_size", 0), ("pictures", 0), ("device", "gpu")])
def test_params_that_cannot_be_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"EvaluateParams\nevaluate\.{key}\n"):
        evaluate_params(**{key: value})
