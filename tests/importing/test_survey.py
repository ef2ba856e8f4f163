"""Folders as people have them: which files are images and labels, which belong together, and what is refused."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.importing.survey import part_lists, survey

ROOT = Path("/mine")


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


def pairs(*names: str, excluded: str | None = None) -> list[tuple[str, str, str]]:
    """Scene, image and label of each pair."""
    found = survey(ROOT, paths(*names), None if excluded is None else Path(excluded))
    return [(pair.scene, pair.image.as_posix(), pair.label.as_posix()) for pair in found]


@pytest.mark.parametrize("images", ["images", "image", "imgs", "Images"])
@pytest.mark.parametrize("labels", ["masks", "mask", "labels", "Labels", "annotations", "gt"])
def test_images_and_labels_have_folders_of_usual_names(images: str, labels: str) -> None:
    assert pairs(f"{images}/a.tif", f"{labels}/a.png", "stats.txt", "esri_model_definition.emd") == [
        ("a", f"{images}/a.tif", f"{labels}/a.png")
    ]


@pytest.mark.parametrize("suffix", [".TIF", ".tiff", ".Png", ".jpg", ".JPEG"])
def test_images_have_any_known_suffix(suffix: str) -> None:
    assert pairs(f"images/a{suffix}", "masks/a.tif") == [("a", f"images/a{suffix}", "masks/a.tif")]


@pytest.mark.parametrize(
    "others",
    [
        "images/a.tfw images/a.tif.aux.xml masks/a.tif.ovr masks/a.prj readme.md",
        "overview.png previews/a.png",
        "images/a.xml images/a.vrt images/readme.xml",
        "masks/a.json",
    ],
)
def test_sidecars_metadata_and_other_pictures_do_not_count(others: str) -> None:
    assert pairs("images/a.tif", "masks/a.tif", *others.split()) == [("a", "images/a.tif", "masks/a.tif")]


def test_pairs_may_lie_side_by_side() -> None:
    assert pairs("1_sat.jpg", "1_mask.png", "2_sat.jpg", "2_mask.png") == [
        ("1", "1_sat.jpg", "1_mask.png"),
        ("2", "2_sat.jpg", "2_mask.png"),
    ]
    assert pairs("images/a.tif", "images/a_label.tif") == [("a", "images/a.tif", "images/a_label.tif")]
    assert pairs("train/a_b.tif", "train/a_b_mask.tif") == [("a_b", "train/a_b.tif", "train/a_b_mask.tif")]
    assert pairs("images/a_mask.png", "masks/a_mask.png") == [("a_mask", "images/a_mask.png", "masks/a_mask.png")]


@pytest.mark.parametrize(
    "labels",
    ["labels.gpkg", "Labels.GeoJSON", "labels.shp labels.dbf labels.shx", "labels.fgb aoi.gpkg", "labels/x.gpkg"],
)
def test_one_vector_file_holds_the_labels_of_all_images(labels: str) -> None:
    label, *others = labels.split()
    assert pairs("images/a.tif", "images/b.tif", label, *others) == [
        ("a", "images/a.tif", label),
        ("b", "images/b.tif", label),
    ]


def test_each_image_may_have_a_vector_file() -> None:
    assert pairs("images/a.tif", "images/b.png", "labels/a.shp", "labels/a.dbf", "labels/b.geojson") == [
        ("a", "images/a.tif", "labels/a.shp"),
        ("b", "images/b.png", "labels/b.geojson"),
    ]


def test_the_annotated_areas_are_no_labels() -> None:
    names = ("images/a.tif", "labels/a.gpkg", "labels/areas.gpkg")
    assert pairs(*names, excluded="labels/areas.gpkg") == [("a", "images/a.tif", "labels/a.gpkg")]


@pytest.mark.parametrize(
    "layout",
    [
        "{part}/images/{name}.png {part}/masks/{name}.png",
        "images/{part}/{name}.png masks/{part}/{name}.png",
        "{part}/{name}.png {part}/{name}_mask.png",
    ],
)
def test_folders_of_parts_are_the_split(layout: str) -> None:
    named = (("train", "a"), ("Validation", "b"), ("test", "a"))
    names = [text.format(part=part, name=name) for part, name in named for text in layout.split()]
    found = survey(ROOT, paths(*names))
    assert [(pair.scene, pair.part) for pair in found] == [("b", "val"), ("test_a", "test"), ("train_a", "train")]
    assert part_lists(found) == {"train.txt": "train_a\n", "val.txt": "b\n", "test.txt": "test_a\n"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "photos/a.png photos/b.png annot/a.png",
            "/mine/images contains no .tif, .png or .jpg; expected images there, and their masks, of the same names, "
            "in masks/; found 2 .png in /mine/photos, 1 .png in /mine/annot",
        ),
        (
            "images/a.tif ground_truth/a.tif",
            "/mine has images, but no labels: expected masks of the same names in masks/, or labels.gpkg; found 1 .tif "
            "in /mine/images, 1 .tif in /mine/ground_truth",
        ),
        (
            "images/a.tif polygons.gpkg",
            "/mine has images, but no labels: expected masks of the same names in masks/, or labels.gpkg; found 1 .tif "
            "in /mine/images, 1 .gpkg in /mine; if polygons.gpkg has the labels, rename it to labels.gpkg",
        ),
        (
            "images/a.tif images/b.JP2 labels.gpkg",
            "/mine/images/b.JP2 is not read; convert it to .tif or .png, such as with gdal_translate, or remove it",
        ),
        ("images/a.tif masks/a.tif Train.txt", "/mine/Train.txt is not read; rename it to train.txt, or remove it"),
        ("images/a.tif masks/a.tif labels/a.tif", "/mine has labels in labels/ and in masks/; keep one"),
        ("images/a.tif img/b.tif masks/a.tif masks/b.tif", "/mine has images in images/ and in img/; keep one"),
        *(
            (
                f"{name} masks/a.tif",
                f"/mine/{name}: nested folders are not searched; move it to /mine/{name.split('/')[0]}",
            )
            for name in ("images/x/a.tif", "images/masks/a.tif", "train/val/a.tif")
        ),
        ("images/a.tif masks/a.tif labels.gpkg", "/mine/labels.gpkg and /mine/masks/a.tif are both labels; keep one"),
        ("images/a.tif labels.gpkg labels.shp", "/mine/labels.gpkg and /mine/labels.shp are both labels; keep one"),
        (
            "train/images/a.tif train/masks/a.tif train.txt",
            "/mine/train.txt lists chips, and folders such as train/ divide them too; remove one of both",
        ),
        (
            "train/images/a.png train/masks/a.png val/images/a.png val/masks/a.png val/images/train_a.png "
            "val/masks/train_a.png",
            "/mine/train/images/a.png and /mine/val/images/train_a.png are two files for one scene; keep one",
        ),
        (
            "train/images/a.png train/masks/a.png test/b.png test/b_mask.png",
            "/mine/test/b.png would be left out: other images are in folders images/; move it to /mine/test/images/, "
            "or remove it",
        ),
    ],
)
def test_what_is_not_clear_is_refused(names: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        survey(ROOT, paths(*names.split()))
    assert str(error.value) == message
