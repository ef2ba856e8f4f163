"""Folders of images and labels as people have them, from `download` to chips, and to a split."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.classes import run as suggest_classes
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.download import DownloadParams, download
from pipeline.formats.png import read_mask
from pipeline.split import SplitParams, split
from pipeline.tile import TileParams, tile
from tests.importing.world import CLASSES, MASK_HW, SIDE, write_picture, write_rules, write_tif, write_vector
from tests.world import params, write_params

IGNORED = 255
SUFFIX = " (finished work is kept: fix or remove the failed files and run again, or set on_error to skip)"
LOCAL = {"download.landcoverai.path": "mine", "tile.size": SIDE, "split.strategy": "official"}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, `mine` in a project's folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("mine")
    folder.mkdir()
    write_rules(folder)
    return folder


def chips(**changes: Any) -> dict[str, np.ndarray]:
    """Masks of the chips, by id, after `download` and `tile`."""
    write_params(Path(), **LOCAL | changes)
    raw, folder = Path("raw"), Path("chips")
    download("landcoverai", raw, Path("download.csv"), params(DownloadParams, **LOCAL | changes))
    tile(raw, folder, Path("tile.csv"), params(TileParams, **LOCAL | changes))
    return {path.stem: read_mask(path) for path in sorted((folder / "masks").iterdir())}


def parts(**changes: Any) -> dict[str, list[str]]:
    """Chips of each part after `split`."""
    lists = Path("lists")
    outputs = (lists, Path("split.json"), Path("card.md"), Path("card.png"))
    split("landcoverai", Path("chips"), *outputs, params(SplitParams, **LOCAL | changes))
    return {part: (lists / f"{part}.txt").read_text().split() for part in ("train", "val", "test")}


def refusal(**changes: Any) -> str:
    with pytest.raises(PipelineError) as error:
        chips(**changes)
    assert not Path("chips").exists()
    return str(error.value).removesuffix(SUFFIX)


def paste(mine: Path, **keys: Any) -> None:
    """Write what a message advises into classes.yaml."""
    path = mine / "classes.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def mended(message: str, key: str) -> dict[str, Any]:
    """The value of a key that a message contains for pasting."""
    found = re.search(rf"{key}: (\{{[^}}]*\}})", message)
    assert found
    value = yaml.safe_load(found[1])
    assert isinstance(value, dict)
    return value


def assert_masks(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    np.testing.assert_equal(got, expected)


def painted(mask_HW: np.ndarray, *channels: np.ndarray) -> np.ndarray:
    """Red where the mask is 1, black elsewhere, (height, width, 3 or 4)."""
    return np.dstack([mask_HW * 255, mask_HW * 0, mask_HW * 0, *channels]).astype(np.uint8)


def test_png_and_jpeg_pairs(mine: Path) -> None:
    for name, mask_HW in {"photo0": MASK_HW, "photo1": MASK_HW.T, "photo2": 1 - MASK_HW}.items():
        write_picture(mine / f"images/{name}.{'jpg' if name == 'photo2' else 'png'}")
        write_picture(mine / f"masks/{name}.png", mask_HW)
    assert_masks(chips(), {"photo0_0": MASK_HW, "photo1_0": MASK_HW.T, "photo2_0": 1 - MASK_HW})
    np.testing.assert_array_equal(Image.open("chips/images/photo0_0.png"), Image.open(mine / "images/photo0.png"))


def test_a_colour_of_no_class_is_named_and_may_become_one(mine: Path) -> None:
    write_tif(mine / "images/s.tif")
    image_HWC = painted(MASK_HW)
    image_HWC[40:44, 50:53] = 0, 250, 0
    write_picture(mine / "masks/s.png", image_HWC)
    assert refusal() == (
        "images/s.tif: mine/masks/s.png contains colours of no class in 12 px: [0, 250, 0] in 12 px, nearest 'other' "
        "[0, 0, 0], 250 off: add them to the classes of classes.yaml, or correct the colours there"
    )
    paste(mine, classes=[*CLASSES["classes"], {"id": 2, "name": "tree", "colour": [0, 250, 0]}])
    expected_HW = MASK_HW.copy()
    expected_HW[40:44, 50:53] = 2
    assert_masks(chips(), {"s_0": expected_HW})


def test_masks_of_0_and_255_need_the_remap_of_the_message(mine: Path) -> None:
    write_tif(mine / "images/s.tif")
    write_tif(mine / "masks/s.tif", MASK_HW * 255)
    message = refusal()
    assert message == (
        "mine/masks/s.tif contains label values outside the class table: 255 in 512 px; classes are [0, 1]: if 255 is "
        "'building', write in classes.yaml of the source folder: remap: {255: 1} (else another class, or ignore)"
    )
    paste(mine, remap=mended(message, "remap"))
    assert_masks(chips(), {"s_0": MASK_HW})


@pytest.mark.parametrize("name", ["{}", "{}_0", "{}.tif", "images/{}.tif"])
def test_ones_own_lists_of_images_or_chips(mine: Path, name: str) -> None:
    scenes = [f"tile_{number:03}" for number in range(6)]
    for scene in scenes:
        write_tif(mine / f"images/{scene}.tif")
        write_tif(mine / f"masks/{scene}.tif", MASK_HW)
    for part, listed in (("train", scenes[:3]), ("val", scenes[3:5]), ("test", scenes[5:])):
        write_text(mine / f"{part}.txt", "".join(f"{name.format(scene)}\r\n" for scene in listed))
    chips()
    ids = [f"{scene}_0" for scene in scenes]
    assert parts() == {"train": ids[:3], "val": ids[3:5], "test": ids[5:]}


def test_codes_above_254_need_the_ids_and_the_remap_of_the_message(mine: Path) -> None:
    codes = (112, 211, 311, 512)
    codes_HW = np.array(codes, np.uint16).reshape(2, 2).repeat(SIDE // 2, 0).repeat(SIDE // 2, 1)
    write_tif(mine / "images/s.tif")
    write_tif(mine / "masks/s.tif", codes_HW)
    classes = [{"id": code, "name": f"c{code}", "colour": [code % 255, 10, 20]} for code in codes]
    paste(mine, classes=classes)
    message = refusal()
    assert message == (
        "mine/classes.yaml: class ids are 0 to 254, because masks have 8 bits and 255 is ignored; write id 0 instead "
        "of 311, id 1 instead of 512, and add the line: remap: {311: 0, 512: 1}"
    )
    ids = {int(old): int(new) for new, old in re.findall(r"id (\d+) instead of (\d+)", message)}
    paste(mine, classes=[entry | {"id": ids.get(entry["id"], entry["id"])} for entry in classes])
    paste(mine, remap=mended(message, "remap"))
    expected_HW = np.vectorize(ids.get)(codes_HW, codes_HW)
    assert_masks(chips(), {"s_0": expected_HW})


@pytest.mark.parametrize("labels", ["values", "colours", "polygons"])
def test_the_suggested_classes_are_right_as_they_are(mine: Path, labels: str) -> None:
    write_tif(mine / "images/s.tif")
    if labels == "polygons":
        write_vector(mine / "labels.gpkg", kind=["building"])
    else:
        write_picture(mine / "masks/s.png", MASK_HW * 255 if labels == "values" else painted(MASK_HW))
    write_text(mine / "classes.yaml", suggest_classes(mine))
    assert_masks(chips(), {"s_0": MASK_HW})


def test_lists_of_images_with_a_suffix(mine: Path) -> None:
    for number in range(3):
        write_picture(mine / f"{number}_sat.jpg")
        write_picture(mine / f"{number}_mask.png", MASK_HW)
    for part, name in (("train", "0_sat.jpg"), ("val", "1_sat"), ("test", "2")):
        write_text(mine / f"{part}.txt", name)
    assert_masks(chips(), {"0_0": MASK_HW, "1_0": MASK_HW, "2_0": MASK_HW})
    assert parts() == {"train": ["0_0"], "val": ["1_0"], "test": ["2_0"]}
