"""From a scene to the files of its map."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.transform import Affine
from rasterio.windows import Window
from rio_cogeo import cog_validate

from pipeline.core.errors import PipelineError
from pipeline.evaluation.test_pass import count_predictions
from pipeline.formats.chips import read_chips
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.inference import scene_map
from pipeline.inference.network import LoadedModel, Wanted
from pipeline.inference.scene_map import MapOptions, Source, is_finished, map_tags, predict_scene
from pipeline.inference.sieve import sieve
from pipeline.inference.windows import Tiling
from pipeline.learning.data import Chips, scoring_loader
from pipeline.raster.georeference import Georeference
from pipeline.scenes.area import AreaOptions
from pipeline.tile import TileParams, tile
from tests.inference.world import (
    ALL,
    FP32,
    bright_scene,
    exact_model,
    ids_of,
    random_scene,
    save_scene,
    trained_model,
    whole,
)
from tests.learning.world import BRIGHTNESS, World
from tests.world import CRS_NO_CODE, UTM, archive, at, orthophoto, params

OPTIONS = MapOptions(tiling=Tiling(128, 32, 32))
IMAGE_HWC = random_scene(200, 170).image_HWC
"""3 x 2 windows of 128 px; their cores begin in rows 0, 80 and 128."""


@pytest.fixture(autouse=True)
def instant_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inference.estimate._seconds", lambda run: 1.0)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return save_scene(tmp_path / "scene.tif", IMAGE_HWC)


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expected_ids(image_HWC: np.ndarray = IMAGE_HWC) -> np.ndarray:
    return ids_of(exact_model(), whole(exact_model(), image_HWC))


def test_a_scene_becomes_a_map_with_its_files(scene: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = replace(OPTIONS, wanted=ALL, preview=tmp_path / "out/preview.png")
    result = predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options, lines.append)
    assert sorted(written(tmp_path / "out")) == [
        "map.confidence.tif",
        "map.probabilities.tif",
        "map.qml",
        "map.tif",
        "map.tif.aux.xml",
        "preview.png",
    ]
    assert (pixels(result.path)[0] == expected_ids()).all()
    assert (result.height, result.width, result.pixels) == (200, 170, 34_000)
    assert (result.computed, result.disagreement, result.damaged) == (6 * 128**2, 0.0, ())
    assert len(lines) == 1
    assert lines[0].startswith(f"{scene}: ")
    assert " px in 6 windows of 128 x 128 px, " in lines[0]


def test_the_preview_is_titled_by_all_files_of_a_scene(tmp_path: Path) -> None:
    source = Source(("folder/west.tif", "https://host/east.tif"), "merge")
    assert source.title == "west.tif, east.tif"
    assert Source(tuple("abcde"), "merge").title == "a, b, c and 2 more"
    left = save_scene(tmp_path / "left.tif", IMAGE_HWC)
    right = save_scene(tmp_path / "right.tif", IMAGE_HWC)
    options = replace(OPTIONS, preview=tmp_path / "preview.png")
    predict_scene(exact_model(), Source((str(left), str(right)), "merge"), tmp_path / "map.tif", options)
    with Image.open(tmp_path / "preview.png") as image:
        assert image.info["Title"] == "left.tif, right.tif"


GEOREFERENCES = {
    "north-up": at(),
    "rotated": Georeference(UTM, Affine.translation(500000, 1000000) @ Affine.rotation(20) @ Affine.scale(10, -10)),
    "south-up": Georeference(UTM, Affine(10, 0, 500000, 0, 10, 1000000)),
    "degrees": Georeference("EPSG:4326", Affine(1e-4, 0, 12.5, 0, -1e-4, 50.25)),
    "no code": at(crs=CRS_NO_CODE),
}


@pytest.mark.parametrize("name", GEOREFERENCES)
def test_the_grid_is_that_of_the_scene(tmp_path: Path, name: str) -> None:
    scene = save_scene(tmp_path / "scene.tif", IMAGE_HWC, GEOREFERENCES[name])
    predict_scene(exact_model(), scene, tmp_path / "map.tif", OPTIONS)
    assert cog_validate(tmp_path / "map.tif", strict=True, quiet=True) == (True, [], [])
    with rasterio.open(scene) as before, rasterio.open(tmp_path / "map.tif") as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        assert (after.read(1) == expected_ids()).all()


def test_a_scene_without_georeference_is_mapped_with_a_note(tmp_path: Path) -> None:
    scene = save_scene(tmp_path / "scene.tif", IMAGE_HWC, Georeference(None, Affine.identity()))
    lines: list[str] = []
    predict_scene(exact_model(), scene, tmp_path / "map.tif", OPTIONS, lines.append)
    assert lines[0].startswith("note: ") and lines[0].endswith("has no georeference, and so its map has none")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(tmp_path / "map.tif") as dataset:
        assert (dataset.crs, dataset.transform) == (None, Affine.identity())


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (33, 47), (64, 64)])
def test_small_scenes_are_mapped(tmp_path: Path, size: tuple[int, int]) -> None:
    image_HWC = random_scene(*size).image_HWC
    scene = save_scene(tmp_path / "scene.tif", image_HWC)
    predict_scene(exact_model(), scene, tmp_path / "map.tif")
    assert (pixels(tmp_path / "map.tif")[0] == expected_ids(image_HWC)).all()


def test_no_data_stays_no_data(tmp_path: Path) -> None:
    image_HWC = np.maximum(IMAGE_HWC, 1)
    image_HWC[50:90, 20:60] = 0
    scene = save_scene(tmp_path / "scene.tif", image_HWC, nodata=0)
    predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, wanted=ALL))
    for name in ("map.tif", "map.confidence.tif", "map.probabilities.tif"):
        assert ((pixels(tmp_path / name) == 255) == (image_HWC == 0).all(axis=2)).all()


def test_undecided_pixels_have_name_and_colour(scene: Path, tmp_path: Path) -> None:
    predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, wanted=Wanted(undecided=100)))
    assert set(np.unique(pixels(tmp_path / "map.tif"))) <= {10, 30, 70, 254}
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.tags(1)["CLASS_254"] == "undecided"
        assert dataset.colormap(1)[254] == (128, 128, 128, 255)
        assert dataset.tags()["OPTION_UNDECIDED"] == "100"
    assert "undecided" in (tmp_path / "map.qml").read_text()


def test_only_the_area_is_mapped(scene: Path, tmp_path: Path) -> None:
    mask_HW = np.ones((200, 170), np.uint8)
    mask_HW[:100] = 0
    mask = save_scene(tmp_path / "mask.tif", mask_HW[..., None])
    options = replace(OPTIONS, area=AreaOptions(mask=mask))
    result = predict_scene(exact_model(), scene, tmp_path / "map.tif", options)
    assert (pixels(result.path)[0] == np.where(mask_HW, 255, expected_ids())).all()
    assert result.computed == 4 * 128**2  # not those of row 128 and below


def test_a_box_is_a_part_of_the_map_of_all(scene: Path, tmp_path: Path) -> None:
    with rasterio.open(scene) as dataset:
        corners = (dataset.transform @ (30.5, 120.5), dataset.transform @ (99.5, 40.5))
    (west, east), (south, north) = rasterio.warp.transform(UTM, "EPSG:4326", *zip(*corners, strict=True))
    options = replace(OPTIONS, area=AreaOptions(bbox=(west, south, east, north)))
    result = predict_scene(exact_model(), scene, tmp_path / "map.tif", options)
    with rasterio.open(result.path) as dataset, rasterio.open(scene) as whole_scene:
        column, row = (~whole_scene.transform) @ (dataset.transform.c, dataset.transform.f)
        window = Window(round(column), round(row), dataset.width, dataset.height)
        assert (column, row) == pytest.approx((window.col_off, window.row_off), abs=1e-6)
    assert 69 <= result.width <= 72 and 80 <= result.height <= 83
    assert (pixels(result.path)[0] == expected_ids()[window.toslices()]).all()


def test_a_scene_of_half_the_pixel_size_keeps_its_grid(tmp_path: Path) -> None:
    coarse_HWC = IMAGE_HWC[:60, :80]
    fine = save_scene(tmp_path / "fine.tif", coarse_HWC.repeat(2, 0).repeat(2, 1), at(y=0.0, pixel=5.0))
    result = predict_scene(exact_model(), fine, tmp_path / "map.tif", replace(OPTIONS, resample=True))
    with rasterio.open(fine) as before, rasterio.open(result.path) as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
    assert (result.height, result.width, result.computed) == (120, 160, 64 * 96)  # the network sees 60 x 80 px
    # the mean of four equal pixels and their neighbours is close to the coarse scene's
    same = pixels(result.path)[0] == expected_ids(coarse_HWC).repeat(2, 0).repeat(2, 1)
    assert same.mean() > 0.9


def test_a_thin_line_of_no_data_stays_at_another_pixel_size(tmp_path: Path) -> None:
    image_HWC = np.maximum(IMAGE_HWC[:120, :160], 1)
    image_HWC[:, 51] = 0
    fine = save_scene(tmp_path / "fine.tif", image_HWC, at(y=0.0, pixel=5.0), nodata=0)
    predict_scene(exact_model(), fine, tmp_path / "map.tif", replace(OPTIONS, resample=True))
    missing_HW = pixels(tmp_path / "map.tif")[0] == 255
    assert missing_HW[:, 51].all() and missing_HW.sum(axis=1).max() <= 2


def test_small_patches_are_merged(scene: Path, tmp_path: Path) -> None:
    predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, mmu=1.0))
    (expected_HW,) = sieve(lambda: [expected_ids()], 100)  # of 100 m² each
    assert (pixels(tmp_path / "map.tif")[0] == expected_HW).all()
    assert (expected_HW != expected_ids()).any()


FILES = ("map.tif", "map.confidence.tif", "map.probabilities.tif", "preview.png")


@pytest.mark.parametrize("name", FILES)
def test_existing_files_are_replaced_only_if_wanted(scene: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    options = replace(OPTIONS, wanted=ALL, preview=tmp_path / "preview.png")
    before = written(tmp_path)
    with pytest.raises(PipelineError, match=f"{name} exists; --overwrite replaces it$"):
        predict_scene(exact_model(), scene, tmp_path / "map.tif", options)
    assert written(tmp_path) == before
    predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(options, overwrite=True))
    assert (tmp_path / name).read_bytes() != b"mine"


def in_vrt(scene: Path) -> Path:
    vrt = scene.with_name("mosaic.vrt")
    rasterio.shutil.copy(scene, vrt, driver="VRT")
    return vrt


def by_link(scene: Path) -> Path:
    link = scene.with_name("link.tif")
    link.symlink_to(scene)
    return link


@pytest.mark.parametrize("name", [lambda scene: scene, by_link, in_vrt], ids=["itself", "link", "vrt"])
def test_an_input_is_never_replaced(scene: Path, tmp_path: Path, name: Callable[[Path], Path]) -> None:
    source, before = name(scene), scene.read_bytes()
    with pytest.raises(PipelineError, match="scene.tif would be overwritten, but it is an input"):
        predict_scene(exact_model(), source, scene, replace(OPTIONS, overwrite=True))
    assert scene.read_bytes() == before


@pytest.mark.parametrize("option", ["mask", "truth"])
def test_other_inputs_are_not_replaced_either(scene: Path, tmp_path: Path, option: str) -> None:
    other = save_scene(tmp_path / "other.tif", np.zeros((200, 170, 1), np.uint8))
    changes: dict[str, Any] = {"area": AreaOptions(mask=other)} if option == "mask" else {"truth": other}
    with pytest.raises(PipelineError, match="other.tif would be overwritten, but it is an input"):
        predict_scene(exact_model(), scene, other, replace(OPTIONS, overwrite=True, **changes))


def test_a_truth_on_another_grid_is_refused_before_the_work(scene: Path, tmp_path: Path) -> None:
    truth = save_scene(tmp_path / "truth.tif", np.zeros((200, 160, 1), np.uint8))
    with pytest.raises(PipelineError, match="scene.tif and .*truth.tif differ in size"):
        predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, truth=truth))


@pytest.mark.parametrize(("bands", "dtype"), [(1, np.uint16), (1, np.float32), (2, np.uint8)])
def test_a_truth_of_other_values_is_refused_before_the_work(
    scene: Path, tmp_path: Path, bands: int, dtype: type[np.generic]
) -> None:
    truth = save_scene(tmp_path / "truth.tif", np.zeros((200, 170, bands), dtype))
    with pytest.raises(PipelineError, match="truth.tif is .*; a --truth has one band of class ids, uint8: gdal_"):
        predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, truth=truth))


def test_undecided_without_a_free_id_is_refused_before_the_work(scene: Path, tmp_path: Path) -> None:
    entries = tuple(LandCoverClass(id=key, name=f"c{key}", colour=(key, 0, 0)) for key in range(255))
    with pytest.raises(PipelineError, match="--undecided needs a free class id"):
        predict_scene(
            exact_model(ClassTable(classes=entries)),
            scene,
            tmp_path / "map.tif",
            replace(OPTIONS, wanted=Wanted(undecided=50)),
        )


def test_windows_that_leave_no_core_are_refused(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"GB are too little for this network, .* --memory \d"):
        predict_scene(exact_model(), scene, tmp_path / "map.tif", MapOptions(memory=1e-9))


class StoppedError(BaseException):
    """Like a kill: nothing catches it."""


STEPS = ("run_network", "finish_layers", "write_outputs", "write_cog", "write_preview", "pam_xml")
WHERE = dict.fromkeys(STEPS, "pipeline.inference.scene_map") | {
    "write_cog": "pipeline.inference.outputs",
    "pam_xml": "pipeline.inference.outputs",
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_failure_there_is_no_map_and_the_same_call_completes_it(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    options = replace(OPTIONS, wanted=ALL, preview=tmp_path / "out/preview.png", mmu=1.0)
    predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options)
    undisturbed = written(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")

    def stopped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> None:
            if moment == "after":
                function(*arguments)
            raise StoppedError

        return call

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        module = __import__(WHERE[step], fromlist=[step])
        patch.setattr(module, step, stopped(getattr(module, step)))
        predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options)
    has_map = (step, moment) == ("write_outputs", "after")
    assert (tmp_path / "out/map.tif").exists() == has_map
    again = replace(options, overwrite=has_map)
    result = predict_scene(exact_model(), scene, tmp_path / "out/map.tif", again)
    assert written(tmp_path / "out") == undisturbed
    assert result.computed == (6 * 128**2 if (step, moment) == ("run_network", "before") else 0)


def stop(*arguments: Any) -> None:
    raise StoppedError


@pytest.fixture
def unfinished(scene: Path, tmp_path: Path) -> MapOptions:
    """Options of a map whose files were about to be written when its process ended."""
    options = replace(OPTIONS, preview=tmp_path / "preview.png")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(scene_map, "write_outputs", stop)
        predict_scene(exact_model(), scene, tmp_path / "map.tif", options)
    return options


def test_unfinished_work_goes_on_only_for_the_same_map(scene: Path, tmp_path: Path, unfinished: MapOptions) -> None:
    model, out = exact_model(), tmp_path / "map.tif"
    other = replace(model, model=replace(model.model, digest="other"))
    box = AreaOptions(mask=save_scene(tmp_path / "mask.tif", np.zeros((200, 170, 1), np.uint8)))

    def computed(model: LoadedModel = model, out: Path = out, **changes: Any) -> int:
        return predict_scene(model, scene, out, replace(unfinished, overwrite=True, **changes)).computed

    new = 6 * 128**2
    assert (computed(other), computed(out=tmp_path / "other.tif")) == (new, new)
    assert [computed(offset=1.0), computed(wanted=ALL), computed(area=box), computed(on_error="skip")] == [new] * 4
    assert computed(tiling=None) == 224 * 192
    assert computed(mmu=1.0, preview=None) == 0  # the same windows
    os.utime(scene, ns=(0, 0))
    assert computed() == new


def test_files_of_others_are_not_replaced_after_a_failure(scene: Path, tmp_path: Path, unfinished: MapOptions) -> None:
    options = unfinished
    (tmp_path / "photo.png").write_text("mine")
    with pytest.raises(PipelineError, match="photo.png exists"):
        predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(options, preview=tmp_path / "photo.png"))


def test_finished_maps_are_known_by_model_options_and_scene(scene: Path, tmp_path: Path) -> None:
    model, out, source = exact_model(), tmp_path / "map.tif", Source((str(scene),))
    assert not is_finished(model, source, out, OPTIONS)
    predict_scene(model, source, out, OPTIONS)
    assert is_finished(model, source, out, OPTIONS)
    for change in (
        {"mmu": 1.0},
        {"wanted": ALL},
        {"wanted": Wanted(undecided=40)},
        {"resample": True},
        {"tiling": None},
        {"offset": 0.5},
        {"area": AreaOptions(bbox=(-3.0, 9.0, -2.0, 10.0))},
    ):
        assert not is_finished(model, source, out, replace(OPTIONS, **change))
    assert not is_finished(replace(model, model=replace(model.model, digest="other")), source, out, OPTIONS)
    os.utime(scene, ns=(0, out.stat().st_mtime_ns + 1))
    assert not is_finished(model, source, out, OPTIONS)


def test_tags_tell_how_a_map_was_made(scene: Path, tmp_path: Path) -> None:
    predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, mmu=0.5, offset=0.0))
    with rasterio.open(tmp_path / "map.tif") as dataset:
        tags = dataset.tags()
    expected = {"MODEL_SHA256": "digest", "PRECISION": "fp32", "OPTION_MMU": "0.5", "OPTION_OFFSET": "0.0"}
    assert expected | {"OPTION_TILING": "128 px, halo 32 px"} == map_tags(
        exact_model(), replace(OPTIONS, mmu=0.5, offset=0.0)
    )
    assert tags.items() >= expected.items()


def confusion(truth_HW: np.ndarray, found_HW: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    return np.array([[((truth_HW == true) & (found_HW == found)).sum() for found in ids] for true in ids])


@pytest.mark.parametrize("batch_size", [1, 4])
def test_without_overlap_a_map_has_the_predictions_that_evaluate_scores(
    trained: World, tmp_path: Path, batch_size: int
) -> None:
    model = trained_model(trained)
    image_HWC, mask_HW = bright_scene(3, 4)
    table = ClassTable(classes=BRIGHTNESS.classes, remap={255: "ignore"})
    raw = archive(tmp_path / "raw", "landcoverai", table)
    photo = orthophoto(raw, "photo", image_HWC.transpose(2, 0, 1), mask_HW)
    tile(raw, tmp_path / "chips", tmp_path / "failures.csv", params(TileParams, **{"tile.size": 64}))
    names = read_chips(tmp_path / "chips")["id"].tolist()
    assert len(names) == 12
    chips = Chips(tmp_path / "chips", names, BRIGHTNESS)
    counted = count_predictions(model.model, scoring_loader(chips, batch_size, 0), FP32)
    options = MapOptions(tiling=Tiling(64, 0, 32))
    result = predict_scene(model, photo.image, tmp_path / "map.tif", options)
    matrix_KK = confusion(mask_HW, pixels(result.path)[0], BRIGHTNESS.ids)
    assert matrix_KK.tolist() == counted.matrix_KK.tolist()
    assert matrix_KK.sum() == (mask_HW != 255).sum()
    assert 0.5 < matrix_KK.trace() / matrix_KK.sum() < 1  # or any map would do
    assert result.disagreement is None
    overlapping = predict_scene(model, photo.image, tmp_path / "overlap.tif")
    assert (pixels(overlapping.path) != pixels(result.path)).any()


def test_a_map_by_a_model_of_the_sample_is_marked_as_such(scene: Path, tmp_path: Path) -> None:
    model = exact_model()
    imagery = replace(model.model.imagery, synthetic=True)
    of_sample = replace(model, model=replace(model.model, imagery=imagery))
    options = replace(OPTIONS, preview=tmp_path / "map.png", overwrite=True)
    previews = []
    for each, expected in ((of_sample, "synthetic sample"), (model, None)):
        predict_scene(each, scene, tmp_path / "map.tif", options)
        with rasterio.open(tmp_path / "map.tif") as dataset:
            assert dataset.tags().get("TRAINED_ON") == expected
        previews.append((tmp_path / "map.png").read_bytes())
    assert previews[0] != previews[1]
